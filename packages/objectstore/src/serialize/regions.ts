/**
 * Which bytes of which ArrayBuffers a value refers to. Views that overlap in memory end up in one region, so that
 * they share memory again at the receiver; bytes that no view shows are not sent (a small Buffer is often a slice of
 * a large pool).
 */
import { LARGE_REGION, SMALL_ALIGN } from "./format.js";

/** A view or buffer in the tree, whose region number (and offset) is filled in at the end. */
interface Use {
  readonly start: number;
  readonly end: number;
  /** Offset in the tree of `u32 region` and, for views, `f64 offset` behind it. */
  readonly patchAt: number;
  readonly isView: boolean;
}

export interface Region {
  readonly length: number;
  readonly pieces: readonly Uint8Array[];
  readonly isBuffer: boolean;
  readonly uses: readonly { readonly patchAt: number; readonly offset: number; readonly isView: boolean }[];
}

export class Regions {
  private readonly uses = new Map<ArrayBuffer, Use[]>();
  private readonly made: Region[] = [];

  addView(buffer: ArrayBuffer, offset: number, length: number, patchAt: number): void {
    this.add(buffer, { start: offset, end: offset + length, patchAt, isView: true });
  }
  addBuffer(buffer: ArrayBuffer, patchAt: number): void {
    this.add(buffer, { start: 0, end: buffer.byteLength, patchAt, isView: false });
  }
  /** Bytes that were made for this value, in several pieces. */
  addPieces(pieces: readonly Uint8Array[], patchAt: number): void {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    this.made.push({ length, pieces, isBuffer: false, uses: [{ patchAt, offset: 0, isView: false }] });
  }
  private add(buffer: ArrayBuffer, use: Use): void {
    const uses = this.uses.get(buffer);
    if (uses === undefined) this.uses.set(buffer, [use]);
    else uses.push(use);
  }

  /** Forgets uses in the tree from offset `patchAt` on: that part of the tree was taken back. */
  truncate(patchAt: number): void {
    for (const [buffer, uses] of this.uses) {
      const kept = uses.filter((use) => use.patchAt < patchAt);
      if (kept.length === 0) this.uses.delete(buffer);
      else this.uses.set(buffer, kept);
    }
    while (this.made.length > 0 && (this.made.at(-1)?.uses[0]?.patchAt ?? 0) >= patchAt) this.made.pop();
  }

  /** All regions, small ones first. */
  regions(): Region[] {
    const all = [...this.made];
    for (const [buffer, uses] of this.uses) merge(buffer, uses, all);
    return [
      ...all.filter((region) => region.length < LARGE_REGION),
      ...all.filter((region) => region.length >= LARGE_REGION),
    ];
  }
}

function merge(buffer: ArrayBuffer, uses: Use[], into: Region[]): void {
  uses.sort((a, b) => a.start - b.start);
  for (let i = 0; i < uses.length;) {
    const first = uses[i] as Use;
    const group = [first];
    let end = first.end;
    for (i++; i < uses.length && (uses[i] as Use).start < end; i++) {
      const use = uses[i] as Use;
      group.push(use);
      end = Math.max(end, use.end);
    }
    // Several element sizes may meet in one region: keep the alignment that they had in the source.
    const start = group.length === 1 ? first.start : first.start - (first.start % SMALL_ALIGN);
    into.push({
      length: end - start,
      pieces: [new Uint8Array(buffer, start, end - start)],
      isBuffer: group.some((use) => !use.isView),
      uses: group.map((use) => ({
        patchAt: use.patchAt,
        offset: use.start - start,
        isView: use.isView,
      })),
    });
  }
}
