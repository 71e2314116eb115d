/** Submits tasks: waits for their arguments, leases workers for their shapes, streams them there, retries, cancels. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  Agent,
  Op,
  StingrayError,
  TaskStatus,
  decodeError,
  leaseFailed,
  leaseGrant,
  leaseLost,
  leasePending,
  leaseRevoke,
  taskIdOf,
  type ExitReport,
  type JobSpec,
  type NodeId,
  type ProcessId,
  type Shape,
  type TaskDone,
  type TaskYield,
  type ValueDesc,
} from "@stingray/protocol";
import type { Channel, Endpoint } from "@stingray/broker";
import type { Home } from "../home.js";
import type { ObjectEntry, ObjectState } from "../objects/entry.js";
import type { ObjectTable } from "../objects/table.js";
import { stateOf } from "../objects/table.js";
import { decodeThrown, encodeThrown, type EncodedArgs, type Values } from "../objects/values.js";
import { moduleOnWire, type RemoteDefinition } from "../registry.js";
import { StreamState } from "../stream.js";
import type { CallTable, WaitingCall } from "./calls.js";
import { cancelled, workerEnded } from "./failures.js";
import { Lease } from "./lease.js";
import { shouldRetry, backoffMs } from "./retry.js";
import { ShapeQueue, type ShapeQueueHost } from "./shape-queue.js";
import { PendingTask, type TaskSettings } from "./task.js";

/** How long to wait for an agent to say how a worker ended, after its channel closed. Milliseconds. */
const REPORT_WAIT_MS = 2_000;
/** Past its timeoutMs, a task has this long to end by its signal before its worker is ended. Milliseconds. */
const TIMEOUT_GRACE_MS = 250;

export interface SubmitterLinks {
  readonly table: ObjectTable;
  readonly values: Values;
  readonly calls: CallTable;
  job(): JobSpec;
  home(): Home;
  channelTo(process: ProcessId, node: NodeId | undefined): Channel;
  /** Where workers of this node look for marks of cancelled tasks. */
  readonly markDir: string | undefined;
  /** Output for the user: something waits and why. */
  readonly warn: (message: string) => void;
}

export class Submitter implements ShapeQueueHost {
  private readonly shapes = new Map<string, ShapeQueue>();
  private readonly leases = new Map<string, { lease: Lease; queue: ShapeQueue }>();
  private readonly tasks = new Map<number, PendingTask>();
  private readonly children = new Map<string, Set<PendingTask>>();
  private readonly defined = new WeakMap<Channel, Map<RemoteDefinition, number>>();
  private stopped: StingrayError | undefined;

  constructor(private readonly links: SubmitterLinks) {}

  serve(inbox: Endpoint): void {
    inbox.on(Op.LeaseGrant, leaseGrant, ([, key, id, worker, node, agent]) => {
      this.granted(key, id, worker as ProcessId, node as NodeId, agent as ProcessId);
    });
    inbox.on(Op.LeaseRevoke, leaseRevoke, ([, id]) => {
      const held = this.leases.get(id);
      if (held !== undefined) held.queue.revoked(held.lease);
    });
    inbox.on(Op.LeaseLost, leaseLost, ([, id, , report]) => {
      const held = this.leases.get(id);
      if (held !== undefined) this.leaseLost(held.lease, held.queue, report);
    });
    inbox.on(Op.LeaseFailed, leaseFailed, ([, key, error]) => {
      const queue = this.shapes.get(key);
      for (const task of queue?.takeAll() ?? []) this.fail(task, decodeError(error));
    });
    inbox.on(Op.LeasePending, leasePending, ([, key, reason]) => {
      const queue = this.shapes.get(key);
      if (queue === undefined || queue.length === 0 || queue.pendingReason === reason) return;
      queue.pendingReason = reason;
      this.links.warn(`${queue.length} task(s) wait: ${reason}`);
    });
  }

  /** What an agent that takes over must be told. */
  homeMoved(): void {
    for (const queue of this.shapes.values()) queue.repeatDemand();
  }

  submit(settings: TaskSettings, args: EncodedArgs, parent: string | undefined): PendingTask {
    const { table } = this.links;
    const sequence = table.nextSequence();
    const results: ObjectEntry[] = [];
    for (let i = 0; i < settings.returns; i++) results.push(table.own(sequence, i));
    let task: PendingTask;
    const stream = settings.returns < 0 ? new StreamState((count) => this.consumed(task, count)) : undefined;
    task = new PendingTask(sequence, settings, args, results, stream, parent);
    this.tasks.set(sequence, task);
    this.links.calls.add(sequence, this.waitingCall(task));
    if (parent !== undefined) this.adopt(parent, task);
    if (this.stopped !== undefined) this.fail(task, this.stopped);
    else if (args.slots === undefined) this.queueFor(task).add(task);
    else this.awaitArguments(task);
    return task;
  }

