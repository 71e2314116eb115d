/** Which chunks of an object are here, with their checksums. */
import { InvalidArgumentError } from "@stingray/protocol";
import { SUM_BYTES } from "./sum.js";

/** Bytes of every chunk but the last. Part of the protocol: both sides count chunks of this size. */
export const CHUNK_BYTES = 1 << 20;

/** Chunks in so many bytes. */
export function chunkCount(size: number): number {
  return Math.ceil(size / CHUNK_BYTES);
}

/** Bytes of chunk `index` of an object of `size` bytes. */
export function chunkLength(size: number, index: number): number {
  return Math.min(CHUNK_BYTES, size - index * CHUNK_BYTES);
}

/** A set of chunk numbers, one bit each. */
export class Bits {
  readonly bytes: Uint8Array;
  constructor(
    readonly count: number,
    bytes?: Uint8Array,
  ) {
    this.bytes = bytes ?? new Uint8Array(Math.ceil(count / 8));
  }

  has(index: number): boolean {
    return ((this.bytes[index >> 3] as number) & (1 << (index & 7))) !== 0;
  }
  add(index: number): void {
    this.bytes[index >> 3] = (this.bytes[index >> 3] as number) | (1 << (index & 7));
  }
  delete(index: number): void {
    this.bytes[index >> 3] = (this.bytes[index >> 3] as number) & ~(1 << (index & 7));
  }
  copy(): Bits {
    return new Bits(this.count, this.bytes.slice());
  }
}

/**
 * Shared by the pull that fills it and the port that serves the object on. Chunks only ever come; whoever drops the
 * object drops its map.
 */
export class ChunkMap {
  /** Bytes of the object. */
  readonly size: number;
  /** Chunks in all. */
  readonly count: number;
  #tag: string | undefined;
  readonly #here: Bits;
  #left: number;
  #sums: Buffer | undefined;
  #summed: Bits | undefined;
  readonly #listeners = new Set<() => void>();

  /** Of an object of `size` bytes of which nothing is here yet. */
  constructor(size: number) {
    if (!Number.isSafeInteger(size) || size < 0)
      throw new InvalidArgumentError(`an object can't have ${size} bytes`);
    this.size = size;
    this.count = chunkCount(size);
    this.#here = new Bits(this.count);
    this.#left = this.count;
  }

  /** Of an object that is here whole. */
  static whole(size: number, tag?: string): ChunkMap {
    const map = new ChunkMap(size);
    map.#tag = tag;
    map.#here.bytes.fill(0xff);
    map.#left = 0;
    return map;
  }

  /** Of the object, where it is known: all chunks are of the object that has it. */
  get tag(): string | undefined {
    return this.#tag;
  }
  /** Chunks of an object with this tag are to come. False: they can't be put together with those of this one. */
  takes(tag: string | undefined): boolean {
    this.#tag ??= tag;
    return tag === undefined || tag === this.#tag;
  }

  /** Everything is here. */
  get complete(): boolean {
    return this.#left === 0;
  }
  /** Chunks that are not here. */
  get left(): number {
    return this.#left;
  }
  has(index: number): boolean {
    return this.#here.has(index);
  }
  offset(index: number): number {
    return index * CHUNK_BYTES;
  }
  length(index: number): number {
    return chunkLength(this.size, index);
  }
  /** A copy of what is here. */
  bits(): Bits {
    return this.#here.copy();
  }

  /** A chunk has come. `sum`: its checksum, where it is known. */
  add(index: number, sum?: Uint8Array): void {
    if (sum !== undefined) this.rememberSum(index, sum);
    if (this.#here.has(index)) return;
    this.#here.add(index);
    this.#left--;
    for (const listener of this.#listeners) listener();
  }

  /** Its checksum, if somebody has computed it. */
  sum(index: number): Buffer | undefined {
    if (this.#summed?.has(index) !== true) return undefined;
    return this.#sums?.subarray(index * SUM_BYTES, (index + 1) * SUM_BYTES);
  }
  rememberSum(index: number, sum: Uint8Array): void {
    this.#sums ??= Buffer.alloc(this.count * SUM_BYTES);
    this.#summed ??= new Bits(this.count);
    this.#sums.set(sum, index * SUM_BYTES);
    this.#summed.add(index);
  }

  /** Tells of every chunk that comes, until the returned function is called. */
  onAdd(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
