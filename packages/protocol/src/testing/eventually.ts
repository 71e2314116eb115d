/** Waiting in tests: for what other processes do, and for what must fail. */
import { inspect } from "node:util";

/** How {@link eventually} waits. */
export interface EventuallyOptions {
  /** What is waited for, for the error: "the actor is back". @defaultValue none */
  message?: string | undefined;
  /** Milliseconds. @defaultValue 15000 */
  timeoutMs?: number | undefined;
  /** Milliseconds between the end of one look and the next; the first pauses are shorter. @defaultValue 20 */
  intervalMs?: number | undefined;
  /** Ends the wait with its reason. @defaultValue none */
  signal?: AbortSignal | undefined;
}

/** What a check may give: anything that is not falsy counts. */
export type Truthy<T> = Exclude<T, false | 0 | 0n | "" | null | undefined | void>;

const TIMEOUT_MS = 15_000;
const INTERVAL_MS = 20;

/**
 * Looks again and again until `check` gives something true, and resolves with that. What it throws or rejects with
 * counts as "not yet".
 *
 * @param options how it waits, or just what for
 * @throws Error after the time, whose message has the last reason and whose `cause` is that; the signal's reason
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  options: EventuallyOptions | string = {},
): Promise<Truthy<T>> {
  const o = typeof options === "string" ? { message: options } : options;
  const { message = "what was waited for", timeoutMs = TIMEOUT_MS, intervalMs = INTERVAL_MS, signal } = o;
  const deadline = performance.now() + timeoutMs;
  let reason: unknown;
  for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, intervalMs)) {
    signal?.throwIfAborted();
    try {
      const value = await check();
      if (value) return value as Truthy<T>;
      reason = value;
    } catch (error) {
      reason = error;
    }
    if (performance.now() > deadline)
      throw new Error(`${message}: not within ${timeoutMs} ms (${shown(reason)})`, { cause: reason });
    await new Promise((resolve) => setTimeout(resolve, Math.min(pauseMs, intervalMs)));
  }
}

/** What a promise rejects with. @throws Error where it resolves */
export async function rejection(promise: PromiseLike<unknown>): Promise<Error & { code?: string }> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error as Error & { code?: string };
  }
  throw new Error(`resolved with ${inspect(value, { depth: 1 }).slice(0, 200)} instead of rejecting`);
}

function shown(reason: unknown): string {
  return reason instanceof Error ? reason.message : inspect(reason, { depth: 1 }).slice(0, 500);
}