  private waitingCall(task: PendingTask): WaitingCall {
    return {
      channel: () => task.lease?.channel,
      onDone: (message) => this.done(task, message),
      onYield: (message) => this.yielded(task, message),
      onStarted: () => this.started(task),
    };
  }

  private adopt(parent: string, task: PendingTask): void {
    const set = this.children.get(parent);
    if (set === undefined) this.children.set(parent, new Set([task]));
    else set.add(task);
  }

  private awaitArguments(task: PendingTask): void {
    let left = 1;
    const ready = (): void => {
      if (--left > 0 || task.phase !== "waiting") return;
      const error = this.argumentError(task);
      if (error !== undefined) this.endWithError(task, error);
      else this.queueFor(task).add(task);
    };
    for (const slot of task.args.slots ?? []) {
      if (slot.kind !== "object" || slot.entry.ready) continue;
      left++;
      this.links.table.ask(slot.entry);
      slot.entry.whenReady(ready);
    }
    ready();
  }

  /** A task whose argument failed fails with that error. */
  private argumentError(task: PendingTask): Uint8Array | undefined {
    for (const slot of task.args.slots ?? []) {
      if (slot.kind === "object" && slot.entry.state.kind === "error") return slot.entry.state.bytes;
    }
    return undefined;
  }

  private queueFor(task: PendingTask): ShapeQueue {
    const { shapeKey, shape } = task.settings;
    let queue = this.shapes.get(shapeKey);
    if (queue === undefined) this.shapes.set(shapeKey, (queue = new ShapeQueue(shapeKey, shape, this)));
    return queue;
  }

  // -- leases ---------------------------------------------------------------------------------------------------

  demand(key: string, shape: Shape, want: number): void {
    this.links.home().send([Op.LeaseDemand, this.links.job().job, key, shape, want]);
  }

  private granted(key: string, id: string, worker: ProcessId, node: NodeId, agent: ProcessId): void {
    const queue = this.shapes.get(key);
    if (queue === undefined || this.stopped !== undefined) {
      this.links.channelTo(agent, node).send([Op.LeaseReturn, id, true]);
      return;
    }
    const channel = this.links.channelTo(worker, node);
    const lease = new Lease(id, worker, node, agent, channel);
    this.leases.set(id, { lease, queue });
    channel.onClose(() => this.workerUnreachable(lease, queue));
    queue.granted(lease);
  }

  giveBack(lease: Lease, usable: boolean): void {
    this.leases.delete(lease.id);
    this.links.channelTo(lease.agent, lease.node).send([Op.LeaseReturn, lease.id, usable]);
  }

  private workerUnreachable(lease: Lease, queue: ShapeQueue): void {
    if (!this.leases.has(lease.id)) return;
    lease.broken = true;
    setTimeout(() => this.leaseLost(lease, queue, undefined), REPORT_WAIT_MS).unref();
  }

  private leaseLost(lease: Lease, queue: ShapeQueue, report: ExitReport | undefined): void {
    if (!this.leases.delete(lease.id)) return;
    lease.broken = true;
    lease.report = report;
    queue.dropped(lease);
    const tasks = [...lease.inFlight].sort((a, b) => b.sequence - a.sequence);
    lease.inFlight.clear();
    for (const task of tasks) this.attemptLost(task, lease);
    queue.pump();
  }

  private attemptLost(task: PendingTask, lease: Lease): void {
    clearTimeout(task.timer);
    const { definition, run } = task.settings;
    const reason = lease.report?.reason;
    const error = workerEnded(definition.name, lease.report, lease.node, task.attempt + 1, run?.timeoutMs);
    if (task.cancelled) this.fail(task, cancelled(definition.name));
    else if (reason === "timeout" && task.timedOut) this.failOrRetry(task, error, true);
    else if (reason === "cancelled" || reason === "timeout")
      this.requeue(task); // it was another task's end
    else this.failOrRetry(task, error, false);
  }

  // -- sending and answers --------------------------------------------------------------------------------------

  send(task: PendingTask, lease: Lease): boolean {
    const error = this.argumentError(task);
    if (error !== undefined) {
      this.endWithError(task, error);
      return false;
    }
    const { settings, args } = task;
    const wireArgs =
      args.whole ??
      (args.slots ?? []).map((slot): ValueDesc =>
        slot.kind === "bytes" ? [0, slot.bytes] : this.links.table.describe(slot.entry),
      );
    const fn = this.functionIndex(lease.channel, settings.definition);
    if (settings.run === undefined)
      lease.channel.send([Op.TaskRun, task.sequence, lease.id, fn, wireArgs, settings.returns, task.attempt]);
    else
      lease.channel.send([
        Op.TaskRun,
        task.sequence,
        lease.id,
        fn,
        wireArgs,
        settings.returns,
        task.attempt,
        settings.run,
      ]);
    // An attempt begins at the first item: it must know how far the reader is, or it waits for what was said before.
    const progress = task.stream?.progress ?? 0;
    if (progress !== 0) lease.channel.send([Op.TaskConsumed, task.sequence, progress]);
    return true;
  }

