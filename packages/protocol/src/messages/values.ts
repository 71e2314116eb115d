/** Values on the wire. */
import { bytes, list, oneOf, text, tuple, uint, type Check } from "../check.js";
import { processId, nodeId, objectId } from "./id-checks.js";

/**
 * A value, or where it is: `[0, bytes]` the encoded value itself; `[1, location, object]` it lies in the
 * stores of nodes, under that object id;
 * `[2, bytes]` an encoded error, which is what `get` throws; `[3, text]` the owner knows no such object (freed,
 * never existed): the text says which.
 */
export type ValueDesc =
  | [kind: 0, encoded: Uint8Array]
  | [kind: 1, location: Location, object: string]
  | [kind: 2, error: Uint8Array]
  | [kind: 3, why: string];
export const ValueKind = { Inline: 0, Stored: 1, Error: 2, Unknown: 3 } as const;

/**
 * Where a large object lies: its size in bytes, the nodes that have it whole, with their agents, and how often its owner
 * has had it made again (whoever makes it says 0).
 */
export type Location = [size: number, copies: [node: string, agent: string][], generation: number];
const location: Check<Location> = tuple<Location>(
  uint,
  list(tuple<[string, string]>(nodeId, processId), 10_000),
  uint,
);

export const valueDesc: Check<ValueDesc> = (value, at) => {
  const [kind] = tuple<[0 | 1 | 2 | 3]>(oneOf(0, 1, 2, 3))(value, at);
  const rest = (value as unknown[])[1];
  if (kind === 1) {
    location(rest, `${at}.location`);
    objectId((value as unknown[])[2], `${at}.object`);
  } else if (kind === 3) text(rest, `${at}.why`);
  else bytes(rest, `${at}.bytes`);
  return value as ValueDesc;
};
