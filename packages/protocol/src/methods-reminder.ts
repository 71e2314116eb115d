/** Request methods of reminders, and of the clock that they go by. */
import { bool, finite, list, optional, record, text, uint } from "./check.js";
import { empty, method } from "./method.js";
import { actorId } from "./messages/id-checks.js";
import { keptCall, type KeptCall } from "./messages/mailbox.js";
import type { ReminderView } from "./reminders.js";

/** When a reminder comes, as in ReminderTime; `at` in milliseconds since 1970. */
export interface ReminderTiming {
  delayMs?: number | undefined;
  at?: number | undefined;
  everyMs?: number | undefined;
  cron?: string | undefined;
  timeZone?: string | undefined;
}
const timing = record<ReminderTiming>({
  delayMs: optional(finite),
  at: optional(finite),
  everyMs: optional(finite),
  cron: optional(text),
  timeZone: optional(text),
});
const reminderView = record<ReminderView>({
  name: text,
  method: text,
  nextAt: finite,
  everyMs: optional(finite),
  cron: optional(text),
  timeZone: optional(text),
  fired: uint,
});

/** Any process to an agent. */
export const Reminders = {
  /**
   * The actor gets this call at its time, and again if the timing says so; a reminder of the same name is replaced. The
   * number in `call` means nothing. `answer`: it is a delayed call of the asker, which hears how it ended. `waitedMs`: so much of its
   * delay is over by the machine's clock. Fails with
   * InvalidOptionError where the timing makes no sense or the mailbox is not durable, with ActorDiedError where it is dead.
   */
  set: method<
    {
      actor: string;
      name: string;
      call: KeptCall;
      timing: ReminderTiming;
      answer?: boolean | undefined;
      waitedMs?: number | undefined;
    },
    { nextAt: number }
  >(
    "reminder.set",
    record({
      actor: actorId,
      name: text,
      call: keptCall,
      timing,
      answer: optional(bool),
      waitedMs: optional(finite),
    }),
    record({ nextAt: finite }),
  ),
  /** Whether there was one. */
  cancel: method<{ actor: string; name: string }, { found: boolean }>(
    "reminder.cancel",
    record({ actor: actorId, name: text }),
    record({ found: bool }),
  ),
  /** Those of an actor, the next one first; no delayed calls. */
  list: method<{ actor: string }, { reminders: ReminderView[] }>(
    "reminder.list",
    record({ actor: actorId }),
    record({ reminders: list(reminderView) }),
  ),
} as const;

/** Of the agents' clock for reminders. Milliseconds since 1970. */
export const Clock = {
  read: method<object, { now: number; virtual: boolean }>(
    "clock.read",
    empty,
    record({ now: finite, virtual: bool }),
  ),
  /**
   * Virtual clocks only: all agents of the cluster go on by so many milliseconds. Answered when what was due on the way
   * has been delivered to its mailboxes.
   */
  advance: method<{ ms: number }, { now: number }>(
    "clock.advance",
    record({ ms: finite }),
    record({ now: finite }),
  ),
  /** Agent to agent: go on to this time; a clock never goes back. */
  advanceTo: method<{ now: number }, object>("clock.advanceTo", record({ now: finite }), empty),
} as const;
