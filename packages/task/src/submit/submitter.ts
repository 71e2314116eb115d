/** Submits tasks: waits for their arguments, leases workers for their shapes, streams them there, retries, cancels. */
import {
  DRAINING,
  StingrayError,
  TaskStatus,
  Op,
  taskIdOf,
  type TaskDone,
  type TaskId,
  type TaskYield,
} from "@stingray/protocol";
import type { Endpoint } from "@stingray/broker";
import type { ObjectEntry } from "../objects/entry.js";
import type { ObjectTable } from "../objects/table.js";
import { stateOf } from "../objects/state.js";
import { decodeThrown, encodeThrown } from "../objects/thrown.js";
import type { EncodedArgs } from "../objects/args.js";
import type { Values } from "../objects/values.js";
import { StreamState } from "../stream.js";
import type { CallTable, WaitingCall } from "./calls.js";
import { markPath, removeMark, setMark } from "./cancel-mark.js";
import { cancelled, sentBackTooOften, workerEnded } from "./failures.js";
import type { Lease } from "./lease.js";
import { LeasePool, type LeasePoolHost, type LeasePoolLinks } from "./lease-pool.js";
import { keepForRebuild, letGo, type LineageHost } from "./lineage.js";
import { nearOf } from "./near.js";
import { shouldRetry, backoffMs } from "./retry.js";
import type { ShapeQueue } from "./shape-queue.js";
import { PendingTask, type TaskSettings } from "./task.js";
import { TaskTree } from "./task-tree.js";
import { TaskWire } from "./task-wire.js";

/** Past its timeoutMs, a task has this long to end by its signal before its worker is ended. Milliseconds. */
const TIMEOUT_GRACE_MS = 250;
/** So many workers in a row may send a task back that they were not asked for. */
const MAX_REFUSALS = 10;

export interface SubmitterLinks extends LeasePoolLinks {
  readonly table: ObjectTable;
  readonly values: Values;
  readonly calls: CallTable;
  /** Where workers of this node look for marks of cancelled tasks. */
  readonly markDir: string | undefined;
}

export class Submitter implements LeasePoolHost {
  private readonly tasks = new Map<number, PendingTask>();
  private readonly tree = new TaskTree();
  private readonly leases: LeasePool;
  private readonly wire: TaskWire;
  private readonly lineage: LineageHost = {
    rebuild: (task) => this.rebuild(task),
    release: (task) => this.links.values.release(task.args.pinned),
  };
  private stopped: StingrayError | undefined;

  constructor(private readonly links: SubmitterLinks) {
    this.leases = new LeasePool(links, this);
    this.wire = new TaskWire(
      () => links.job().root,
      (entry) => links.table.describe(entry),
    );
  }

  serve(inbox: Endpoint): void {
    this.leases.serve(inbox);
  }

  /** What an agent that takes over must be told. */
  homeMoved(): void {
    this.leases.repeatDemands();
  }

