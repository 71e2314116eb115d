/** Waiting until values are known. */
import { taskIdOf, timerMs } from "@stingray/protocol";
import { currentExecution, type Execution, type WaitsFor } from "./context.js";
import type { ObjectEntry } from "./objects/entry.js";
import type { Runtime } from "./runtime.js";
import type { WaitOptions } from "./wait-options.js";

/** Resolves when `count` of the entries are ready; rejects with the signal's reason, or what `late` makes. */
export function someReady(
  runtime: Runtime,
  entries: readonly ObjectEntry[],
  count: number,
  options: WaitOptions | undefined,
  late: (() => Error) | undefined,
  watch: Watch = watchValue,
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
    const watches: (() => void)[] = [];
    const onReady = (): void => {
      if (--left === 0) end(resolve);
    };
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      for (const forget of watches) forget();
      settle();
    };
    const onAbort = (): void => end(() => reject(signal?.reason));
    if (timeoutMs !== undefined)
      timer = setTimeout(() => end(late === undefined ? resolve : () => reject(late())), timeoutMs);
    signal?.addEventListener("abort", onAbort);
    for (const entry of entries) {
      runtime.table.ask(entry);
      const forget = watch(entry, onReady);
      if (limited) watches.push(forget);
    }
  });
}

/** Calls back once the entry is as it is wanted. Gives a function that ends it. */
export type Watch = (entry: ObjectEntry, ready: () => void) => () => void;

export const watchValue: Watch = (entry, ready) => {
  entry.whenReady(ready);
  return () => entry.forget(ready);
};

/** Values in stores are fetched to this node. One that can't be is ready too: `get` says why. */
export function watchHere(runtime: Runtime, here: Set<ObjectEntry>): Watch {
  return (entry, ready) => {
    let wanted = true;
    const arrived = (): void => {
      here.add(entry);
      if (wanted) ready();
    };
    return watchStop(
      watchValue(entry, () => {
        const { state } = entry;
        if (state.kind !== "stored") arrived();
        else runtime.storage.bring([{ id: entry.id, location: state.location }]).then(arrived, arrived);
      }),
      () => (wanted = false),
    );
  };
}

function watchStop(...steps: (() => void)[]): () => void {
  return () => {
    for (const step of steps) step();
  };
}

/** Those of these whose values are not known, of which `count` (by default all) are waited for. */
export function unready(
  entries: readonly ObjectEntry[],
  options: WaitOptions | undefined,
  count = entries.length,
): WaitsFor {
  const pending = (): ObjectEntry[] => entries.filter(({ ready }) => !ready);
  return {
    tasks: () => pending().map(({ owner, sequence }) => taskIdOf(owner, sequence)),
    needs: () => count - (entries.length - pending().length),
    limited: timerMs(options?.timeoutMs) !== undefined || options?.signal !== undefined,
  };
}

/** What waits shorter than this keeps its place. Milliseconds. */
const BLOCK_AFTER_MS = 1;

/**
 * While the task or call that runs this waits, others may have its place. A task that is cancelled, or out of time,
 * meanwhile waits no longer: what it waits for may never come, and nobody else could end it but by ending its process.
 * Waits that begin after that, to clean up, are waits as any.
 * @param what it waits for
 * @throws the reason of the task's signal, and what `waiting` rejects with
 */
export function makingRoom<T>(waiting: Promise<T>, what?: WaitsFor): Promise<T> {
  const execution = currentExecution();
  if (execution === undefined) return waiting;
  const { signal } = execution.abort;
  const before = signal.aborted;
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    const late = (): void => {
      if (before) return;
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort);
    };
    lendingPlace(execution, waiting, { late, what })
      .then(resolve, reject)
      .finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Waits, for `what`; when that takes longer, `late` is called, and others may have the place of `execution` until it is over. */
export async function lendingPlace<T>(
  execution: Execution,
  waiting: Promise<T>,
  { late, what }: { late?: () => void; what?: WaitsFor | undefined } = {},
): Promise<T> {
  let blocked = false;
  const timer = setTimeout(() => {
    late?.();
    blocked = true;
    execution.block(what);
  }, BLOCK_AFTER_MS);
  try {
    return await waiting;
  } finally {
    clearTimeout(timer);
    if (blocked) execution.resume(what);
  }
}
