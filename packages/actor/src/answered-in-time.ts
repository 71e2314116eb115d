/** Calls with a `timeoutMs` that do not end by their signal. */
import type { Body } from "@stingray/task/internal";

/**
 * A body whose caller is answered after `ms` although it goes on; it keeps its turn until `settled`, so that no other
 * call comes in between. (A body that never yields can't be interrupted.)
 * @param stream what the body gives is read item by item
 */
export function answeredInTime(
  body: Body,
  ms: number,
  stream: boolean,
): { body: Body; settled: () => Promise<unknown> } {
  let running: Promise<unknown> = Promise.resolve();
  return {
    body: (...args) => {
      const end = performance.now() + ms;
      const inTime = <T, L>(waiting: Promise<T>, late: L): Promise<T | L> => {
        running = Promise.allSettled([running, waiting]);
        return atMost(waiting, end, late);
      };
      const result = body(...args);
      if (!(result instanceof Promise)) return stream ? itemsInTime(result, inTime) : result;
      return inTime(result, undefined).then((value) => (stream ? itemsInTime(value, inTime) : value));
    },
    settled: () => running,
  };
}

/** What `waiting` gives, or `late` where that is not there at `end` (by `performance.now()`). */
function atMost<T, L>(waiting: Promise<T>, end: number, late: L): Promise<T | L> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<L>((resolve) => {
    timer = setTimeout(() => resolve(late), Math.max(0, end - performance.now()));
  });
  return Promise.race([waiting, tooLate]).finally(() => clearTimeout(timer));
}

type InTime = <T, L>(waiting: Promise<T>, late: L) => Promise<T | L>;

const OVER: IteratorResult<unknown> = { done: true, value: undefined };

/** The same items; they end where one is not there in time, and the generator is told once it comes to its next yield. */
function itemsInTime(result: unknown, inTime: InTime): unknown {
  const made = result as Partial<AsyncIterable<unknown>> | null | undefined;
  // Those of others come at once, or block the process.
  if (typeof made?.[Symbol.asyncIterator] !== "function") return result;
  const items = (made as AsyncIterable<unknown>)[Symbol.asyncIterator]();
  const leave = async (): Promise<IteratorResult<unknown>> => (await items.return?.()) ?? OVER;
  return {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        const item = await inTime(items.next(), undefined);
        if (item !== undefined) return item;
        void inTime(leave(), undefined).catch(() => {});
        return OVER;
      },
      return: () => inTime(leave(), OVER),
    }),
  };
}
