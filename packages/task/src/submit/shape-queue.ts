/** The tasks of one shape that wait for a place, and the workers leased for them. */
import type { PendingNotice, Shape } from "@stingray/protocol";
import { Fifo } from "../fifo.js";
import type { RemoteDefinition } from "../registry.js";
import { Announced } from "./announced.js";
import { DemandLevel } from "./demand.js";
import type { Lease } from "./lease.js";
import { leastLoaded, leastLoadedNode } from "./placing.js";
import { RunTimes } from "./run-time.js";
import { StallWatch } from "./stalls.js";
import type { PendingTask } from "./task.js";

/** A lease without work is kept this long for the next task. Milliseconds. */
const IDLE_MS = 200;
/** Another worker is worth asking for when this much work waits. Microseconds. */
const WORTH_A_WORKER_US = 4_000;
/** No task got a place for so long although they are said to be short: those that have one wait for something. Milliseconds. */
const OVERDUE_MS = 25;
/** Most workers asked for at a time. */
const MAX_WANT = 256;

export interface ShapeQueueHost {
  /** Sends a task to a leased worker. False where nothing was sent: an argument is an error, or has to be waited for again. */
  send(task: PendingTask, lease: Lease): boolean;
  demand(key: string, shape: Shape, want: number, got: number): void;
  giveBack(lease: Lease, usable: boolean): void;
  /** Asks the worker for what it has not begun. */
  takeBack(lease: Lease): void;
  /** Workers that have nothing to do may be what the queue waits for. */
  waits(): void;
}

export interface PendingReason {
  reason: string;
  notice: PendingNotice;
  /** The user knows. */
  warned: boolean;
}

export class ShapeQueue {
  readonly leases = new Set<Lease>();
  /** Only where tasks are to be spread. */
  private readonly coming: Announced | undefined;
  /** Why nothing was granted yet, as the agent said last, and what the user was told of it. */
  pending: PendingReason | undefined;
  /** Runs while nothing has come since another node could not start a worker for it. */
  failing: NodeJS.Timeout | undefined;
  private readonly queue = new Fifo<PendingTask>();
  private readonly runTimes = new RunTimes();
  private readonly level: DemandLevel;
  private readonly stalls = new StallWatch(this.leases, {
    workOf: (lease) => this.workOf(lease),
    stalled: (lease, us) => this.stalled(lease, us),
    overfull: (lease) => this.takeBack(lease),
  });
  private idleTimer: NodeJS.Timeout | undefined;
  private overdueTimer: NodeJS.Timeout | undefined;
  /** When a task was given a place last, or there was none that waited. */
  private movedAt = 0;

  constructor(
    readonly key: string,
    readonly shape: Shape,
    private readonly host: ShapeQueueHost,
    /** Leases that this process has had before, for whatever. */
    got = 0,
  ) {
    const level = {
      want: () => this.want(),
      say: (want: number, had: number) => this.host.demand(key, shape, want, had),
      waits: () => this.host.waits(),
    };
    this.level = new DemandLevel(level, got);
    if (shape.scheduling?.kind === "spread") this.coming = new Announced(() => this.pump());
  }

  get length(): number {
    return this.queue.length;
  }

  /** Nothing waits or runs, and nothing is asked for. */
  get isIdle(): boolean {
    return this.queue.length === 0 && this.leases.size === 0 && this.level.isZero;
  }

  /** The tasks that wait for a place, the next one first. */
  waiting(): Iterable<PendingTask> {
    return this.queue;
  }

  add(task: PendingTask, inFront = false): void {
    if (!task.to("queued")) return;
    if (this.queue.length === 0) this.movedAt = performance.now();
    if (inFront) this.queue.unshift(task);
    else this.queue.push(task);
    this.pump();
  }

  remove(task: PendingTask): void {
    if (!this.queue.remove(task)) return;
    this.level.later();
    this.waitIsOver();
  }

  /** All waiting tasks, taken out: no worker can be had for them. */
  takeAll(): PendingTask[] {
    this.level.unsure();
    this.coming?.clear();
    const tasks = this.queue.drain();
    this.waitIsOver();
    return tasks;
  }

  /** Another node promised so many leases, and could not start the workers. */
  lostOnTheWay(count: number): void {
    this.level.lost(count);
    this.coming?.clear();
    this.pump();
  }

  /** Another node promised a lease, and takes that back: it is asked for again. */
  withdrawn(): void {
    this.level.lost(1);
  }

  /** What the next ones wait for is another matter, and the user hears of it again. */
  private waitIsOver(): void {
    if (this.queue.length === 0) this.pending = undefined;
  }

  observe(definition: RemoteDefinition, us: number): void {
    this.runTimes.of(definition).observe(us);
  }

  /** A lease has its place somewhere, and gets a worker soon; or won't after all. */
  announced(id: string, coming: boolean): void {
    if (coming) this.coming?.add(id);
    else this.coming?.withdraw(id);
  }

  granted(lease: Lease): void {
    this.pending = undefined;
    this.recovered();
    this.coming?.granted(lease.id);
    this.level.granted();
    this.leases.add(lease);
    lease.idleSince = performance.now();
    this.pump();
    if (lease.inFlight.size === 0) this.watchIdle();
  }

  private recovered(): void {
    clearTimeout(this.failing);
    this.failing = undefined;
  }

  dropped(lease: Lease): void {
    this.leases.delete(lease);
  }

