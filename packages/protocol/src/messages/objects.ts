/** Objects: who owns a value, who holds a reference to it, which node keeps it. */
import { list, oneOf, optional, text, tuple, uint, type Checked } from "../check.js";
import { nodeId, objectId, processId } from "./id-checks.js";
import { Op } from "./op.js";
import { type ValueDesc, valueDesc } from "./values.js";

/** `[30, object]` to its owner: send ObjectValue as soon as it is there. */
export const objectGet = tuple<[op: 30, object: string]>(oneOf(Op.ObjectGet), objectId);
/** `[31, object]` to its owner: this process holds a reference; counts one borrow of this process. */
export const objectBorrow = tuple<[op: 31, object: string]>(oneOf(Op.ObjectBorrow), objectId);
/**
 * `[32, object, count]` to its owner: gives back `count` borrows of this process. Counted, because an owner may note
 * a new borrow (sending the reference in a result) while the release of an earlier one is on its way.
 */
export const objectRelease = tuple<[op: 32, object: string, count: number]>(
  oneOf(Op.ObjectRelease),
  objectId,
  uint,
);
/** `[33, object, value]` from its owner. */
export const objectValue = tuple<[op: 33, object: string, value: ValueDesc]>(
  oneOf(Op.ObjectValue),
  objectId,
  valueDesc,
);
export type ObjectValue = Checked<typeof objectValue>;

/**
 * `[34, object, size, node, agent]` from the agent of a node that has fetched a copy to the owner, who tells readers and
 * frees it with the others. An owner that does not know the object (any more) answers the agent with StoreFree.
 */
export const objectCopied = tuple<[op: 34, object: string, size: number, node: string, agent: string]>(
  oneOf(Op.ObjectCopied),
  objectId,
  uint,
  nodeId,
  processId,
);

/**
 * `[40, object, size, file, origin]` to the local agent: the file that `store.create` gave was written and has the
 * object's name. `file`: it was one of `store.lease`, by its number; then `origin` as in `store.create`.
 */
export const storeSealed = tuple<
  [op: 40, object: string, size: number, file: number | undefined, origin: string | undefined]
>(oneOf(Op.StoreSealed), objectId, uint, optional(uint), optional(text));
/** `[41, objects]` to an agent: drop your copies. Unknown ids are no error. */
export const storeFree = tuple<[op: 41, objects: string[]]>(oneOf(Op.StoreFree), list(objectId));
/** `[42, objects]` to the local agent: the sender has mapped or read what `store.open` held for it, once for each. */
export const storeDone = tuple<[op: 42, objects: string[]]>(oneOf(Op.StoreDone), list(objectId));
/** `[43, files]` to the local agent: files of `store.lease` that are not needed any more, by their numbers. */
export const storeReturn = tuple<[op: 43, files: number[]]>(oneOf(Op.StoreReturn), list(uint));
/** `[44, object]` to the local agent: what the sender was given room for came to nothing. */
export const storeAbandoned = tuple<[op: 44, object: string]>(oneOf(Op.StoreAbandoned), objectId);
/** `[45, object]` to the local agent: what it has of the object can't be read; it is to look, and to drop it. */
export const storeDamaged = tuple<[op: 45, object: string]>(oneOf(Op.StoreDamaged), objectId);
