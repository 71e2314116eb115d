/** What follows the tree: the table of regions and their bytes; fills in the places that the tree left open for them. */
import { EncodedBytes, EncodedParts, type Encoded } from "./encoded.js";
import {
  FLAG_REGIONS,
  LARGE_ALIGN,
  LARGE_REGION,
  MAGIC,
  REGION_ENTRY_SIZE,
  REGION_IS_BUFFER,
  SMALL_ALIGN,
  VERSION,
  alignUp,
} from "./format.js";
import { Regions, type Region } from "./regions.js";
import { Writer } from "./writer.js";

const ZEROS = new Uint8Array(LARGE_ALIGN);

export class RegionWriter extends Writer {
  private collected: Regions | undefined;

  /** Region, offset and length of a view; the region is decided at the end. */
  viewOf(buffer: ArrayBuffer, offset: number, length: number): void {
    this.regions().addView(buffer, offset, length, this.pos - this.start);
    this.u32(0);
    this.f64(0);
    this.f64(length);
  }
  /** The region of a buffer that is itself part of the value. */
  bufferOf(buffer: ArrayBuffer): void {
    this.regions().addBuffer(buffer, this.pos - this.start);
    this.u32(0);
  }
  /** The region of bytes that were made for this value. */
  piecesOf(pieces: readonly Uint8Array[]): void {
    this.regions().addPieces(pieces, this.pos - this.start);
    this.u32(0);
  }

  private regions(): Regions {
    return (this.collected ??= new Regions());
  }
  protected forgetRegions(): void {
    this.collected = undefined;
  }
  protected truncateRegions(pos: number): void {
    this.collected?.truncate(pos);
  }

  /** The finished value. The tree is written, nothing else may follow. */
  protected assemble(flags: number, refs: readonly string[]): Encoded {
    const regions = this.collected?.regions() ?? [];
    const allFlags = regions.length > 0 ? flags | FLAG_REGIONS : flags;
    this.patchU32(0, MAGIC | (VERSION << 8) | (allFlags << 16));
    this.patchU32(4, this.pos - this.start);
    if (regions.length === 0) return new EncodedBytes(this.take(), refs);

    this.table(regions);
    const head = this.take();
    const large = regions.filter((region) => region.length >= LARGE_REGION);
    if (large.length === 0) return new EncodedBytes(head, refs);
    const parts = [head];
    let size = head.length;
    for (const region of large) {
      const gap = alignUp(size, LARGE_ALIGN) - size;
      if (gap > 0) parts.push(ZEROS.subarray(0, gap));
      for (const piece of region.pieces) parts.push(piece);
      size += gap + region.length;
    }
    return new EncodedParts(parts, size, refs);
  }

  /** The table and the small regions. */
  private table(regions: readonly Region[]): void {
    let offset = this.pos - this.start + 4 + regions.length * REGION_ENTRY_SIZE;
    this.u32(regions.length);
    regions.forEach((region, index) => {
      offset = alignUp(offset, region.length >= LARGE_REGION ? LARGE_ALIGN : SMALL_ALIGN);
      this.f64(offset);
      this.f64(region.length);
      this.u32(region.isBuffer ? REGION_IS_BUFFER : 0);
      offset += region.length;
      for (const use of region.uses) {
        this.patchU32(use.patchAt, index);
        if (use.isView) this.patchF64(use.patchAt + 4, use.offset);
      }
    });
    for (const region of regions) {
      if (region.length >= LARGE_REGION) break;
      this.pad(SMALL_ALIGN);
      for (const piece of region.pieces) this.raw(piece);
    }
  }
}
