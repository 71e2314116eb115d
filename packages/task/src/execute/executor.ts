/**
 * Runs the tasks that submitters stream to this worker: one at a time, in the order they came, over all leases. A
 * task that awaits values makes room for the next, so that nested tasks can't starve.
 */
import {
  Op,
  TaskStatus,
  taskCancel,
  taskConsumed,
  taskDefine,
  taskRun,
  taskTakeBack,
  toError,
  workerAssign,
  type JobSpec,
  type RunningWhy,
  type TaskId,
  type TaskRun,
  type WaitState,
} from "@stingray/protocol";
import type { Channel, Endpoint } from "@stingray/broker";
import { Fifo } from "../fifo.js";
import { findDefinition, findLoaded, type Callable, type RemoteDefinition } from "../registry.js";
import { encodeThrown } from "../objects/thrown.js";
import type { Home } from "../home.js";
import { markPath } from "../submit/cancel-mark.js";
import { progressOf } from "../why/running.js";
import { findCall, runnerState } from "../why/wait-states.js";
import { CallLimits } from "./call-limits.js";
import { IncomingCall, type Answers, type CallHost } from "./call.js";
import { LeaseTable, type Loaded, type Unbegun } from "./lease-table.js";
import type { CallRunner } from "./runner.js";

/** After this long without a turn of the event loop, answers are flushed and messages let in. Milliseconds. */
const TURN_MS = 1;
/** After a task that held up the event loop for so long, messages are read before the next one. Milliseconds. */
const LONG_MS = 5;
export interface ExecutorLinks {
  readonly runner: CallRunner;
  readonly socketDir: string;
  /** How long a task waits for its lease to be assigned, in milliseconds. @defaultValue 10,000 */
  readonly assignWaitMs?: number | undefined;
  job(): JobSpec;
  home(): Home;
  /** Cancels what a task has submitted from here. */
  cancelChildren(taskId: string): void;
  /** Tells libraries, by variables of the environment, what user code has from now on. */
  enter(lease: { resources: Readonly<Record<string, number>>; visible: string | undefined }): void;
}

export class Executor implements CallHost {
  private readonly functions = new WeakMap<Channel, Loaded[]>();
  private readonly leases: LeaseTable;
  private readonly queue = new Fifo<Unbegun>();
  private readonly calls = new Map<Answers, Map<number, IncomingCall>>();
  private running = 0;
  private pumpDue = false;
  private leaving = false;
  private readonly limits: CallLimits;

  constructor(private readonly links: ExecutorLinks) {
    this.limits = new CallLimits(() => links.home());
    this.leases = new LeaseTable(
      () => links.home(),
      (call) => this.drop(call),
      links.assignWaitMs,
    );
  }

  serve(inbox: Endpoint): void {
    this.links.runner.serve(inbox);
    inbox.on(Op.TaskDefine, taskDefine, ([, index, module, name, hash], channel) => {
      let known = this.functions.get(channel);
      if (known === undefined) this.functions.set(channel, (known = []));
      known[index] = { key: { module, name, hash }, definition: undefined };
    });
    inbox.on(Op.TaskRun, taskRun, (message, channel) => this.accept(message, channel));
    inbox.on(Op.TaskCancel, taskCancel, ([, sequence, recursive], channel) =>
      this.cancel(channel, sequence, recursive),
    );
    inbox.on(Op.TaskTakeBack, taskTakeBack, ([, lease], channel) => this.takeBack(lease, channel));
    inbox.on(Op.TaskConsumed, taskConsumed, ([, sequence, count], channel) => {
      const call = this.calls.get(channel)?.get(sequence);
      if (call === undefined) return;
      call.consumed = count;
      call.consumedWaiter?.();
    });
    inbox.on(Op.WorkerAssign, workerAssign, ([, lease, , resources, gpus, visible]) => {
      for (const unbegun of this.leases.assigned(lease, { resources, gpus, visible })) this.enqueue(unbegun);
    });
    inbox.onChannelClosed((channel) => this.submitterGone(channel));
  }

