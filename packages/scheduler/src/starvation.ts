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

/** The ask that has waited longest, if it may hold others back and leases of this node, once returned, would do. */
export function starving(
  asks: Iterable<Ask>,
  isOpen: (ask: Ask) => boolean,
  now: number,
  limitMs: number,
  account: ResourceAccount,
  book: LeaseBook,
  isPossible: (ask: Ask) => boolean,
): Ask | undefined {
  let oldest: Ask | undefined;
  for (const ask of asks) {
    if (ask.waitingSince === undefined || !mayHold(now - ask.waitingSince, limitMs)) continue;
    if (oldest !== undefined && ask.priority < oldest.priority) continue;
    const older = oldest === undefined || ask.priority > oldest.priority || isBefore(ask, oldest);
    if (older && isOpen(ask) && isPossible(ask) && reachable(account, ask.need, book)) oldest = ask;
  }
  return oldest;
}

const isBefore = (a: Ask, b: Ask): boolean => (a.waitingSince ?? 0) < (b.waitingSince ?? 0);