  submit(settings: TaskSettings, args: EncodedArgs, parent: string | undefined): PendingTask {
    const { table } = this.links;
    const sequence = table.nextSequence();
    const results: ObjectEntry[] = [];
    for (let i = 0; i < settings.returns; i++) results.push(table.own(sequence, i));
    let task: PendingTask;
    const stream =
      settings.returns < 0
        ? new StreamState(
            (count) => this.consumed(task, count),
            () => this.taskId(task),
          )
        : undefined;
    task = new PendingTask(sequence, settings, args, results, stream, parent);
    this.tasks.set(sequence, task);
    this.links.calls.add(sequence, this.waitingCall(task));
    this.tree.add(task);
    if (this.stopped !== undefined) this.fail(task, this.stopped);
    else if (args.slots === undefined) this.enqueue(task);
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

  private awaitArguments(task: PendingTask): void {
    let left = 1;
    const ready = (): void => {
      if (--left > 0 || task.phase !== "waiting") return;
      const error = this.argumentError(task);
      if (error !== undefined) this.endWithError(task, error);
      else this.enqueue(task);
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

  /** Where it waits, or would. */
  queueFor(task: PendingTask): ShapeQueue {
    return task.queue ?? this.leases.queue(task.settings.shapeKey, task.settings.shape);
  }

  /** In the queue of its shape, and of the nodes where its arguments lie, if they are large. */
  private enqueue(task: PendingTask, inFront = false): void {
    const { shapeKey, shape } = task.settings;
    const near = nearOf(task, this.links.home().node);
    task.queue =
      near === undefined ? this.leases.queue(shapeKey, shape) : this.leases.near(shapeKey, shape, near);
    task.queue.add(task, inFront);
  }

  attemptLost(task: PendingTask, lease: Lease): void {
    clearTimeout(task.timer);
    const { definition, run } = task.settings;
    const reason = lease.report?.reason;
    const error = workerEnded(definition.name, lease.report, lease.node, task.attempt + 1, {
      ofOther: !task.timedOut,
      timeoutMs: run?.timeoutMs,
    });
    const asked = reason === "cancelled" || reason === "timeout";
    if (task.cancelled) this.fail(task, cancelled(definition.name));
    else if (reason === "timeout" && task.timedOut) this.failOrRetry(task, error, true);
    // It lay behind another task that this process had ended: no fault of its own. What is not to be retried, or was
    // taken along by a task of another lease, may have begun.
    else if (asked && lease.killing && task.settings.maxRetries > 0) this.requeue(task);
    // Its node was drained, which is nobody's fault.
    else if (reason === DRAINING && task.settings.maxRetries > 0) this.requeue(task);
    else this.failOrRetry(task, error, false);
  }

  // -- sending and answers --------------------------------------------------------------------------------------

  send(task: PendingTask, lease: Lease): boolean {
    const error = this.argumentError(task);
    if (error !== undefined) {
      this.endWithError(task, error);
      return false;
    }
    // An argument was lost since the task was queued, and is being made again.
    if (!argumentsReady(task)) {
      task.lease = undefined;
      if (task.to("waiting")) this.awaitArguments(task);
      return false;
    }
    // Of an earlier attempt.
    task.timedOut = false;
    this.wire.send(task, lease);
    return true;
  }

  /** The body of a task with a time limit has begun: a worker that does not end it by itself is ended. */
  private started(task: PendingTask): void {
    const { lease } = task;
    const limit = task.settings.run?.timeoutMs;
    if (lease === undefined || limit === undefined || task.phase !== "sent") return;
    task.timer = setTimeout(() => {
      task.timedOut = true;
      void this.leases.kill(lease, "timeout");
    }, limit + TIMEOUT_GRACE_MS).unref();
  }

  private done(task: PendingTask, message: TaskDone): void {
    const [, , status, results, tookUs] = message;
    const { lease } = task;
    if (lease === undefined || task.phase !== "sent") return;
    clearTimeout(task.timer);
    const queue = this.queueFor(task);
    task.lease = undefined;
    if (status === TaskStatus.Dropped) {
      queue.sentBack(task, lease);
      this.sentBack(task);
      return;
    }
    task.refusals = 0;
    if (status === TaskStatus.Ok) {
      queue.observe(task.settings.definition, tookUs);
      this.links.calls.settle(task.results, message, lease.channel);
      this.ended(
        task,
        results.some((r) => r[0] === 1),
      );
    } else if (status === TaskStatus.Cancelled || task.cancelled) {
      this.fail(task, cancelled(task.settings.definition.name));
    } else {
      queue.observe(task.settings.definition, tookUs);
      const bytes =
        results[0]?.[0] === 2
          ? results[0][1]
          : encodeThrown(new StingrayError("a worker sent a failure without an error"));
      const error = decodeThrown(bytes);
      if (task.retriesLeft && shouldRetry(task.settings.retryOn, error)) this.retry(task, error);
      else this.endWithError(task, bytes);
    }
    queue.ended(task, lease);
  }

  /** It was never begun. */
  private sentBack(task: PendingTask): void {
    const { name } = task.settings.definition;
    if (task.cancelled) this.fail(task, cancelled(name));
    else if (task.askedBack || ++task.refusals < MAX_REFUSALS) this.requeue(task);
    else this.fail(task, sentBackTooOften(name, task.refusals));
  }

  private yielded(task: PendingTask, message: TaskYield): void {
    const [, call, index, item, refs] = message;
    const { stream, lease } = task;
    if (stream === undefined || lease === undefined || index > stream.received) return;
    if (index < stream.received) {
      this.links.calls.repeated(lease.channel, message);
      return;
    }
    const { table } = this.links;
    const entry = table.own(task.sequence, index);
    const ref = table.handle(entry);
    if (refs !== undefined && refs.length > 0)
      this.links.calls.hold([entry], refs, lease.channel, { call, index });
    table.settle(entry, stateOf(item));
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
    if (again) this.retry(task, error);
    else this.fail(task, error);
  }

  private retry(task: PendingTask, error: Error): void {
    task.lease = undefined;
    task.failed(error.message);
    task.attempt++;
    if (!task.to("backoff")) return;
    const wait = backoffMs(task.attempt, error);
    task.nextAt = performance.now() + wait;
    task.timer = setTimeout(() => this.enqueue(task), wait);
  }

  private requeue(task: PendingTask): void {
    task.lease = undefined;
    this.enqueue(task, true);
  }

  fail(task: PendingTask, error: Error): void {
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
    removeMark(task);
    this.links.calls.remove(task.sequence);
    task.stream?.end();
    this.tree.remove(task);
    if (lossy && task.settings.maxRetries > 0) keepForRebuild(task, this.lineage);
    else letGo(task, this.lineage);
  }

  private rebuild(task: PendingTask): boolean {
    if (task.phase !== "ended") return true; // another reader asked already
    if (!task.retriesLeft || this.stopped !== undefined) return false;
    task.attempt++;
    if (!task.to("waiting")) return false;
    for (const entry of task.results) this.links.table.remake(entry);
    this.tasks.set(task.sequence, task);
    this.links.calls.add(task.sequence, this.waitingCall(task));
    this.awaitArguments(task);
    return true;
  }

  // -- cancellation ---------------------------------------------------------------------------------------------

  /** All tasks that have not ended. */
  unended(): Iterable<PendingTask> {
    return this.tasks.values();
  }

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
    const { markDir } = this.links;
    if (markDir !== undefined && lease.node === this.links.home().node)
      setMark(task, markPath(markDir, this.taskId(task)));
    if (o.force) await this.leases.kill(lease, "cancelled");
  }

  /** Cancels what a task of this process has submitted and what has not ended. */
  async cancelChildren(parent: string): Promise<void> {
    await Promise.all(
      this.tree.of(parent).map((child) => this.cancel(child, { force: false, recursive: true })),
    );
  }

  taskId(task: PendingTask): TaskId {
    return taskIdOf(this.links.table.processId, task.sequence);
  }

  get pending(): number {
    return this.tasks.size;
  }

  /** Ends every task with `error` and gives back every worker. */
  stop(error: StingrayError): void {
    this.stopped = error;
    for (const task of [...this.tasks.values()]) this.fail(task, error);
    this.leases.stop();
  }
}

function argumentsReady(task: PendingTask): boolean {
  return task.args.slots?.every((slot) => slot.kind === "bytes" || slot.entry.ready) ?? true;
}
