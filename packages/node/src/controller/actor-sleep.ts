/**
 * Actors with durable mailboxes that have nothing to do: they are put to sleep, and woken by what comes for them. Whoever
 * puts something into a mailbox looks at the row after that, and whoever writes PASSIVE looks into the mailbox after that: so
 * one of them sees the other. For those who die in between the controller looks now and then.
 */
import { toError, type ProcessId } from "@stingray/protocol";
import type { ActorBook, ActorEntry } from "./actor-book.js";
import { describe } from "./actor-directory.js";
import type { Incarnation } from "./actor-host.js";

export interface SleepHooks {
  readonly agent: string;
  /** The incarnation that lives in a worker of this node. */
  on(worker: ProcessId): Incarnation | undefined;
  /** False while the node is being drained: its actors move, then. */
  maySleep(): boolean;
  /** Nothing more is given to the worker out of the mailbox. */
  stopFeeding(actor: string): void;
  /** `worker.leaveActor`; rejects when the worker is gone, or late. */
  leaveActor(
    worker: ProcessId,
    ask: { reason: string; deadlineMs: number; save: boolean },
  ): Promise<{ running: number; error?: string | undefined; owes?: boolean | undefined }>;
  /** The host has to do with it no more; what it has is given back when its process is gone. */
  detach(incarnation: Incarnation): void;
  endWorker(worker: ProcessId, reason: string): void;
  killWorker(worker: ProcessId, reason: string): void;
  whenGone(worker: ProcessId): Promise<void>;
  place(entry: ActorEntry): void;
  /** Whether anything lies in its mailbox. */
  holds(actor: string): Promise<boolean>;
  /** The actors in whose mailboxes anything lies. */
  occupied(): Promise<ReadonlySet<string>>;
  failed(what: string, error: unknown): void;
}

/** What `onDeactivate` is told. */
export const PASSIVATED = "passivated";
/** For calls that have come at the last moment. Milliseconds. */
const LAST_CALLS_MS = 10_000;
/** Longer than rows take from the broker to an agent: what this agent has put into a mailbox is remembered for so long. Milliseconds. */
const RECENT_MS = 30_000;
/** And for so many actors, before those that are older are forgotten. */
const MANY_RECENT = 1_000;
/** How often the controller looks into the mailboxes of those that sleep. Milliseconds. */
const PATROL_MS = 5_000;

export class ActorSleep {
  /** When this agent has put something into a mailbox whose actor was not known to sleep. */
  private readonly recent = new Map<string, number>();
  private patrolledAt = -Infinity;

  constructor(
    private readonly book: ActorBook,
    private readonly hooks: SleepHooks,
  ) {
    book.onChange((actor, now) => {
      if (now?.value.state !== "PASSIVE") return;
      const at = this.recent.get(actor);
      if (at !== undefined && performance.now() - at < RECENT_MS)
        this.inBackground(actor, this.wakeIfHeld(actor));
    });
  }

  /** An incarnation has had no calls for long. True: it is being put to sleep. */
  async idle(worker: ProcessId, actor: string, epoch: number): Promise<boolean> {
    if (!this.mayGo(worker, actor, epoch) || (await this.hooks.holds(actor))) return false;
    const inc = this.mayGo(worker, actor, epoch);
    if (inc === undefined) return false;
    inc.state = "leaving";
    this.inBackground(actor, this.fallAsleep(inc, worker));
    return true;
  }

  private mayGo(worker: ProcessId, actor: string, epoch: number): Incarnation | undefined {
    const inc = this.hooks.on(worker);
    const same = inc?.spec.actor === actor && inc.epoch === epoch && inc.spec.durable === true;
    return same && inc.state === "alive" && this.hooks.maySleep() ? inc : undefined;
  }

  private async fallAsleep(inc: Incarnation, worker: ProcessId): Promise<void> {
    const { spec, epoch } = inc;
    const { hooks } = this;
    hooks.stopFeeding(spec.actor);
    const quiet = await hooks
      .leaveActor(worker, { reason: PASSIVATED, deadlineMs: LAST_CALLS_MS, save: true })
      .then(({ running, error, owes }) => {
        if (error !== undefined) hooks.failed(`put ${describe(spec)} to sleep in order`, new Error(error));
        return running === 0 && owes !== true;
      })
      .catch((error: unknown) => {
        hooks.failed(`put ${describe(spec)} to sleep in order`, error);
        return false;
      });
    if (!isLeaving(inc)) return; // killed meanwhile
    if (!quiet) {
      // What it has not saved lies in its mailbox still, and runs in the next incarnation.
      hooks.killWorker(worker, "it did not end in order when it was put to sleep");
      await hooks.whenGone(worker);
      if (!isLeaving(inc)) return;
    }
    const after = await this.book.apply(spec.actor, { kind: "slept", epoch });
    if (!isLeaving(inc)) return;
    hooks.detach(inc);
    hooks.endWorker(worker, PASSIVATED);
    if (after === undefined) return;
    // What it had no time to save, or to tell, the next one does.
    if (quiet) await this.wakeIfHeld(spec.actor);
    else await this.wake(spec.actor);
  }

  /** There is to be an incarnation: what sleeps is made again. */
  async wake(actor: string): Promise<void> {
    const { agent } = this.hooks;
    const entry = await this.book.apply(actor, { kind: "woken", agent });
    if (entry !== undefined) this.hooks.place(entry);
  }

  /** Something was put into the mailbox of this actor. */
  arrived({ key, value }: ActorEntry): void {
    if (value.state === "PASSIVE") this.inBackground(key, this.wake(key));
    const now = performance.now();
    this.recent.delete(key); // the newest last
    this.recent.set(key, now);
    if (this.recent.size <= MANY_RECENT) return;
    for (const [actor, at] of this.recent) {
      if (now - at < RECENT_MS) break;
      this.recent.delete(actor);
    }
  }

  /** Wakes those in whose mailboxes something lies, now and then. */
  async patrol(): Promise<void> {
    const now = performance.now();
    if (now - this.patrolledAt < PATROL_MS) return;
    this.patrolledAt = now;
    const asleep: string[] = [];
    for (const { key, value } of this.book.entries()) if (value.state === "PASSIVE") asleep.push(key);
    if (asleep.length === 0) return;
    const occupied = await this.hooks.occupied();
    for (const actor of asleep) if (occupied.has(actor)) await this.wake(actor);
  }

  private async wakeIfHeld(actor: string): Promise<void> {
    if (await this.hooks.holds(actor)) await this.wake(actor);
  }

  private inBackground(actor: string, work: Promise<void>): void {
    work.catch((thrown: unknown) =>
      this.hooks.failed(`put actor ${actor} to sleep or wake it`, toError(thrown)),
    );
  }
}

/** Asked after an await: the state may have changed meanwhile. */
const isLeaving = (inc: Incarnation): boolean => inc.state === "leaving";
