/** Calls with a `timeoutMs` that do not end by their signal. */
import type { Body } from "@stingray/task/internal";

/**
 * A body whose caller is answered after `ms` although it goes on; it keeps its turn until `settled`, so that no other
 * call comes in between. (A body that never yields can't be interrupted.)
 */
export function answeredInTime(body: Body, ms: number): { body: Body; settled: () => Promise<unknown> } {
  let running: Promise<unknown> = Promise.resolve();
  return {
    body: (...args) => {
      const result = body(...args);
      if (!(result instanceof Promise)) return result;
      running = result;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
      return Promise.race([result, late]).finally(() => clearTimeout(timer));
    },
    settled: () => running,
  };
}