  /** Sends what can be sent, then says how many more workers would help. */
  pump(): void {
    for (let task = this.queue.peek(); task !== undefined; task = this.queue.peek()) {
      const lease = this.place(task);
      if (lease === undefined) break;
      this.queue.shift();
      if (!task.to("sent")) continue;
      lease.inFlight.add(task);
      task.lease = lease;
      if (!this.host.send(task, lease)) {
        lease.inFlight.delete(task);
        continue;
      }
      lease.sent++;
      task.askedBack = false;
      if (lease.inFlight.size > 1) this.stalls.watch();
      this.movedAt = performance.now();
      const { maxCalls } = this.shape;
      if (maxCalls !== undefined && lease.sent >= maxCalls) lease.closing = true;
    }
    this.waitIsOver();
    this.level.later();
  }

  private place(task: PendingTask): Lease | undefined {
    if (this.coming === undefined)
      return leastLoaded(this.leases, task, this.runTimes.of(task.settings.definition).depth);
    const waiting = this.queue.length;
    const depth = waiting > MAX_WANT ? this.runTimes.of(task.settings.definition).depth : 1;
    return leastLoadedNode(this.leases, task, { waiting, coming: this.coming.size, depth });
  }

  /** A task of the lease has ended or was taken back. */
  ended(task: PendingTask, lease: Lease): void {
    lease.inFlight.delete(task);
    lease.ended++;
    lease.stalled = false;
    this.rest(lease);
  }

  /**
   * The worker sent a task back that it has not begun, which is on its way again. Where nobody has asked for it, the worker
   * takes no more under this lease.
   */
  sentBack(task: PendingTask, lease: Lease): void {
    lease.inFlight.delete(task);
    if (!task.askedBack) lease.closing = lease.refused = true;
    this.rest(lease);
  }

  private rest(lease: Lease): void {
    if (this.queue.length > 0) this.pump();
    if (lease.inFlight.size > 0) return;
    if (lease.closing) this.giveBack(lease);
    else {
      lease.idleSince = performance.now();
      this.watchIdle();
    }
  }

  /** Others wait for its resources: what has not begun goes elsewhere, what runs may end. */
  revoked(lease: Lease): void {
    if (lease.closing && lease.inFlight.size > 0) return;
    lease.closing = true;
    if (lease.inFlight.size === 0) this.giveBack(lease);
    else this.takeBack(lease);
    this.level.later();
  }

  /** One task takes much longer than expected. Those behind it wait here, for any worker. */
  private stalled(lease: Lease, us: number): void {
    const [running] = lease.inFlight;
    if (running === undefined) return;
    this.runTimes.of(running.settings.definition).observeRunning(us);
    lease.stalled = true;
    this.takeBack(lease);
  }

  private workOf({ inFlight }: Lease): number {
    const [first] = inFlight;
    if (first === undefined || ![...inFlight].some((task) => !task.askedBack)) return 0;
    return this.runTimes.of(first.settings.definition).estimate(inFlight.size) ?? 0;
  }

  private takeBack(lease: Lease): void {
    for (const task of lease.inFlight) task.askedBack = true;
    this.host.takeBack(lease);
  }

  private giveBack(lease: Lease): void {
    if (!this.leases.delete(lease)) return;
    const { maxCalls } = this.shape;
    this.host.giveBack(lease, !lease.refused && (maxCalls === undefined || lease.sent < maxCalls));
    this.level.later();
  }

  /** Gives workers without work back before their time: another shape waits. */
  yieldIdle(): void {
    if (this.queue.length > 0) return;
    for (const lease of this.leases) if (lease.inFlight.size === 0) this.giveBack(lease);
  }

  private watchIdle(): void {
    this.idleTimer ??= setTimeout(() => {
      this.idleTimer = undefined;
      const now = performance.now();
      let idle = false;
      for (const lease of this.leases) {
        if (lease.inFlight.size > 0) continue;
        if (now - lease.idleSince >= IDLE_MS - 1) this.giveBack(lease);
        else idle = true;
      }
      if (idle) this.watchIdle();
    }, IDLE_MS).unref();
  }

  /** Says the demand again: to an agent that knows nothing of it. */
  repeatDemand(): void {
    this.level.forgotten();
    this.coming?.clear();
    this.pump();
  }

  /** How many more workers would be of use. Rounded, so that a queue that grows and shrinks does not chatter. */
  private want(): number {
    const waiting = this.queue.length;
    if (waiting === 0) return 0;
    // Each of them may go to another place: how long they take does not matter, and one too many would tip the balance.
    if (this.coming !== undefined) return Math.min(waiting, MAX_WANT);
    let usable = 0;
    for (const lease of this.leases) if (lease.usable) usable++;
    const next = this.queue.peek();
    const work =
      next === undefined ? undefined : this.runTimes.of(next.settings.definition).estimate(waiting);
    let want = waiting;
    if (work !== undefined) {
      const least = usable === 0 || this.overdue() ? 1 : 0;
      want = Math.min(
        waiting,
        Math.max(least, Math.floor(work / WORTH_A_WORKER_US) + (usable === 0 ? 1 : 0)),
      );
    }
    if (want > 4) want = 2 ** Math.ceil(Math.log2(want));
    return Math.min(want, MAX_WANT);
  }

  /** Whoever has a place may wait for just what waits here. Looks again later where it is too early to say. */
  private overdue(): boolean {
    const left = this.movedAt + OVERDUE_MS - performance.now();
    if (left <= 0) return true;
    this.overdueTimer ??= setTimeout(() => {
      this.overdueTimer = undefined;
      this.level.tell();
    }, left + 1).unref();
    return false;
  }

  stop(): void {
    clearTimeout(this.idleTimer);
    clearTimeout(this.overdueTimer);
    this.recovered();
    this.level.stop();
    this.stalls.stop();
    this.idleTimer = undefined;
    this.coming?.clear();
  }
}
