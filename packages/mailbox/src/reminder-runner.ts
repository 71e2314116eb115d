/**
 * Delivers reminders at their time, in the agent that has the controller role. Each occurrence has an id of its own, so
 * that one that two agents deliver, because the first could not write down that it had, is run once.
 */
import type { ReminderRow, Row, Table, TableCache } from "@stingray/gcs-kv";
import { SerializationError, type KeptCall } from "@stingray/protocol";
import type { Forget, ReminderClock } from "./clock.js";
import { next } from "./schedule.js";

export interface ReminderHooks {
  /** Puts the call into the mailbox of the actor; resolves once it is kept. Asked again, with the same id, it keeps it once. */
  deliver(row: ReminderRow, call: KeptCall): Promise<void>;
  /** It can't be kept, now or later: the reminder is removed. Tells whoever is to know. */
  refused(row: ReminderRow, call: KeptCall, error: SerializationError): Promise<void>;
  /** The actor is dead, or nobody knows it. */
  isGone(actor: string): Promise<boolean>;
  failed(what: string, error: unknown): void;
}

/** Reminders that are delivered at the same time. */
const AT_ONCE = 64;
/** What could not be delivered is tried again after this, in milliseconds of real time. */
const AGAIN_MS = 500;

export class ReminderRunner {
  private readonly rows = new Map<string, Row<ReminderRow>>();
  private readonly underWay = new Set<string>();
  private forget: Forget | undefined;
  /** When the timer comes; it may come for a row that is gone. */
  private armedFor = Infinity;
  private again: NodeJS.Timeout | undefined;
  private ended = false;

  private constructor(
    private readonly table: Table<ReminderRow>,
    private readonly cache: TableCache<ReminderRow>,
    private readonly clock: ReminderClock,
    private readonly hooks: ReminderHooks,
  ) {}

  /** Runs until the signal fires. @throws ConnectionError where the table can't be read */
  static async run(
    table: Table<ReminderRow>,
    clock: ReminderClock,
    hooks: ReminderHooks,
    signal: AbortSignal,
  ): Promise<void> {
    const cache = await table.watch();
    const runner = new ReminderRunner(table, cache, clock, hooks);
    // What was set just now is to be known before a clock of tests goes on.
    const forget = clock.onMove?.(() => runner.readAll());
    try {
      runner.begin();
      if (!signal.aborted)
        await new Promise<void>((over) => signal.addEventListener("abort", () => over(), { once: true }));
    } finally {
      forget?.();
      await runner.end();
    }
  }

  private begin(): void {
    for (const row of this.cache.entries()) this.rows.set(row.key, row);
    this.cache.onChange(({ key, row }) => {
      if (row === undefined) this.rows.delete(key);
      else {
        this.learn(row);
        if (row.value.nextAt < this.armedFor && !this.underWay.has(key)) this.armFor(row.value.nextAt);
      }
    });
    this.arm();
  }

  private async end(): Promise<void> {
    this.ended = true;
    this.forget?.();
    clearTimeout(this.again);
    await this.cache.stop();
  }

  private async readAll(): Promise<void> {
    for await (const row of this.table.entries()) this.learn(row);
    this.arm();
  }

  private learn(row: Row<ReminderRow>): void {
    const known = this.rows.get(row.key);
    if (known === undefined || known.revision < row.revision) this.rows.set(row.key, row);
  }

  /** Waits for the next one. */
  private arm(): void {
    let earliest = Infinity;
    for (const [key, { value }] of this.rows)
      if (!this.underWay.has(key)) earliest = Math.min(earliest, value.nextAt);
    this.armFor(earliest);
  }

  private armFor(time: number): void {
    this.forget?.();
    this.forget = undefined;
    this.armedFor = time;
    if (time < Infinity && !this.ended) this.forget = this.clock.at(time, () => this.fireDue());
  }

  private async fireDue(): Promise<void> {
    const now = this.clock.now();
    const due = [...this.rows.values()]
      .filter(({ key, value }) => value.nextAt <= now && !this.underWay.has(key))
      .sort((a, b) => a.value.nextAt - b.value.nextAt);
    for (let at = 0; at < due.length && !this.ended; at += AT_ONCE)
      await Promise.all(due.slice(at, at + AT_ONCE).map((row) => this.fire(row)));
    this.arm();
  }

  private async fire(row: Row<ReminderRow>): Promise<void> {
    const { key, value } = row;
    this.underWay.add(key);
    try {
      if (await this.hooks.isGone(value.actor)) await this.table.delete(key, row.revision);
      else {
        if (await this.deliver(value)) await this.goOn(row);
        else await this.table.delete(key, row.revision);
      }
      this.underWay.delete(key);
    } catch (error) {
      if (this.ended) return;
      this.hooks.failed(
        `deliver the reminder "${value.name}" of actor ${value.actor} (it is tried again)`,
        error,
      );
      this.again = setTimeout(() => {
        this.underWay.delete(key);
        this.arm();
      }, AGAIN_MS).unref();
    }
  }

  /** @returns false where it can't be delivered, now or later: the broker takes less than when it was set */
  private async deliver(row: ReminderRow): Promise<boolean> {
    const call = occurrence(row);
    try {
      await this.hooks.deliver(row, call);
      return true;
    } catch (error) {
      if (!(error instanceof SerializationError)) throw error;
      await this.hooks.refused(row, call, error);
      return false;
    }
  }

  /** Writes down that it was delivered. One that was replaced or cancelled meanwhile stays as it is now. */
  private async goOn(row: Row<ReminderRow>): Promise<void> {
    const { key, value, revision } = row;
    const nextAt = next(value.schedule, value.nextAt, this.clock.now());
    if (nextAt === undefined) {
      const gone = await this.table.delete(key, revision);
      if (gone.ok && this.rows.get(key)?.revision === revision) this.rows.delete(key);
      else if (!gone.ok) this.correct(key, gone.current);
      return;
    }
    const value2 = { ...value, nextAt, fired: value.fired + 1 };
    const written = await this.table.update(key, value2, revision);
    if (written.ok) this.learn({ key, value: value2, revision: written.revision });
    else this.correct(key, written.current);
  }

  private correct(key: string, current: Row<ReminderRow> | undefined): void {
    if (current === undefined) this.rows.delete(key);
    else this.learn(current);
  }
}

/** The call as the mailbox gets it: the same for the same occurrence, whoever delivers it. */
function occurrence({ call, name, id, fired }: ReminderRow): KeptCall {
  const [number, sequence, method, args, returns, attempt, options, callId] = call;
  return [
    number,
    sequence,
    method,
    args,
    returns,
    attempt,
    options,
    callId ?? `reminder/${shortened(name)}/${id}/${fired}`,
  ];
}

/** Ids of calls are at most 256 characters; the id of the setting alone would do. */
const shortened = (name: string): string => (name.length <= 200 ? name : name.slice(0, 200));