  private accept(message: TaskRun, channel: Channel): void {
    const [, sequence, lease, fn, args, returns, attempt, options] = message;
    const loaded = this.functions.get(channel)?.[fn];
    const name = loaded?.key.name ?? "a task";
    const call = new IncomingCall(this, channel, sequence, name, args, returns, attempt, options, lease);
    if (loaded === undefined || this.leaving) {
      this.drop(call);
      return;
    }
    let calls = this.calls.get(channel);
    if (calls === undefined) this.calls.set(channel, (calls = new Map()));
    calls.set(sequence, call);
    if (this.leases.get(lease) === undefined) this.leases.hold([call, loaded]);
    else this.enqueue([call, loaded]);
  }

  /** Sent back unstarted, at no cost to its retries. */
  private drop(call: IncomingCall): void {
    this.forget(call);
    call.channel.send([Op.TaskDone, call.sequence, TaskStatus.Dropped, [], 0]);
  }

  /** It is answered. */
  private forget({ channel, sequence }: IncomingCall): void {
    const calls = this.calls.get(channel);
    calls?.delete(sequence);
    if (calls?.size === 0) this.calls.delete(channel);
  }

  /** Its submitter has a better place for what has not begun. */
  private takeBack(id: string, channel: Channel): void {
    for (const call of this.leases.takeHeld((c) => c.lease === id && c.channel === channel)) this.drop(call);
    const lease = this.leases.get(id);
    if (lease === undefined || lease.queued === 0) return;
    for (const entry of this.queue.drain()) {
      const [call] = entry;
      if (call.lease !== id || call.channel !== channel) this.queue.push(entry);
      else {
        lease.queued--;
        this.drop(call);
      }
    }
    this.leases.tellIfBlocked(id, lease);
  }

  private enqueue(unbegun: Unbegun): void {
    const lease = this.leases.get(unbegun[0].lease);
    if (lease === undefined) return;
    lease.queued++;
    this.queue.push(unbegun);
    if (!this.pumpDue) this.pump();
  }

  private pump(): void {
    const started = performance.now();
    while (this.running < 1) {
      const next = this.queue.shift();
      if (next === undefined) return;
      this.start(next[0], next[1]);
      if (performance.now() - started > TURN_MS) {
        next[0].channel.flush();
        if (this.queue.length > 0) this.pumpLater(performance.now() - started > LONG_MS);
        return;
      }
    }
  }

  /** @param listen what came meanwhile is read before: it may be that others are to have what is next. */
  private pumpLater(listen = false): void {
    if (this.pumpDue) return;
    this.pumpDue = true;
    const pump = (): void => {
      this.pumpDue = false;
      this.pump();
    };
    // The first may still be of the turn whose messages were read before.
    setImmediate(listen ? () => setImmediate(pump) : pump);
  }

  private start(call: IncomingCall, loaded: Loaded): void {
    const lease = this.leases.get(call.lease);
    if (lease === undefined) return;
    lease.queued--;
    if (!this.limits.admits(loaded.key, call.options?.maxCalls)) {
      this.drop(call);
      this.leases.tellIfBlocked(call.lease, lease);
      return;
    }
    lease.active++;
    this.leases.tellResumed(call.lease, lease);
    call.taken = true;
    call.resources = lease.resources;
    call.gpuIds = lease.gpus;
    this.links.enter(lease);
    this.running++;
    try {
      loaded.definition ??= findLoaded(loaded.key, this.links.job().root);
    } catch (error) {
      this.failed(call, toError(error));
      return;
    }
    if (loaded.definition !== undefined) this.run(call, loaded.definition);
    else {
      findDefinition(loaded.key, this.links.job().root).then(
        (definition) => this.run(call, (loaded.definition = definition)),
        (error: unknown) => this.failed(call, toError(error)),
      );
    }
  }

