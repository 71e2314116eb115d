/** Keeps small requests from starving a large one. */
import type { ResourceAccount } from "./account.js";
import type { Ask } from "./ask.js";
import type { LeaseBook } from "./lease-book.js";
import { reachable } from "./router.js";

/**
 * Whether one that has waited this long may hold others back now: in the first half of every interval from
 * `2^k` to `2^(k+1)` times the limit. So it gets its chance however long tasks run, and the node is never idle for
 * more than about half of the time.
 */
export function mayHold(waitedMs: number, limitMs: number): boolean {
  const times = waitedMs / limitMs;
  if (times < 1) return false;
  const start = 2 ** Math.floor(Math.log2(times));
  return times < 1.5 * start;
}

/** The one that has waited longest (of the highest priority), if it may hold others back and returned leases would do. */
export function starving(
  asks: readonly Ask[],
  now: number,
  limitMs: number,
  account: ResourceAccount,
  book: LeaseBook,
): Ask | undefined {
  const since = (ask: Ask): number => ask.waitingSince ?? now;
  return asks
    .filter((ask) => mayHold(now - since(ask), limitMs))
    .toSorted((a, b) => b.priority - a.priority || since(a) - since(b))
    .find((ask) => reachable(account, ask.need, book));
}
