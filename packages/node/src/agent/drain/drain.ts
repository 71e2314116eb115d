/** Drains a node: nothing new is taken on, what is here ends or moves, and then it is left. */
import { InvalidArgumentError, type DrainLeft, type DrainView } from "@stingray/protocol";
import type { LeavingActors } from "./actors.js";
import type { LeavingObjects } from "./objects.js";
import { nextDrainState, type DrainEvent, type DrainState } from "./state.js";

export interface DrainHooks {
  readonly actors: LeavingActors;
  readonly objects: LeavingObjects;
  /** Grants nothing any more and asks leases back; repeated calls are no error. */
  refuseWork(): void;
  /** The workers whose tasks run. */
  busyWorkers(): string[];
  /** Whether there are workers that were promised to others and are not up yet. */
  promised(): boolean;
  /** Ends a worker in mid-task; its tasks are run again elsewhere where they may. */
  endWorker(worker: string): void;
  /** Idle workers that own objects to which others hold references. Never rejects. */
  lenders(): Promise<number>;
  /** Whether there is another node that takes on work. */
  hasOthers(): boolean;
  /** Something went wrong that nobody waits for. */
  failed(what: string, error: unknown): void;
  /** Milliseconds; never goes back. */
  now(): number;
}

/** How often it is looked what is left. Milliseconds. */
const LOOK_MS = 50;
/** After the deadline, objects may still be on their way for so long. Milliseconds. */
const LAST_MS = 3_000;
/** Workers are not asked more often what they own. Milliseconds. */
const LENDERS_MS = 500;
const MOST_NOTES = 20;

export class Drain {
  private state: DrainState = { kind: "alive" };
  private left: DrainLeft = { tasks: 0, actors: 0, owners: 0, objects: 0, bytes: 0 };
  /** Whether `left.owners` is what they said. */
  private sure = false;
  private endedTasks = 0;
  private endedOwners = 0;
  /** Undefined: they have not answered since they could be asked. */
  private lenders: number | undefined;
  /** Undefined: there was a reason not to ask, or none has been asked yet. */
  private lendersAsked: { at: number; answered: Promise<void> } | undefined;
  private stopped = false;
  private readonly began = new Set<(reason: string) => void>();
  private readonly leaving = new Set<(reason: string) => void>();
  private readonly waiters = new Set<() => void>();

  constructor(private readonly hooks: DrainHooks) {}

  /** From the first order on. */
  get active(): boolean {
    return this.state.kind !== "alive";
  }

  /** Calls back when there is something to wait for: others should know that the node is draining. */
  onBegin(listener: (reason: string) => void): void {
    this.began.add(listener);
  }
  /** Calls back when nothing is left to wait for: the agent may end. */
  onLeft(listener: (reason: string) => void): void {
    this.leaving.add(listener);
  }

  /** Begins, or brings the deadline closer. @param deadlineMs from now on */
  order({ reason, deadlineMs }: { reason: string; deadlineMs: number }): DrainView {
    const first = !this.active;
    this.step({ on: "drain", reason, deadline: this.hooks.now() + deadlineMs });
    if (first) void this.run();
    return this.view();
  }

