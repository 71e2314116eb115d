/** Objects in real shared memory, for tests: as much of a store as the transfer needs. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { objectIdOf, newAgentId, type ProcessId } from "@stingray/protocol";
import { mappedFiles } from "../../../src/shm/native.js";
import { CHUNK_BYTES, ChunkMap } from "../../../src/transfer/chunks.js";
import type { Incoming, Outgoing } from "../../../src/transfer/types.js";

const ROOT = process.platform === "linux" ? "/dev/shm" : "/tmp";

/** A directory in shared memory. */
export class Memory {
  readonly path = mkdtempSync(join(ROOT, "stingray-test-"));
  #files = 0;

  /** Room for so many bytes; its pages exist, as those of a file that is used again. */
  room(size: number): Uint8Array {
    const files = mappedFiles();
    if (files === undefined) return new Uint8Array(size);
    const fd = openSync(join(this.path, `.seg.${++this.#files}`), "wx+", 0o600);
    try {
      ftruncateSync(fd, size);
      const mapping = files.map(fd, size, "shared", true);
      if (mapping === undefined) throw new Error("the system gave no mapping");
      return new Uint8Array(mapping.buffer, 0, size);
    } finally {
      closeSync(fd);
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Every byte depends on where it stands and on the seed, cheaply. */
export function fill(bytes: Uint8Array, seed: number): Uint8Array {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  let x = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < words.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    words[i] = x;
  }
  for (let i = words.length << 2; i < bytes.length; i++) bytes[i] = (seed + i) & 255;
  return bytes;
}

let sequence = 0;
const maker: ProcessId = newAgentId();
export const newObject = (): string => objectIdOf(maker, ++sequence, 0);

/** Where an object arrives, with what happened to it. */
export class Target implements Incoming {
  readonly bytes: Uint8Array;
  readonly chunks: ChunkMap;
  readonly arrivals: number[] = [];
  readonly tags: string[] = [];
  ended: boolean | undefined;
  readonly #ends: (() => void)[] = [];

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.chunks = new ChunkMap(bytes.length);
  }
  get size(): number {
    return this.bytes.length;
  }
  window(offset: number, length: number): Uint8Array {
    return this.bytes.subarray(offset, offset + length);
  }
  tagged(tag: string): void {
    this.tags.push(tag);
  }
  arrived(offset: number): void {
    this.arrivals.push(offset / CHUNK_BYTES);
  }
  close(complete: boolean): void {
    this.ended = complete;
  }
  whenEnded(listener: () => void): void {
    this.#ends.push(listener);
  }
  /** As if it had been completed or given up by other means. */
  end(): void {
    for (const listener of this.#ends.splice(0)) listener();
  }
  /** The same, to be served on while it is still arriving. */
  outgoing(): Outgoing {
    const { bytes, chunks } = this;
    return {
      size: bytes.length,
      chunks,
      read: (offset, length) => bytes.subarray(offset, offset + length),
      close() {},
    };
  }
}

/** An object that is here whole. `opened` counts how many times it is open. */
export function whole(bytes: Uint8Array, opened: { count: number } = { count: 0 }, tag?: string): Outgoing {
  opened.count++;
  return {
    tag,
    size: bytes.length,
    read: (offset, length) => bytes.subarray(offset, offset + length),
    close: () => void opened.count--,
  };
}
