/** Tells submitters why they wait: quietly at first, loudly when no node can ever serve them or it takes long. */
import type { PendingNotice } from "@stingray/protocol";
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
    const notice = noticeOf(ask, now - ask.waitingSince, limits);
    if (notice === undefined) continue;
    const { told } = ask;
    if (told?.notice === notice) {
      // What was said may be outdated; busy nodes are worth a reminder, too.
      if (now - told.at < limits.busyNoticeMs || (notice !== "busy" && told.reason === ask.reason)) continue;
    }
    ask.told = { at: now, notice, reason: ask.reason };
    effects.pending(ask.process, ask.key, ask.reason, notice);
  }
}

function noticeOf(ask: Ask, waitedMs: number, limits: LeaseLimits): PendingNotice | undefined {
  if (ask.waitsFor === "never" && waitedMs >= limits.infeasibleNoticeMs) return "infeasible";
  if (ask.waitsFor !== "never" && waitedMs >= limits.busyNoticeMs) return "busy";
  return waitedMs >= limits.noteMs ? "note" : undefined;
}
