/** `put`. */
import { encode } from "@stingray/objectstore";
import { InvalidArgumentError, checkOptions, positiveWhole } from "@stingray/protocol";
import { callSite } from "./objects/origin.js";
import { isObjectRef, type ObjectRef } from "./objects/object-ref.js";
import { runtimeFor } from "./process-state.js";

/** Options of {@link put}. */
export interface PutOptions {
  /**
   * Nodes that are to keep the value, so that it outlives the loss of some of them. `put` resolves when all have it.
   * @defaultValue 1
   */
  copies?: number | undefined;
}

/**
 * Stores a value in this node's object store and returns a reference to it. It is lost with this process, and with
 * the nodes that have it. While the store is full it waits for room; other objects are moved to disk for it.
 *
 * @throws SerializationError with the path of what can't be sent; ObjectStoreFullError where neither memory nor disk
 * has room; UnschedulableError for more copies than there are nodes
 */
export async function put<T>(value: T, options?: PutOptions): Promise<ObjectRef<T>> {
  if (options !== undefined) checkOptions("put()", { copies: positiveWhole }, options);
  const { table, values } = runtimeFor("put()");
  if (isObjectRef(value))
    throw new InvalidArgumentError("put() was given a reference; it is one already, use it as it is");
  const encoded = encode(value, { path: "value" });
  const entry = table.own(table.nextSequence(), 0);
  const ref = table.handle<T>(entry);
  const copies = options?.copies ?? 1;
  if (copies > 1 || !values.putNow(entry, encoded)) {
    try {
      await values.put(entry, encoded, { copies, origin: callSite() });
    } catch (error) {
      ref.release();
      throw error;
    }
  }
  return ref;
}
