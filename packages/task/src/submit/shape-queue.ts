/** The tasks of one shape that wait for a place, and the workers leased for them. */
import type { Shape } from "@stingray/protocol";
import { Fifo } from "../fifo.js";
import type { RemoteDefinition } from "../registry.js";
import { RunTime, type Lease } from "./lease.js";
import type { PendingTask } from "./task.js";

/** A lease without work is kept this long for the next task. Milliseconds. */
const IDLE_MS = 200;
/** Another worker is worth asking for when this much work waits. Microseconds. */
const WORTH_A_WORKER_US = 4_000;
/** Most workers asked for at a time. */
const MAX_WANT = 256;

export interface ShapeQueueHost {
  /** Sends a task to a leased worker. False where its arguments turned out to be errors; then it has ended. */
  send(task: PendingTask, lease: Lease): boolean;
  demand(key: string, shape: Shape, want: number): void;
  giveBack(lease: Lease, usable: boolean): void;
}

export class ShapeQueue {
  readonly leases = new Set<Lease>();
  /** Why nothing was granted yet, as the agent said last. */
  pendingReason: string | undefined;
  private readonly queue = new Fifo<PendingTask>();
  private readonly runTimes = new Map<RemoteDefinition, RunTime>();
  private wanted = 0;
  private demandDue = false;
  private idleTimer: NodeJS.Timeout | undefined;

  constructor(
    readonly key: string,
    readonly shape: Shape,
    private readonly host: ShapeQueueHost,
  ) {}

  get length(): number {
    return this.queue.length;
  }

  add(task: PendingTask, inFront = false): void {
    if (!task.to("queued")) return;
    if (inFront) this.queue.unshift(task);
    else this.queue.push(task);
    this.pump();
  }

  remove(task: PendingTask): void {
    if (this.queue.remove(task)) this.demandLater();
  }

  /** All waiting tasks, taken out: no worker can be had for them. */
  takeAll(): PendingTask[] {
    this.wanted = 0;
    return this.queue.drain();
  }

  observe(definition: RemoteDefinition, us: number): void {
    this.runTime(definition).observe(us);
  }

  private runTime(definition: RemoteDefinition): RunTime {
    let time = this.runTimes.get(definition);
    if (time === undefined) this.runTimes.set(definition, (time = new RunTime()));
    return time;
  }

  granted(lease: Lease): void {
    this.pendingReason = undefined;
    if (this.wanted > 0) this.wanted--; // the agent counts it off, too
    this.leases.add(lease);
    lease.idleSince = performance.now();
    this.pump();
    if (lease.inFlight.size === 0) this.watchIdle();
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
      if (!this.host.send(task, lease)) lease.inFlight.delete(task);
      const { maxCalls } = this.shape;
      if (maxCalls !== undefined && ++lease.sent >= maxCalls) lease.closing = true;
    }
    this.demandLater();
  }

  /** The least loaded lease that takes one more such task. */
  private place(task: PendingTask): Lease | undefined {
    const depth = this.runTime(task.settings.definition).depth;
    let best: Lease | undefined;
    for (const lease of this.leases) {
      if (lease.accepts(task, depth) && (best === undefined || lease.inFlight.size < best.inFlight.size))
        best = lease;
    }
    return best;
  }

  /** A task of the lease has ended or was taken back. */
  ended(task: PendingTask, lease: Lease): void {
    lease.inFlight.delete(task);
    if (this.queue.length > 0) this.pump();
    if (lease.inFlight.size > 0) return;
    if (lease.closing) this.giveBack(lease);
    else {
      lease.idleSince = performance.now();
      this.watchIdle();
    }
  }

  revoked(lease: Lease): void {
    lease.closing = true;
    if (lease.inFlight.size === 0) this.giveBack(lease);
    this.demandLater();
  }

  private giveBack(lease: Lease): void {
    if (!this.leases.delete(lease)) return;
    const { maxCalls } = this.shape;
    this.host.giveBack(lease, maxCalls === undefined || lease.sent < maxCalls);
    this.demandLater();
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

  /** Once per turn, after everything that this turn submits or answers. */
  private demandLater(): void {
    if (this.demandDue) return;
    this.demandDue = true;
    process.nextTick(() => {
      this.demandDue = false;
      this.tellDemand();
    });
  }

  private tellDemand(): void {
    const want = this.want();
    if (want === this.wanted) return;
    this.wanted = want;
    this.host.demand(this.key, this.shape, want);
  }

  /** Says the demand again: to an agent that knows nothing of it. */
  repeatDemand(): void {
    this.wanted = 0;
    this.demandLater();
  }

  /** How many more workers would be of use. Rounded, so that a queue that grows and shrinks does not chatter. */
  private want(): number {
    const waiting = this.queue.length;
    if (waiting === 0) return 0;
    let usable = 0;
    for (const lease of this.leases) if (lease.usable) usable++;
    const next = this.queue.peek();
    const work = next === undefined ? undefined : this.runTime(next.settings.definition).estimate(waiting);
    let want = waiting;
    if (work !== undefined)
      want = Math.min(waiting, Math.floor(work / WORTH_A_WORKER_US) + (usable === 0 ? 1 : 0));
    if (want > 4) want = 2 ** Math.ceil(Math.log2(want));
    return Math.min(want, MAX_WANT);
  }

  stop(): void {
    clearTimeout(this.idleTimer);
    this.idleTimer = undefined;
  }
}