  /** The body of a task with a time limit has begun: a worker that does not end it by itself is ended. */
  private started(task: PendingTask): void {
    const { lease } = task;
    const limit = task.settings.run?.timeoutMs;
    if (lease === undefined || limit === undefined || task.phase !== "sent") return;
    task.timer = setTimeout(() => {
      task.timedOut = true;
      void this.kill(lease, "timeout");
    }, limit + TIMEOUT_GRACE_MS).unref();
  }

  private functionIndex(channel: Channel, definition: RemoteDefinition): number {
    let known = this.defined.get(channel);
    if (known === undefined) this.defined.set(channel, (known = new Map()));
    let index = known.get(definition);
    if (index === undefined) {
      index = known.size;
      known.set(definition, index);
      const module = moduleOnWire(definition.module, this.links.job().root);
      channel.send([Op.TaskDefine, index, module, definition.name, definition.hash]);
    }
    return index;
  }

  private done(task: PendingTask, message: TaskDone): void {
    const [, , status, results, tookUs] = message;
    const { lease } = task;
    if (lease === undefined || task.phase !== "sent") return;
    clearTimeout(task.timer);
    const queue = this.queueFor(task);
    task.lease = undefined;
    if (status === TaskStatus.Ok) {
      queue.observe(task.settings.definition, tookUs);
      this.links.calls.settle(task.results, message, lease.channel);
      this.ended(
        task,
        results.some((r) => r[0] === 1),
      );
    } else if (status === TaskStatus.Dropped) {
      this.requeue(task);
    } else if (status === TaskStatus.Cancelled || task.cancelled) {
      this.fail(task, cancelled(task.settings.definition.name));
    } else {
      queue.observe(task.settings.definition, tookUs);
      const bytes =
        results[0]?.[0] === 2
          ? results[0][1]
          : encodeThrown(new StingrayError("a worker sent a failure without an error"));
      if (task.retriesLeft && shouldRetry(task.settings.retryOn, decodeThrown(bytes))) this.retry(task);
      else this.endWithError(task, bytes);
    }
    queue.ended(task, lease);
  }

  private yielded(task: PendingTask, message: TaskYield): void {
    const [, call, index, item, refs] = message;
    const { stream, lease } = task;
    if (stream === undefined || lease === undefined || index > stream.received) return;
    const { table } = this.links;
    const entry = table.own(task.sequence, index);
    const ref = table.handle(entry);
    if (refs !== undefined && refs.length > 0)
      this.links.calls.hold([entry], refs, lease.channel, { call, index });
    const state = stateOf(item);
    if (index < stream.received) {
      ref.release();
      const repeated = unlessKept(state, stream.stored.get(index));
      if (repeated !== undefined) table.settle(entry, repeated); // frees it, since nothing holds the entry
      return;
    }
    if (state.kind === "stored") {
      stream.stored.set(index, entry);
      entry.onFree = () => stream.stored.delete(index);
    }
    table.settle(entry, state);
    stream.push(ref);
  }

  private consumed(task: PendingTask, count: number): void {
    const channel = task.lease?.channel;
    if (channel !== undefined) channel.send([Op.TaskConsumed, task.sequence, count]);
    else if (count < 0) void this.cancel(task, { force: false, recursive: true });
  }

  // -- ends -----------------------------------------------------------------------------------------------------

  private failOrRetry(task: PendingTask, error: StingrayError, asUserError: boolean): void {
    const again = task.retriesLeft && (!asUserError || shouldRetry(task.settings.retryOn, error));
    if (again) this.retry(task);
    else this.fail(task, error);
  }

  private retry(task: PendingTask): void {
    task.lease = undefined;
    task.attempt++;
    if (!task.to("backoff")) return;
    const wait = backoffMs(task.attempt);
    task.timer = setTimeout(() => this.queueFor(task).add(task), wait);
  }

  private requeue(task: PendingTask): void {
    task.lease = undefined;
    this.queueFor(task).add(task, true);
  }

  private fail(task: PendingTask, error: Error): void {
    this.endWithError(task, encodeThrown(error));
  }

  private endWithError(task: PendingTask, bytes: Uint8Array): void {
    const { table } = this.links;
    if (task.stream !== undefined) {
      const entry = table.own(task.sequence, task.stream.received);
      const ref = table.handle(entry);
      table.settle(entry, { kind: "error", bytes });
      task.stream.push(ref);
    }
    for (const entry of task.results) table.settle(entry, { kind: "error", bytes });
    this.ended(task, false);
  }

