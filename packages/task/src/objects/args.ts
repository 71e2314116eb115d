/** Arguments of calls: encoded at the call, so that what the caller changes afterwards is not seen. */
import { encode, type Encoded } from "@stingray/objectstore";
import { InvalidArgumentError, type ObjectId } from "@stingray/protocol";
import type { ObjectEntry } from "./entry.js";
import { isObjectRef } from "./object-ref.js";
import type { ObjectTable } from "./table.js";

/** Results and arguments up to this size travel inside messages; larger ones stay in a store. Bytes. */
export const INLINE_LIMIT = 100 * 1024;

export interface EncodedArgs {
  /** All of them in one piece, where none is a reference or large. */
  whole: Uint8Array | undefined;
  /** Else one slot each. */
  slots: ArgSlot[] | undefined;
  /** Held until the call is over. */
  pinned: ObjectEntry[];
}
export type ArgSlot = { kind: "bytes"; bytes: Uint8Array } | { kind: "object"; entry: ObjectEntry };

export interface ArgLinks {
  readonly table: ObjectTable;
  /** Makes an object of a large argument, whose bytes are copied now; the entry is pinned once. */
  snapshot(encoded: Encoded): ObjectEntry;
}

/**
 * @throws SerializationError with the path of what can't be sent; InvalidArgumentError for a reference that can't be
 * used. Nothing is held then.
 */
export function encodeArgs(args: readonly unknown[], links: ArgLinks): EncodedArgs {
  let split = false;
  for (const arg of args) if (isObjectRef(arg)) split = true;
  if (!split) {
    const encoded = encode(args, { path: "args" });
    if (encoded.size <= INLINE_LIMIT)
      return { whole: encoded.bytes(), slots: undefined, pinned: pinIds(encoded.refs, links.table) };
  }
  const pinned: ObjectEntry[] = [];
  try {
    return { whole: undefined, slots: args.map((arg, i) => encodeArg(arg, i, pinned, links)), pinned };
  } catch (error) {
    for (const entry of pinned) links.table.unpin(entry);
    throw error;
  }
}

function encodeArg(arg: unknown, i: number, pinned: ObjectEntry[], links: ArgLinks): ArgSlot {
  if (isObjectRef(arg)) {
    const { unusable } = arg;
    if (unusable !== undefined) throw new InvalidArgumentError(`args[${i}]: ${unusable}`);
    links.table.pin(arg.entry);
    pinned.push(arg.entry);
    return { kind: "object", entry: arg.entry };
  }
  const encoded = encode(arg, { path: `args[${i}]` });
  pinned.push(...pinIds(encoded.refs, links.table));
  if (encoded.size <= INLINE_LIMIT) return { kind: "bytes", bytes: encoded.bytes() };
  const entry = links.snapshot(encoded);
  pinned.push(entry);
  return { kind: "object", entry };
}

function pinIds(ids: readonly string[], table: ObjectTable): ObjectEntry[] {
  if (ids.length === 0) return [];
  const entries: ObjectEntry[] = [];
  for (const id of ids) {
    const entry = table.lookup(id as ObjectId);
    if (entry === undefined) continue;
    table.pin(entry);
    entries.push(entry);
  }
  return entries;
}
