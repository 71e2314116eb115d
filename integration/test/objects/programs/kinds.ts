/** Values of each kind that can lie in shared memory, and tasks that write into theirs. */
import { tableFromArrays, type Table } from "apache-arrow";
import { remote } from "stingray";

const SIZE = 256 * 1024;
export const KINDS = [
  "Uint8Array",
  "Float64Array",
  "BigInt64Array",
  "DataView",
  "ArrayBuffer",
  "Buffer",
] as const;
export type Kind = (typeof KINDS)[number];
export type Memory = ArrayBuffer | ArrayBufferView;

/** Of a quarter of a megabyte, with each byte the same. */
export function sample(kind: Kind, byte: number): Memory {
  if (kind === "Buffer") return Buffer.alloc(SIZE, byte);
  const { buffer } = new Uint8Array(SIZE).fill(byte);
  switch (kind) {
    case "Uint8Array":
      return new Uint8Array(buffer);
    case "Float64Array":
      return new Float64Array(buffer);
    case "BigInt64Array":
      return new BigInt64Array(buffer);
    case "DataView":
      return new DataView(buffer);
    case "ArrayBuffer":
      return buffer;
  }
}

export function bytesOf(memory: Memory): Uint8Array {
  return memory instanceof ArrayBuffer
    ? new Uint8Array(memory)
    : new Uint8Array(memory.buffer, memory.byteOffset, memory.byteLength);
}

/** Overwrites its argument, which nobody else may see. Whether it was what was sent. */
export const scribble = remote((memory: Memory, kind: Kind): boolean => {
  const name = kind === "Buffer" ? "Uint8Array" : kind;
  const right = Object.prototype.toString.call(memory) === `[object ${name}]`;
  const bytes = bytesOf(memory);
  const before = bytes.every((byte) => byte === 1);
  bytes.fill(255);
  return right && before && bytes.every((byte) => byte === 255);
});
export const allBytesAre = remote((memory: Memory, wanted: number): boolean =>
  bytesOf(memory).every((byte) => byte === wanted),
);
export const echo = remote((value: unknown): unknown => value);

export interface Named {
  readonly name: string;
  readonly table: Table;
}
const halvesOf = (table: Table): Float64Array => {
  const values: unknown = table.getChild("half")?.data[0]?.values;
  if (!(values instanceof Float64Array)) throw new Error("there is no column of halves");
  return values;
};
export const sumOfHalves = remote(({ table }: Named): number => {
  let sum = 0;
  for (const half of table.getChild("half") ?? []) sum += half as number;
  // The next reader must not see this.
  halvesOf(table).fill(0);
  return sum;
});
export const doubled = remote(({ table }: Named): Table =>
  tableFromArrays({
    id: table.getChild("id")?.toArray() as Int32Array,
    half: halvesOf(table).map((half) => half * 2),
  }),
);