  /** @param lossy a result lies in a store and may be lost with it: the task is kept so that it can be run again. */
  private ended(task: PendingTask, lossy: boolean): void {
    if (!task.to("ended")) return;
    clearTimeout(task.timer);
    this.tasks.delete(task.sequence);
    if (task.mark !== undefined) rm(task.mark, { force: true }).catch(() => {}); // goes with its directory
    this.links.calls.remove(task.sequence);
    task.stream?.end();
    if (task.parent !== undefined) {
      const siblings = this.children.get(task.parent);
      siblings?.delete(task);
      if (siblings?.size === 0) this.children.delete(task.parent);
    }
    if (lossy && task.settings.maxRetries > 0) this.keepForRebuild(task);
    else this.links.values.release(task.args.pinned);
  }

  /** Lineage in memory: the arguments stay pinned while a result that could be lost is referenced. */
  private keepForRebuild(task: PendingTask): void {
    let alive = task.results.filter((entry) => !entry.freed).length;
    if (alive === 0) {
      this.links.values.release(task.args.pinned);
      return;
    }
    for (const entry of task.results) {
      if (entry.freed) continue;
      entry.rebuild = () => this.rebuild(task);
      entry.onFree = () => {
        if (--alive === 0 && task.phase === "ended") this.links.values.release(task.args.pinned);
      };
    }
  }

  private rebuild(task: PendingTask): boolean {
    if (task.phase !== "ended") return true; // another reader asked already
    if (!task.retriesLeft || this.stopped !== undefined) return false;
    task.attempt++;
    if (!task.to("waiting")) return false;
    for (const entry of task.results) entry.reset();
    this.tasks.set(task.sequence, task);
    this.links.calls.add(task.sequence, this.waitingCall(task));
    this.awaitArguments(task);
    return true;
  }

  // -- cancellation ---------------------------------------------------------------------------------------------

  find(sequence: number): PendingTask | undefined {
    return this.tasks.get(sequence);
  }

  async cancel(task: PendingTask, o: { force: boolean; recursive: boolean }): Promise<void> {
    if (task.phase === "ended") return;
    task.cancelled = true;
    const { lease } = task;
    if (task.phase !== "sent" || lease === undefined) {
      if (task.phase === "queued") this.queueFor(task).remove(task);
      this.fail(task, cancelled(task.settings.definition.name));
      return;
    }
    lease.channel.send([Op.TaskCancel, task.sequence, o.recursive]);
    this.mark(task, lease);
    if (o.force) await this.kill(lease, "cancelled");
  }

  /** For a body that never yields: it can't see a message, but it can look for a file. */
  private mark(task: PendingTask, lease: Lease): void {
    const { markDir } = this.links;
    if (markDir === undefined || lease.node !== this.links.home().node) return;
    task.mark = join(markDir, `cancel-${this.taskId(task)}`);
    writeFile(task.mark, "").catch(() => {}); // the signal and force are left
  }

  /** Cancels what a task of this process has submitted and what has not ended. */
  async cancelChildren(parent: string): Promise<void> {
    await Promise.all(
      [...(this.children.get(parent) ?? [])].map((child) =>
        this.cancel(child, { force: false, recursive: true }),
      ),
    );
  }

  private async kill(lease: Lease, reason: string): Promise<void> {
    lease.closing = true;
    try {
      await this.links
        .channelTo(lease.agent, lease.node)
        .request(Agent.leaseKill, { lease: lease.id, reason });
    } catch {
      // The agent is gone: so is the worker, soon, and the lease is lost by that.
    }
  }

  taskId(task: PendingTask): string {
    return taskIdOf(this.links.table.processId, task.sequence);
  }

  get pending(): number {
    return this.tasks.size;
  }

  /** Ends every task with `error` and gives back every worker. */
  stop(error: StingrayError): void {
    this.stopped = error;
    for (const task of [...this.tasks.values()]) this.fail(task, error);
    for (const { lease } of [...this.leases.values()]) this.giveBack(lease, lease.inFlight.size === 0);
    for (const queue of this.shapes.values()) queue.stop();
  }
}

/** What is to be freed of an item that came again: all of it, but for copies that are those of the item in use. */
function unlessKept(state: ObjectState, kept: ObjectEntry | undefined): ObjectState | undefined {
  if (state.kind !== "stored" || kept?.state.kind !== "stored") return state;
  const [size, copies] = state.location;
  const inUse = new Set(kept.state.location[1].map(([node]) => node));
  const others = copies.filter(([node]) => !inUse.has(node));
  return others.length === 0 ? undefined : { kind: "stored", location: [size, others] };
}
