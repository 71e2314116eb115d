/** Where the memory of a value lies, by address. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type * as Koffi from "koffi";
import { Data, RecordBatch, Table, Vector } from "apache-arrow";

export interface Piece {
  readonly bytes: number;
  /** Remainder of its address by 64. */
  readonly align: number;
  /** Name of the file whose private mapping it lies in; empty: ordinary memory. */
  readonly file: string;
}

/** The buffers of a value of arrays, plain objects, binary data and Arrow data, each view by itself. */
export function memoryOf(value: unknown): Piece[] {
  const koffi = createRequire(import.meta.url)("koffi") as typeof Koffi;
  const maps = readFileSync("/proc/self/maps", "latin1").split("\n");
  const ranges = maps.flatMap((line) => {
    const found = /^([0-9a-f]+)-([0-9a-f]+) rw-p .* (\/\S+)/.exec(line);
    if (found === null) return [];
    const [, from, to, path] = found as unknown as [string, string, string, string];
    return [{ from: BigInt(`0x${from}`), to: BigInt(`0x${to}`), path }];
  });
  return buffersOf(value).map((buffer) => {
    const view = ArrayBuffer.isView(buffer) ? buffer : new Uint8Array(buffer);
    const bytes = view.byteLength;
    // Of the ArrayBuffer, because koffi.address() of a view is not defined for each kind.
    const address = koffi.address(view.buffer) + BigInt(view.byteOffset);
    const range = ranges.find(({ from, to }) => from <= address && address + BigInt(bytes) <= to);
    return { bytes, align: Number(address % 64n), file: range?.path.split("/").at(-1) ?? "" };
  });
}

function buffersOf(value: unknown): (ArrayBuffer | ArrayBufferView)[] {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return [value];
  if (value instanceof Table) return value.batches.flatMap(buffersOf);
  if (value instanceof RecordBatch) return value.data.children.flatMap(buffersOf);
  if (value instanceof Vector) return value.data.flatMap(buffersOf);
  if (value instanceof Data) {
    const own = Object.values(value.buffers).filter((buffer) => ArrayBuffer.isView(buffer));
    return [...own, ...value.children.flatMap(buffersOf), ...buffersOf(value.dictionary)];
  }
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(buffersOf);
}
