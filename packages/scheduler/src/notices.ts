/** Tells submitters why they wait: soon when no node can ever serve them, rarely when all are just busy. */
import type { Ask } from "./ask.js";
import type { LeaseEffects, LeaseLimits } from "./types.js";

/** Sends `pending` for those who have waited long enough and were not told yet. */
export function tellWaiting(
  waiting: readonly Ask[],
  now: number,
  limits: LeaseLimits,
  effects: LeaseEffects,
): void {
  for (const ask of waiting) {
    if (ask.process === undefined || ask.waitingSince === undefined) continue;
    const never = ask.waitsFor === "never";
    const due = never ? limits.infeasibleNoticeMs : limits.busyNoticeMs;
    if (now - ask.waitingSince < due) continue;
    // A demand that can't be served is a fact told once; busy nodes are worth a reminder.
    const { told } = ask;
    if (told !== undefined && told.never === never && (never || now - told.at < due)) continue;
    ask.told = { at: now, never };
    effects.pending(ask.process, ask.key, ask.reason);
  }
}
