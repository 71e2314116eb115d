/** Whether the event loop of a worker stands still, from what its page says. */
import type { PageView } from "@stingray/task/internal";

/** A loop that has not turned for so long is worth telling. Milliseconds. */
export const BLOCKED_AFTER_MS = 2_000;
/** A turn that was due may be late by so much on a busy machine. Milliseconds. */
const LATE_MS = 500;

export interface Blocked {
  /** Milliseconds. */
  readonly ms: number;
  /** `in Counter.spin` */
  readonly what: string;
}

/**
 * @param before what the page said at the look before: one look alone may come just after the machine slept
 * @param now of the monotonic clock
 */
export function blockedNow(page: PageView, before: PageView | undefined, now: number): Blocked | undefined {
  if (before === undefined || before.turnAt !== page.turnAt || before.dueAt !== page.dueAt) return undefined;
  if (now < page.dueAt + LATE_MS) return undefined;
  const since = page.current === undefined ? page.turnAt : Math.max(page.turnAt, page.begunAt);
  const ms = now - since;
  return ms < BLOCKED_AFTER_MS ? undefined : { ms, what: whatOf(page) };
}

/** The same with what the kernel says of the process: see `processState`. */
export function withState(what: string, state: string | undefined, pid: number): string {
  if (state === "T" || state === "t")
    return `stopped by a signal ("kill -CONT ${pid}" lets it go on), ${what}`;
  return state === "S" || state === "D" ? `${what}, where it waits for the system` : what;
}

/** What a worker is at, as well as it is known. */
export function whatOf({ current, open, last }: PageView): string {
  if (current !== undefined) return `in ${current}`;
  if (open === 0) return "outside of any call, as in a timer";
  const others = open - 1;
  const among = others === 0 ? "" : ` and ${others} other call${others === 1 ? "" : "s"}`;
  return `after an await, with ${last ?? "a call"}${among} under way`;
}
