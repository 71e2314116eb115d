/** Waits for anything, with the limits that users give to waits. */
import { timerMs } from "@stingray/protocol";
import type { WaitOptions } from "./wait-options.js";

/**
 * What the promise gives, or a rejection with the signal's reason, or with what `late` makes once the time is over. What
 * it waits for goes on in either case.
 */
export function bounded<T>(
  promise: Promise<T>,
  options: WaitOptions,
  late: (timeoutMs: number) => Error,
): Promise<T> {
  const { signal } = options;
  const timeoutMs = timerMs(options.timeoutMs);
  if (signal === undefined && timeoutMs === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal?.reason);
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => reject(late(timeoutMs)), timeoutMs);
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    promise.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    });
  });
}
