/** `put`, `get`, `wait`, `asCompleted` and `cancel`: what users do with references. */
import { types } from "node:util";
import { encode } from "@stingray/objectstore";
import {
  GetTimeoutError,
  InvalidArgumentError,
  abortSignal,
  checkOptions,
  describe,
  milliseconds,
  optionBool,
  ownerOf,
  positiveWhole,
  finiteNumber,
  timerMs,
  type OptionRules,
} from "@stingray/protocol";
import { currentExecution } from "./context.js";
import type { ObjectEntry } from "./objects/entry.js";
import { isObjectRef, type ObjectRef } from "./objects/object-ref.js";
import { runtimeFor } from "./process-state.js";
import type { Runtime } from "./runtime.js";
import { isObjectRefStream, type ObjectRefStream } from "./stream.js";

/** What ends a wait early. */
export interface WaitOptions {
  /** Milliseconds; 0 looks without waiting. @defaultValue no limit */
  timeoutMs?: number | undefined;
  /** Ends the wait with its reason; what was waited for goes on. */
  signal?: AbortSignal | undefined;
}
const WAIT_RULES: OptionRules = {
  timeoutMs: (v) => (v === 0 ? undefined : milliseconds(v)),
  signal: abortSignal,
};

/** A task that waits shorter than this keeps its place. Milliseconds. */
const BLOCK_AFTER_MS = 1;

/** The values of a tuple or array of references. */
export type Values<R extends readonly unknown[]> = {
  -readonly [K in keyof R]: R[K] extends ObjectRef<infer T> ? T : never;
};

/**
 * Stores a value in this node's object store and returns a reference to it. It is lost with the node, or with this
 * process.
 *
 * @param options.copies checked, and without effect for now
 * @throws SerializationError with the path of what can't be sent; ObjectStoreFullError
 */
export async function put<T>(value: T, options?: { copies?: number | undefined }): Promise<ObjectRef<T>> {
  checkOptions("put()", { copies: positiveWhole }, options);
  const { table, values } = runtimeFor("put()");
  if (isObjectRef(value))
    throw new InvalidArgumentError("put() was given a reference; it is one already, use it as it is");
  const encoded = encode(value, { path: "value" });
  const entry = table.own(table.nextSequence(), 0);
  const ref = table.handle<T>(entry);
  if (!values.putNow(entry, encoded)) {
    try {
      await values.put(entry, encoded);
    } catch (error) {
      ref.release();
      throw error;
    }
  }
  return ref;
}

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
    if (!entry.ready) await allReady(runtime, [entry], options);
    return runtime.values.read(entry);
  }
  if (!Array.isArray(refs)) {
    throw new InvalidArgumentError(`get() takes an ObjectRef or an array of them, got ${whatInstead(refs)}`);
  }
  const entries = refs.map((ref: unknown, i) => usable(ref, `get()[${i}]`));
  const pending = entries.filter((entry) => !entry.ready);
  if (pending.length > 0) await allReady(runtime, pending, options);
  return Promise.all(readAll(runtime, entries));
}

/** Their values, or promises of those that lie in a store. */
function readAll(runtime: Runtime, entries: readonly ObjectEntry[]): unknown[] {
  const found: unknown[] = [];
  try {
    for (const entry of entries) found.push(runtime.values.read(entry));
  } catch (error) {
    // What is being read is not waited for any more, and may fail, too.
    for (const value of found) if (types.isPromise(value)) value.catch(() => {});
    throw error;
  }
  return found;
}

function usable(ref: unknown, where: string): ObjectEntry {
  if (!isObjectRef(ref))
    throw new InvalidArgumentError(`${where}: expected an ObjectRef, got ${whatInstead(ref)}`);
  const { unusable } = ref;
  if (unusable !== undefined) throw new InvalidArgumentError(`${where}: ${unusable}`);
  return ref.entry;
}

/** What was given in place of a reference, and how one is got from it. */
function whatInstead(value: unknown): string {
  if (isObjectRefStream(value))
    return "an ObjectRefStream; iterate it with `for await`, and get each reference";
  if (types.isPromise(value)) return "a Promise; await it first, it may be one of a reference";
  return describe(value);
}

