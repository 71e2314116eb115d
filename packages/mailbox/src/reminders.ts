/** The table of reminders: setting, cancelling and listing them. */
import { randomBytes } from "node:crypto";
import { reminderKey, type ReminderRow, type Table } from "@stingray/gcs-kv";
import type { KeptCall, ReminderTiming, ReminderView } from "@stingray/protocol";
import type { ReminderClock } from "./clock.js";
import { begin } from "./schedule.js";

export interface SetReminder {
  readonly actor: string;
  readonly job: string;
  readonly name: string;
  readonly call: KeptCall;
  readonly timing: ReminderTiming;
  /** Of a delayed call: who hears how it ended. */
  readonly producer?: { id: string; node: string | undefined } | undefined;
}

export class ReminderBook {
  constructor(
    private readonly table: Table<ReminderRow>,
    private readonly clock: ReminderClock,
  ) {}

  /** One of the same name is replaced. @returns when it comes first @throws InvalidOptionError; ConnectionError */
  async set({ actor, job, name, call, timing, producer }: SetReminder): Promise<number> {
    const { nextAt, schedule } = begin(timing, this.clock.now());
    const row: ReminderRow = {
      actor,
      job,
      name,
      id: randomBytes(9).toString("base64url"),
      producer: producer?.id ?? "",
      node: producer?.node,
      call,
      schedule,
      nextAt,
      fired: 0,
    };
    await this.table.put(reminderKey(actor, name), row);
    return nextAt;
  }

  /** Whether there was one. */
  async cancel(actor: string, name: string): Promise<boolean> {
    const key = reminderKey(actor, name);
    const found = await this.table.get(key);
    if (found !== undefined) await this.table.delete(key);
    return found !== undefined;
  }

  /** Those of an actor, the next one first. Delayed calls are none. */
  async list(actor: string): Promise<ReminderView[]> {
    const views: ReminderView[] = [];
    for await (const { value } of this.table.entries(actor)) {
      const { name, call, nextAt, fired, schedule, producer } = value;
      if (producer === "") views.push({ name, method: call[2], nextAt, fired, ...schedule });
    }
    return views.sort((a, b) => a.nextAt - b.nextAt);
  }

  /** The actor is dead. */
  async drop(actor: string): Promise<void> {
    await this.table.removeWhere(actor, () => true);
  }
}
