/**
 * The memory for the next large object, made before it is asked for. V8 counts every ArrayBuffer by its length, and
 * one that brings the count of the whole process beyond a limit (64 MiB more than after the last collection) makes it
 * begin a collection right there: half a millisecond and more, where the mapping itself takes some microseconds. So
 * after a large object was read, an ArrayBuffer for one more of the same size is made over addresses with nothing
 * behind them, while the process waits for something else anyway; the next file is mapped to them.
 */
import type { Address, MappedFiles } from "./native.js";

/** Smaller ones rarely meet the limit. Bytes. */
const LARGE = 4 * 1024 * 1024;

export interface Spare {
  readonly place: Address;
  /** The `size` bytes behind the first `skip` ones. */
  readonly buffer: ArrayBuffer;
}

export class SpareMap {
  private spare: (Spare & { readonly skip: number }) | undefined;
  private lastSize = 0;
  private due = false;
  private closed = false;

  constructor(private readonly files: MappedFiles) {}

  /** The spare one if it is of exactly this size. The caller's from then on. */
  take(skip: number, size: number): Spare | undefined {
    const { spare } = this;
    if (spare === undefined || spare.skip !== skip || spare.buffer.byteLength !== size) return undefined;
    this.spare = undefined;
    return spare;
  }

  /** One of this size was mapped. When the same comes twice, a third is likely. */
  used(skip: number, size: number): void {
    if (size < LARGE) return;
    const likely = size === this.lastSize;
    this.lastSize = size;
    if (!likely || this.due || this.closed) return;
    this.due = true;
    setImmediate(() => {
      this.due = false;
      if (!this.closed) this.make(skip, size);
    });
  }

  close(): void {
    this.closed = true;
    this.drop();
  }

  private make(skip: number, size: number): void {
    if (this.spare?.buffer.byteLength === size && this.spare.skip === skip) return;
    this.drop();
    const place = this.files.reserve(skip + size);
    if (place !== undefined) this.spare = { place, buffer: this.files.sub(place, skip, size), skip };
  }

  /** Nobody has seen its buffer. */
  private drop(): void {
    if (this.spare !== undefined) this.files.unmap(this.spare.place);
    this.spare = undefined;
  }
}
