/** The regions of an encoded value, at the reader's side. */
import { REGION_IS_BUFFER, VIEW_THRESHOLD } from "./format.js";

export interface RegionEntry {
  readonly offset: number;
  readonly length: number;
  readonly flags: number;
}

/** Where the bytes of a region are: `buffer` from `base` on. */
interface Placed {
  readonly buffer: ArrayBuffer;
  readonly base: number;
}

export class Memory {
  private readonly placed: (Placed | undefined)[] = [];

  constructor(
    private readonly bytes: Uint8Array,
    private readonly entries: readonly RegionEntry[],
    private readonly views: boolean,
  ) {}

  entry(index: number): RegionEntry | undefined {
    return this.entries[index];
  }

  /** The region as part of some ArrayBuffer: a copy of its own, or if allowed and large enough, the encoded bytes. */
  place(index: number): Placed {
    const before = this.placed[index];
    if (before !== undefined) return before;
    const { offset, length, flags } = this.entries[index] as RegionEntry;
    const inPlace =
      this.views &&
      length >= VIEW_THRESHOLD &&
      (flags & REGION_IS_BUFFER) === 0 &&
      this.bytes.buffer instanceof ArrayBuffer &&
      (this.bytes.byteOffset + offset) % 8 === 0;
    let placed: Placed;
    if (inPlace) {
      placed = { buffer: this.bytes.buffer, base: this.bytes.byteOffset + offset };
    } else {
      const copy = new Uint8Array(length);
      copy.set(this.bytes.subarray(offset, offset + length));
      placed = { buffer: copy.buffer, base: 0 };
    }
    this.placed[index] = placed;
    return placed;
  }
}
