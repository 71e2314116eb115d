/** `get`. */
import { types } from "node:util";
import { GetTimeoutError, InvalidArgumentError, checkOptions } from "@stingray/protocol";
import { currentExecution } from "./context.js";
import type { ObjectEntry } from "./objects/entry.js";
import { isObjectRef, type ObjectRef } from "./objects/object-ref.js";
import { runtimeFor } from "./process-state.js";
import { makingRoom, someReady, unready } from "./ready.js";
import type { Runtime } from "./runtime.js";
import { usable, whatInstead } from "./usable.js";
import { WAIT_RULES, type WaitOptions } from "./wait-options.js";

/** The values of a tuple or array of references. */
export type Values<R extends readonly unknown[]> = {
  -readonly [K in keyof R]: R[K] extends ObjectRef<infer T> ? T : never;
};

/**
 * Waits for values and returns them: one for a reference, an array in order for an array. Each `get` gives values of
 * its own. Typed arrays, buffers and Arrow data of 64 KiB and more are views on shared memory; writing into one
 * changes this process's copy only.
 *
 * @throws GetTimeoutError; TaskError and others that say why a value could not be made; InvalidArgumentError for
 * anything that is no reference
 */
export function get<T>(ref: ObjectRef<T>, options?: WaitOptions): Promise<T>;
export function get<const R extends readonly ObjectRef[]>(refs: R, options?: WaitOptions): Promise<Values<R>>;
export async function get(refs: ObjectRef | readonly ObjectRef[], options?: WaitOptions): Promise<unknown> {
  const runtime = runtimeFor("get()");
  if (options !== undefined) checkOptions("get()", WAIT_RULES, options);
  if (isObjectRef(refs)) {
    const entry = usable(refs, "get()");
    const left = timeLeft(options);
    while (!entry.ready) await onceReady(runtime, [entry], left(), options);
    return runtime.values.read(entry, currentExecution());
  }
  if (!Array.isArray(refs)) {
    throw new InvalidArgumentError(`get() takes an ObjectRef or an array of them, got ${whatInstead(refs)}`);
  }
  const entries = refs.map((ref: unknown, i) => usable(ref, `get()[${i}]`));
  const left = timeLeft(options);
  // One that was there may be lost, and made again, until the last has come: they are read in the turn that sees all.
  while (entries.some((entry) => !entry.ready)) {
    const pending = entries.filter((entry) => !entry.ready);
    await onceReady(runtime, pending, left(), options);
  }
  return Promise.all(readAll(runtime, entries));
}

/** Their values, or promises of those that lie in a store. */
function readAll(runtime: Runtime, entries: readonly ObjectEntry[]): unknown[] {
  const found: unknown[] = [];
  try {
    const execution = currentExecution();
    for (const entry of entries) found.push(runtime.values.read(entry, execution));
  } catch (error) {
    // What is being read is not waited for any more, and may fail, too.
    for (const value of found) if (types.isPromise(value)) value.catch(() => {});
    throw error;
  }
  return found;
}

/** The options again and again, with the time that is left of them. */
function timeLeft(options: WaitOptions | undefined): () => WaitOptions | undefined {
  const limit = options?.timeoutMs;
  if (limit === undefined) return () => options;
  const end = performance.now() + limit;
  return () => ({ ...options, timeoutMs: Math.max(0, Math.ceil(end - performance.now())) });
}

/**
 * Resolves when each has been ready. While it waits, the task that waits makes room for others.
 * @param left of the time in `given`, which is what the user said
 */
function onceReady(
  runtime: Runtime,
  entries: readonly ObjectEntry[],
  left: WaitOptions | undefined,
  given: WaitOptions | undefined,
): Promise<void> {
  const waiting = someReady(runtime, entries, entries.length, left, () => {
    const late = entries.filter((e) => !e.ready);
    const [first] = late;
    return new GetTimeoutError(
      `get() did not have ${late.length} of ${entries.length} value(s) after ${given?.timeoutMs} ms` +
        (first === undefined ? "" : `, among them ${first.id}: ${runtime.explainer.explain(first)}`) +
        "; the tasks go on and get() may be called again",
    );
  });
  return makingRoom(waiting, unready(entries, left));
}
