/** When reminders come: arithmetic on times in milliseconds since 1970, without a clock. */
import { Cron } from "croner";
import type { ReminderSchedule } from "@stingray/gcs-kv";
import { InvalidOptionError, toError, type ReminderTiming } from "@stingray/protocol";

const DEFAULT_ZONE = "UTC";

/** When a reminder that is set now comes first, and how it goes on. @throws InvalidOptionError */
export function begin(
  timing: ReminderTiming,
  now: number,
): { nextAt: number; schedule: ReminderSchedule | undefined } {
  const { delayMs, at, everyMs, cron, timeZone } = timing;
  if (timeZone !== undefined && cron === undefined) throw bad("timeZone is only for cron");
  if (cron !== undefined) {
    if (delayMs !== undefined || at !== undefined || everyMs !== undefined)
      throw bad("cron can't be given together with delayMs, at or everyMs");
    const schedule: ReminderSchedule = { cron, timeZone: timeZone ?? DEFAULT_ZONE };
    const nextAt = following(schedule, now);
    if (nextAt === undefined) throw bad(`the cron expression "${cron}" names no time that is still to come`);
    return { nextAt, schedule };
  }
  if (delayMs !== undefined && at !== undefined) throw bad("give delayMs or at, not both");
  if (everyMs !== undefined && !(everyMs >= 1)) throw bad("everyMs must be at least 1");
  const first = delayMs === undefined ? at : now + delayMs;
  if (everyMs !== undefined) return { nextAt: first ?? now + everyMs, schedule: { everyMs } };
  if (first === undefined) throw bad("give one of delayMs, at, everyMs and cron");
  return { nextAt: first, schedule: undefined };
}

/**
 * The next occurrence, after the one at `last` was delivered at `now`: the first that is later than both. So those that
 * were missed are made up for by one.
 * @returns undefined where there is none
 */
export function next(schedule: ReminderSchedule | undefined, last: number, now: number): number | undefined {
  if (schedule === undefined) return undefined;
  const { everyMs } = schedule;
  if (everyMs === undefined) return following(schedule, Math.max(last, now));
  return last + everyMs * (Math.floor(Math.max(0, now - last) / everyMs) + 1);
}

/** Of a cron expression: the first time later than `after`. @throws InvalidOptionError */
function following({ cron, timeZone }: ReminderSchedule, after: number): number | undefined {
  if (cron === undefined) return undefined;
  try {
    const job = new Cron(cron, { paused: true, timezone: timeZone ?? DEFAULT_ZONE });
    return job.nextRun(new Date(after))?.getTime();
  } catch (thrown) {
    const error = toError(thrown);
    throw bad(`cron "${cron}" in time zone "${timeZone ?? DEFAULT_ZONE}": ${error.message}`, error);
  }
}

function bad(what: string, cause?: Error): InvalidOptionError {
  return new InvalidOptionError(`a reminder's time makes no sense: ${what}`, { cause });
}
