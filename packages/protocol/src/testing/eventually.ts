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
 * counts as "not yet". A check that has not ended by then is left alone.
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
  signal?.throwIfAborted();
  const limit = new Limit(timeoutMs, signal);
  let reason: unknown = "the first look has not ended";
  try {
    for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, intervalMs)) {
      try {
        // The check itself may hang.
        const value = await Promise.race([check(), limit.reached]);
        if (value === REACHED) break;
        if (value) return value as Truthy<T>;
        reason = value;
      } catch (error) {
        reason = error;
      }
      if (limit.isReached || (await limit.pause(Math.min(pauseMs, intervalMs)))) break;
    }
  } finally {
    limit.end();
  }
  signal?.throwIfAborted();
  throw new Error(`${message}: not within ${timeoutMs} ms (${shown(reason)})`, { cause: reason });
}

const REACHED = Symbol("the time is up, or the signal was given");

class Limit {
  readonly reached: Promise<typeof REACHED>;
  isReached = false;
  /** Idempotent. */
  end = (): void => undefined;

  constructor(ms: number, signal: AbortSignal | undefined) {
    this.reached = new Promise((resolve) => {
      const reach = (): void => {
        this.isReached = true;
        resolve(REACHED);
      };
      const timer = setTimeout(reach, Math.min(ms, 2 ** 31 - 1));
      signal?.addEventListener("abort", reach, { once: true });
      this.end = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", reach);
      };
    });
  }

  /** @returns whether it was reached meanwhile */
  async pause(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
    await Promise.race([over, this.reached]);
    clearTimeout(timer);
    return this.isReached;
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
  if (typeof reason === "string") return reason;
  return reason instanceof Error ? reason.message : inspect(reason, { depth: 1 }).slice(0, 500);
}
