/** The workers that this process has leased: asking agents for them, giving them back, learning that one is lost. */
import {
  Agent,
  Op,
  decodeError,
  leaseComing,
  leaseFailed,
  leaseGrant,
  leaseLost,
  leasePending,
  leaseRevoke,
  type ExitReport,
  type JobSpec,
  type NodeId,
  type PendingNotice,
  type ProcessId,
  type Shape,
  type TaskId,
  type WireError,
} from "@stingray/protocol";
import type { Channel, Endpoint } from "@stingray/broker";
import type { Home } from "../home.js";
import { Lease } from "./lease.js";
import { NearNames } from "./near.js";
import { ShapeQueue, type ShapeQueueHost } from "./shape-queue.js";
import type { PendingTask } from "./task.js";
import { busyText, describeTasks, infeasibleText } from "./wait-text.js";

/** How long to wait for an agent to say how a worker ended, after its channel closed. Milliseconds. */
const REPORT_WAIT_MS = 2_000;
/** Where another node can't start workers, and none comes from anywhere for so long, tasks fail. Milliseconds. */
const ELSEWHERE_MS = 10_000;

export interface LeasePoolLinks {
  job(): JobSpec;
  home(): Home;
  channelTo(process: ProcessId, node: NodeId | undefined): Channel;
  /** Output for the user: something waits and why. */
  readonly warn: (message: string) => void;
  /** How long tasks wait for others after a node that can't start workers, in milliseconds. @defaultValue 10,000 */
  readonly elsewhereMs?: number | undefined;
}

/** What becomes of tasks; the submitter's part. */
export interface LeasePoolHost {
  /** Puts a task on the wire. False where it turned out that it can't run, or not yet. */
  send(task: PendingTask, lease: Lease): boolean;
  /** The task was on a worker that is gone; `lease.report` says how, if that is known. */
  attemptLost(task: PendingTask, lease: Lease): void;
  fail(task: PendingTask, error: Error): void;
  taskId(task: PendingTask): TaskId;
}

interface Held {
  readonly lease: Lease;
  readonly queue: ShapeQueue;
  /** Stops watching the worker's channel, which may outlive many leases. */
  readonly forget: () => void;
}

/** From so many shapes on, they are looked through for those that nothing waits for. */
const MANY_SHAPES = 100;

export class LeasePool {
  private readonly shapes = new Map<string, ShapeQueue>();
  private readonly leases = new Map<string, Held>();
  private readonly nearNames = new NearNames();
  private stopped = false;
  private yieldDue = false;
  /** How many shapes there may be before they are looked through. */
  private manyShapes = MANY_SHAPES;
  /** Leases that came, whether or not anybody had use for them, and those that were lost on their way. */
  private received = 0;

  constructor(
    private readonly links: LeasePoolLinks,
    private readonly host: LeasePoolHost,
  ) {}

  serve(inbox: Endpoint): void {
    inbox.on(Op.LeaseGrant, leaseGrant, ([, key, id, worker, node, agent]) => {
      this.granted(key, id, worker as ProcessId, node as NodeId, agent as ProcessId);
    });
    inbox.on(Op.LeaseComing, leaseComing, ([, key, id, coming, promised]) => {
      if (this.stopped) return;
      const queue = this.shapes.get(key);
      queue?.announced(id, coming);
      if (promised !== true || coming) return;
      this.received++;
      queue?.withdrawn();
    });
    inbox.on(Op.LeaseRevoke, leaseRevoke, ([, id], channel) => {
      const held = this.leases.get(id);
      if (held !== undefined) held.queue.revoked(held.lease);
      // Its grant or its return was lost: nobody would ever give it back.
      else channel.send([Op.LeaseReturn, id, true]);
    });
    inbox.on(Op.LeaseLost, leaseLost, ([, id, , report]) => this.lost(id, report));
    inbox.on(Op.LeaseFailed, leaseFailed, ([, key, error, part]) => {
      const queue = this.shapes.get(key);
      if (queue === undefined) return;
      if (part === undefined) this.failAll(queue, error);
      else this.failedThere(queue, error, part);
    });
    inbox.on(Op.LeasePending, leasePending, ([, key, reason, notice = "busy"]) => {
      const queue = this.shapes.get(key);
      if (queue !== undefined) this.pending(queue, reason, notice);
    });
  }

  private failAll(queue: ShapeQueue, error: WireError): void {
    for (const task of queue.takeAll()) this.host.fail(task, decodeError(error));
  }

  /** It may be that node only: its directory is missing, it is short of memory. */
  private failedThere(queue: ShapeQueue, error: WireError, part: number): void {
    this.received += part;
    queue.lostOnTheWay(part);
    queue.failing ??= setTimeout(() => {
      queue.failing = undefined;
      if (queue.leases.size === 0) this.failAll(queue, error);
    }, this.links.elsewhereMs ?? ELSEWHERE_MS).unref();
  }