  /** When nothing is left, or after `waitMs`. @throws InvalidArgumentError where the node is not drained */
  async whenLeft(waitMs: number): Promise<DrainView> {
    if (this.state.kind !== "left" && this.active) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          this.waiters.delete(done);
          resolve();
        };
        const timer = setTimeout(done, waitMs);
        this.waiters.add(done);
      });
    }
    return this.view();
  }

  /** The agent ends, whatever is left. */
  stop(): void {
    this.stopped = true;
    for (const done of this.waiters) done();
  }

  private async run(): Promise<void> {
    const { hooks } = this;
    hooks.refuseWork();
    for (let first = true; !this.stopped; first = false) {
      const now = hooks.now();
      if (this.state.kind === "draining" && this.step({ on: "time", at: now })) this.endTasks();
      await this.look(first).catch((error: unknown) => hooks.failed("see what is left on this node", error));
      if (this.isOver(hooks.now())) break;
      if (first) this.tell(this.began);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    if (this.stopped) return;
    this.endedOwners = this.left.owners;
    hooks.objects.giveUp();
    this.step({ on: "empty" });
    for (const done of this.waiters) done();
    this.tell(this.leaving);
  }

  /** Has everything take its next step, and counts what is left. */
  private async look(first: boolean): Promise<void> {
    const { actors, objects } = this.hooks;
    if (this.state.kind === "alive") return;
    const { kind, reason, deadline } = this.state;
    const tasks = Math.max(this.hooks.busyWorkers().length, this.hooks.promised() ? 1 : 0);
    const alone = !this.hooks.hasOthers();
    const late = kind !== "draining";
    objects.step(deadline + LAST_MS);
    const { count, bytes } = objects.left();
    // Who runs something may yet lend.
    if (tasks + actors.leftFree > 0) this.lenders = this.lendersAsked = undefined;
    else this.askLenders();
    // Where nothing is left from the start, nobody is to hear of a drain.
    if (first) await this.lendersAsked?.answered;
    const idle = tasks === 0 && (alone || (count === 0 && this.lenders === 0));
    actors.step({ reason, deadline, late, alone, idle });
    this.sure = this.lenders !== undefined;
    this.left = { tasks, actors: actors.left, owners: this.lenders ?? 0, objects: count, bytes };
  }

  /** Beside all else: a worker that does not answer takes a while. */
  private askLenders(): void {
    const now = this.hooks.now();
    const before = this.lendersAsked;
    if (before !== undefined && (this.lenders === undefined || now - before.at < LENDERS_MS)) return;
    const asked = {
      at: now,
      answered: this.hooks.lenders().then((count) => {
        if (this.lendersAsked === asked) this.lenders = count;
      }),
    };
    this.lendersAsked = asked;
  }

  private isOver(now: number): boolean {
    const { tasks, actors, owners, objects } = this.left;
    if (this.state.kind === "alive") return false;
    if (this.state.kind === "late" && now >= this.state.deadline + LAST_MS) return true;
    // Where nobody could take them, what they are to be moved for is not waited for.
    const waits = this.hooks.hasOthers() ? objects + (this.state.kind === "late" ? 0 : owners) : 0;
    return tasks + actors + waits === 0 && this.sure;
  }

  private endTasks(): void {
    const busy = this.hooks.busyWorkers();
    this.endedTasks += busy.length;
    for (const worker of busy) this.hooks.endWorker(worker);
  }

  /** How far it has come. @throws InvalidArgumentError where the node is not drained */
  view(): DrainView {
    const { state, hooks } = this;
    if (state.kind === "alive") {
      throw new InvalidArgumentError("this node is not being drained; ask for it with stingray drain");
    }
    const { actors, objects } = hooks;
    return {
      state: state.kind === "left" ? "left" : "draining",
      reason: state.reason,
      leftMs: Math.max(0, Math.round(state.deadline - hooks.now())),
      left: this.left,
      done: {
        movedActors: actors.moved,
        movedObjects: objects.moved.count,
        movedBytes: objects.moved.bytes,
        endedTasks: this.endedTasks,
        endedActors: actors.ended,
        endedOwners: this.endedOwners,
        lostObjects: objects.lost.count,
        lostBytes: objects.lost.bytes,
      },
      notes: [...actors.notes, ...objects.notes].slice(0, MOST_NOTES),
    };
  }

  private step(event: DrainEvent): boolean {
    const before = this.state;
    this.state = nextDrainState(before, event);
    return this.state !== before;
  }

  private tell(listeners: ReadonlySet<(reason: string) => void>): void {
    if (this.state.kind === "alive") return;
    for (const listener of listeners) listener(this.state.reason);
  }
}