/** Resolves when all are ready. While it waits, the task that waits makes room for others. */
async function allReady(
  runtime: Runtime,
  entries: readonly ObjectEntry[],
  options: WaitOptions | undefined,
): Promise<void> {
  const execution = currentExecution();
  let blocked = false;
  const timer =
    execution === undefined
      ? undefined
      : setTimeout(() => {
          blocked = true;
          execution.block();
        }, BLOCK_AFTER_MS);
  try {
    await someReady(runtime, entries, entries.length, options, () => {
      const first = entries.find((e) => !e.ready);
      return new GetTimeoutError(
        `get() did not have ${entries.filter((e) => !e.ready).length} of ${entries.length} value(s) after ${options?.timeoutMs} ms` +
          (first === undefined ? "" : `, among them ${first.id}`) +
          "; the tasks go on and get() may be called again",
      );
    });
  } finally {
    clearTimeout(timer);
    if (blocked) execution?.resume();
  }
}

/** Resolves when `count` of the entries are ready; rejects with the signal's reason, or what `late` makes. */
function someReady(
  runtime: Runtime,
  entries: readonly ObjectEntry[],
  count: number,
  options: WaitOptions | undefined,
  late: (() => Error) | undefined,
): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const signal = options?.signal;
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    let left = count;
    let timer: NodeJS.Timeout | undefined;
    const timeoutMs = timerMs(options?.timeoutMs);
    const limited = timeoutMs !== undefined || signal !== undefined || count < entries.length;
    const onReady = (): void => {
      if (--left === 0) end(resolve);
    };
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      if (limited) for (const entry of entries) entry.forget(onReady);
      settle();
    };
    const onAbort = (): void => end(() => reject(signal?.reason));
    if (timeoutMs !== undefined)
      timer = setTimeout(() => end(late === undefined ? resolve : () => reject(late())), timeoutMs);
    signal?.addEventListener("abort", onAbort);
    for (const entry of entries) {
      runtime.table.ask(entry);
      entry.whenReady(onReady);
    }
  });
}

/** While a task waits, others may have its place. */
async function makingRoom(waiting: Promise<void>): Promise<void> {
  const execution = currentExecution();
  execution?.block();
  try {
    await waiting;
  } finally {
    execution?.resume();
  }
}

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
    /** Checked, and without effect for now: values are brought here by `get`. */
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
  if (entries.filter((e) => e.ready).length < count) {
    await makingRoom(someReady(runtime, entries, count, options, undefined));
  }
  const ready: R[] = [];
  const pending: R[] = [];
  refs.forEach((ref, i) => (ready.length < count && entries[i]?.ready === true ? ready : pending).push(ref));
  return [ready, pending];
}

/**
 * Yields the references in the order in which their values become ready.
 *
 * @throws InvalidArgumentError for a repeated reference or anything that is no reference
 */
export async function* asCompleted<R extends ObjectRef>(refs: Iterable<R>): AsyncGenerator<R, void, void> {
  const { table } = runtimeFor("asCompleted()");
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
      if (next === ready.length) await makingRoom(new Promise<void>((resolve) => (wake = resolve)));
      yield ready[next] as R;
    }
  } finally {
    for (const { entry, onReady } of watches) entry.forget(onReady);
  }
}

/**
 * Cancels a task or call by its reference, or a stream. Queued: it never runs. Running: its signal aborts and
 * `isCancelled()` turns true; `force` ends its worker. `get` then throws TaskCancelledError. What has ended is left
 * as it is.
 *
 * @throws InvalidArgumentError for a reference of a task that another process submitted
 */
export async function cancel(
  target: ObjectRef | ObjectRefStream,
  options: {
    /** End the worker process, for code that does not look at its signal. @defaultValue false */
    force?: boolean | undefined;
    /** Also what the task has submitted itself. @defaultValue true */
    recursive?: boolean | undefined;
  } = {},
): Promise<void> {
  const runtime = runtimeFor("cancel()");
  checkOptions("cancel()", { force: optionBool, recursive: optionBool }, options);
  let sequence: number;
  if (isObjectRefStream(target)) {
    sequence = target.sequence;
    target.state.leave();
  } else {
    const entry = usable(target, "cancel()");
    if (!entry.owned) {
      throw new InvalidArgumentError(
        `cancel(): ${entry.id} belongs to process ${ownerOf(entry.id)}; only the process that submitted a task can cancel it`,
      );
    }
    sequence = entry.sequence;
  }
  await runtime.cancel(sequence, { force: options.force ?? false, recursive: options.recursive ?? true });
}