  /** The queue of tasks of this shape, made when first asked for. */
  queue(key: string, shape: Shape): ShapeQueue {
    let queue = this.shapes.get(key);
    if (queue === undefined) {
      const host: ShapeQueueHost = {
        send: (task, lease) => this.host.send(task, lease),
        demand: (k, s, want, got) =>
          this.links.home().send([Op.LeaseDemand, this.links.job().job, k, s, want, got]),
        giveBack: (lease, usable) => this.giveBack(lease, usable),
        takeBack: (lease) => lease.channel.send([Op.TaskTakeBack, lease.id]),
        waits: () => this.yieldIdle(),
      };
      queue = new ShapeQueue(key, shape, host, this.received);
      this.forgetSome();
      this.shapes.set(key, queue);
    }
    return queue;
  }

  /**
   * Shapes come and go, such as those of each placement group, or of resources that are computed: those that nothing waits
   * for are dropped now and then, when there are twice as many as were left the last time.
   */
  private forgetSome(): void {
    if (this.shapes.size < this.manyShapes) return;
    for (const key of this.shapes.keys()) this.forgetIdle(key);
    this.manyShapes = Math.max(MANY_SHAPES, 2 * this.shapes.size);
  }

  /** Workers that have nothing to do are given back before their time: once, for all that wait in this turn. */
  private yieldIdle(): void {
    if (this.yieldDue) return;
    this.yieldDue = true;
    setImmediate(() => {
      this.yieldDue = false;
      const queues = new Set<ShapeQueue>();
      for (const { queue } of this.leases.values()) queues.add(queue);
      for (const queue of queues) queue.yieldIdle();
    });
  }

  /** The queue of those that are to run near these nodes; the one of the shape where there are too many such queues. */
  near(key: string, shape: Shape, near: Record<NodeId, number>): ShapeQueue {
    const name = this.nearNames.nameFor(key, near, (other) => this.forgetIdle(other));
    return name === undefined ? this.queue(key, shape) : this.queue(name, { ...shape, near });
  }

  private forgetIdle(key: string): boolean {
    const queue = this.shapes.get(key);
    if (queue?.isIdle === false) return false;
    queue?.stop();
    this.shapes.delete(key);
    return true;
  }

  /** What an agent that takes over must be told. */
  repeatDemands(): void {
    for (const queue of this.shapes.values()) queue.repeatDemand();
  }

  /** The user hears of each wait once: when no node can do it, or when it has taken long. */
  private pending(queue: ShapeQueue, reason: string, notice: PendingNotice): void {
    const [first] = queue.waiting();
    if (first === undefined) return;
    const warned = queue.pending?.warned ?? false;
    queue.pending = { reason, notice, warned: warned || notice !== "note" };
    if (warned || notice === "note") return;
    const names = [...queue.waiting()].map(({ settings }) => settings.definition.name);
    const what = describeTasks(names.length, names);
    const waiting = { what, count: names.length, shape: queue.shape, reason, id: this.host.taskId(first) };
    this.links.warn(notice === "busy" ? busyText(waiting) : infeasibleText(waiting));
  }

  private granted(key: string, id: string, worker: ProcessId, node: NodeId, agent: ProcessId): void {
    this.received++;
    const queue = this.shapes.get(key);
    if (queue === undefined || this.stopped) {
      this.links.channelTo(agent, node).send([Op.LeaseReturn, id, true]);
      return;
    }
    const channel = this.links.channelTo(worker, node);
    const lease = new Lease(id, worker, node, agent, channel);
    this.leases.set(id, { lease, queue, forget: channel.onClose(() => this.unreachable(lease)) });
    queue.granted(lease);
  }

  private giveBack(lease: Lease, usable: boolean): void {
    this.leases.get(lease.id)?.forget();
    this.leases.delete(lease.id);
    this.links.channelTo(lease.agent, lease.node).send([Op.LeaseReturn, lease.id, usable]);
  }

  private unreachable(lease: Lease): void {
    if (!this.leases.has(lease.id)) return;
    lease.broken = true;
    setTimeout(() => {
      if (!this.leases.has(lease.id)) return;
      // Its agent may live, and the worker, too: nobody else would ever end what runs there, and free its place.
      void this.kill(lease, "its submitter can't reach it any more");
      this.lost(lease.id, undefined);
    }, REPORT_WAIT_MS).unref();
  }

  private lost(id: string, report: ExitReport | undefined): void {
    const held = this.leases.get(id);
    if (held === undefined) return;
    const { lease, queue, forget } = held;
    this.leases.delete(id);
    forget();
    lease.broken = true;
    lease.report = report;
    queue.dropped(lease);
    // The last one first: each that is tried again goes to the front of its queue.
    const tasks = [...lease.inFlight].sort((a, b) => b.sequence - a.sequence);
    lease.inFlight.clear();
    for (const task of tasks) this.host.attemptLost(task, lease);
    queue.pump();
  }

  /** Has the worker killed; the lease is lost by that, with this reason in its report. */
  async kill(lease: Lease, reason: string): Promise<void> {
    lease.closing = true;
    lease.killing = true;
    try {
      await this.links
        .channelTo(lease.agent, lease.node)
        .request(Agent.leaseKill, { lease: lease.id, reason });
    } catch {
      // The agent is gone: so is the worker, soon, and the lease is lost by that.
    }
  }

  /** Gives back every worker and asks for no more. */
  stop(): void {
    this.stopped = true;
    for (const { lease } of [...this.leases.values()]) this.giveBack(lease, lease.inFlight.size === 0);
    for (const queue of this.shapes.values()) queue.stop();
  }
}