  private run(call: IncomingCall, definition: RemoteDefinition): void {
    const body = definition.target as Callable as (...args: unknown[]) => unknown;
    this.links.runner.run(call, body, (tookUs) => this.finished(call, tookUs));
  }

  private failed(call: IncomingCall, error: Error): void {
    call.channel.send([Op.TaskDone, call.sequence, TaskStatus.Failed, [[2, encodeThrown(error)]], 0]);
    this.finished(call);
  }

  private finished(call: IncomingCall, tookUs = 0): void {
    this.running--;
    this.forget(call);
    const lease = this.leases.get(call.lease);
    if (lease !== undefined) {
      lease.active--;
      this.leases.tellIfBlocked(call.lease, lease);
    }
    // Inside pump() the loop goes on by itself; after an asynchronous end it must be started again.
    if (this.queue.length > 0) this.pumpLater(tookUs > LONG_MS * 1000);
  }

  // -- waiting for values ---------------------------------------------------------------------------------------

  blocked(call: IncomingCall): void {
    const lease = this.leases.get(call.lease);
    if (lease === undefined) return;
    this.running--;
    lease.active--;
    lease.waiting++;
    this.leases.tellIfBlocked(call.lease, lease);
    this.pumpLater();
  }

  resumed(call: IncomingCall): void {
    const lease = this.leases.get(call.lease);
    if (lease === undefined) return;
    this.running++;
    lease.active++;
    lease.waiting--;
    this.leases.tellResumed(call.lease, lease);
  }

  // -- cancellation ---------------------------------------------------------------------------------------------

  cancelMark(call: IncomingCall): string | undefined {
    return markPath(this.links.socketDir, call.taskId);
  }

  private cancel(channel: Channel, sequence: number, recursive: boolean): void {
    const call = this.calls.get(channel)?.get(sequence);
    if (call === undefined) return;
    call.cancel();
    if (recursive) this.links.cancelChildren(call.taskId);
    for (const held of this.leases.takeHeld((other) => other === call)) this.cancelUnbegun(held);
    for (const entry of this.queue.drain()) {
      if (entry[0] === call) {
        const lease = this.leases.get(call.lease);
        if (lease !== undefined) lease.queued--;
        this.cancelUnbegun(call);
      } else this.queue.push(entry);
    }
  }

  private cancelUnbegun(call: IncomingCall): void {
    this.forget(call);
    call.channel.send([Op.TaskDone, call.sequence, TaskStatus.Cancelled, [], 0]);
  }

  /** Nobody waits for these any more. */
  private submitterGone(channel: Channel): void {
    for (const call of this.calls.get(channel)?.values() ?? []) {
      call.cancel();
      this.links.cancelChildren(call.taskId);
    }
    this.calls.delete(channel);
    this.leases.takeHeld((call) => call.channel === channel);
    for (const entry of this.queue.drain()) {
      if (entry[0].channel !== channel) this.queue.push(entry);
      else {
        const lease = this.leases.get(entry[0].lease);
        if (lease !== undefined) lease.queued--;
      }
    }
  }

  /** How far a task is, if it is here. */
  progressOf(task: TaskId): RunningWhy | undefined {
    return progressOf(this.calls.values(), task, performance.now());
  }

  /** What keeps a task from going on, if it is here. */
  waitState(task: TaskId): WaitState | undefined {
    const call = findCall(this.calls.values(), task);
    return call && runnerState(call);
  }

  /** Hands what was answered to the links now. */
  flush(): void {
    for (const channel of this.calls.keys()) channel.flush();
  }

  /** Sends back what has not started, and resolves when what runs has ended. */
  async leave(deadlineMs: number): Promise<void> {
    this.leaving = true;
    for (const [call] of this.queue.drain()) this.drop(call);
    for (const call of this.leases.takeHeld(() => true)) this.drop(call);
    const end = performance.now() + deadlineMs;
    while (this.calls.size > 0 && performance.now() < end) await new Promise((turn) => setTimeout(turn, 5));
  }
}
