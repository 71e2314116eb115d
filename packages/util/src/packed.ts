/**
 * Items on their way through a queue. The queue's process does not know the classes of its users, so an item travels as
 * the bytes of its encoding, which only its receiver decodes; one that contains references or handles travels as a
 * value, so that they are counted. A large one is an object of its own: calls with small arguments run in the order in
 * which they were made.
 */
import { decode, encode } from "@stingray/objectstore";
import { put } from "@stingray/task";

/** What an item is packed as. */
export const Kind = { Bytes: 0, Value: 1 } as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** Items above this travel as an object, in bytes of their encoding. */
const LARGE_BYTES = 64 * 1024;

export interface Packed {
  readonly kind: Kind;
  /** In an array of one, so that a reference stays one: the item, or where it is large, the reference to it. */
  readonly data: readonly [unknown];
  readonly large: boolean;
}

/** @throws SerializationError */
export function pack(item: unknown): Packed | Promise<Packed> {
  const encoded = encode(item, { path: "item" });
  const kind = encoded.refs.length > 0 ? Kind.Value : Kind.Bytes;
  const data = kind === Kind.Value ? item : encoded.bytes();
  if (encoded.size <= LARGE_BYTES) return { kind, data: [data], large: false };
  return put(data).then((ref) => ({ kind, data: [ref], large: true }));
}

export function unpack(kind: Kind, data: unknown): unknown {
  return kind === Kind.Bytes ? decode(data as Uint8Array) : data;
}
