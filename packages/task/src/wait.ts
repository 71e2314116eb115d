/** `wait` and `asCompleted`. */
import {
  InvalidArgumentError,
  TimeoutError,
  checkOptions,
  finiteNumber,
  optionBool,
} from "@stingray/protocol";
import { bounded } from "./bounded.js";
import type { ObjectEntry } from "./objects/entry.js";
import type { ObjectRef } from "./objects/object-ref.js";
import { runtimeFor } from "./process-state.js";
import { makingRoom, someReady, unready, watchHere, watchValue } from "./ready.js";
import { usable, whatInstead } from "./usable.js";
import { WAIT_RULES, timeLeft, type WaitOptions } from "./wait-options.js";

/**
 * Waits until `count` of the references are ready, or the time is over. Returns at most `count` ready ones, in the
 * order given, and the rest.
 *
 * @throws InvalidArgumentError for a repeated reference, anything that is no reference, or a count above their number
 */
export async function wait<R extends ObjectRef>(
  refs: readonly R[],
  options: WaitOptions & {
    /** @defaultValue 1 */
    count?: number | undefined;
    /** A value in a store counts as ready only when it is on this node; it is fetched. @defaultValue false */
    fetch?: boolean | undefined;
  } = {},
): Promise<[ready: R[], pending: R[]]> {
  const runtime = runtimeFor("wait()");
  checkOptions("wait()", { ...WAIT_RULES, count: finiteNumber, fetch: optionBool }, options);
  if (!Array.isArray(refs))
    throw new InvalidArgumentError(`wait() takes an array of ObjectRefs, got ${whatInstead(refs)}`);
  const entries = refs.map((ref: unknown, i) => usable(ref, `wait()[${i}]`));
  if (entries.length === 0) return [[], []];
  const count = options.count ?? 1;
  if (!Number.isInteger(count) || count < 1 || count > entries.length) {
    throw new InvalidArgumentError(
      `wait(): count must be from 1 to the number of references (${entries.length}), got ${count}`,
    );
  }
  if (new Set(entries).size < entries.length)
    throw new InvalidArgumentError("wait(): a reference is repeated; give each once");
  const here = new Set<ObjectEntry>();
  const isReady = options.fetch === true ? (e: ObjectEntry) => here.has(e) : (e: ObjectEntry) => e.ready;
  const watch = options.fetch === true ? watchHere(runtime, here) : watchValue;
  if (entries.filter(isReady).length < count) {
    const some = someReady(runtime, entries, count, options, undefined, watch);
    await makingRoom(some, unready(entries, options, count));
  }
  const ready: R[] = [];
  const pending: R[] = [];
  refs.forEach((ref, i) => {
    const entry = entries[i];
    (ready.length < count && entry !== undefined && isReady(entry) ? ready : pending).push(ref);
  });
  return [ready, pending];
}

/**
 * Yields the references in the order in which their values become ready.
 *
 * @param options.timeoutMs for all of them together, from when the first is asked for
 * @throws InvalidArgumentError for a repeated reference or anything that is no reference; TimeoutError; the signal's
 * reason
 */
export async function* asCompleted<R extends ObjectRef>(
  refs: Iterable<R>,
  options: WaitOptions = {},
): AsyncGenerator<R, void, void> {
  const { table } = runtimeFor("asCompleted()");
  checkOptions("asCompleted()", WAIT_RULES, options);
  const end = performance.now() + (options.timeoutMs ?? Infinity);
  const all = [...refs];
  const entries = all.map((ref: unknown, i) => usable(ref, `asCompleted()[${i}]`));
  if (new Set(entries).size < entries.length)
    throw new InvalidArgumentError("asCompleted(): a reference is repeated; give each once");
  const ready: R[] = [];
  let wake: (() => void) | undefined;
  const watches = all.map((ref, i) => ({
    entry: entries[i] as ObjectEntry,
    onReady: () => {
      ready.push(ref);
      wake?.();
    },
  }));
  try {
    for (const { entry, onReady } of watches) {
      table.ask(entry);
      entry.whenReady(onReady);
    }
    for (let next = 0; next < all.length; next++) {
      if (next === ready.length) {
        const some = new Promise<void>((resolve) => (wake = resolve));
        const late = (): Error =>
          new TimeoutError(
            `asCompleted() had ${next} of ${all.length} value(s) after ${options.timeoutMs} ms; the tasks go on`,
          );
        await makingRoom(bounded(some, timeLeft(options, end), late), unready(entries, options, next + 1));
      }
      yield ready[next] as R;
    }
  } finally {
    for (const { entry, onReady } of watches) entry.forget(onReady);
  }
}
