/** An actor in its worker: made from its spec, taking calls from its mailbox. */
import {
  InvalidArgumentError,
  Op,
  TaskStatus,
  actorCall,
  taskCancel,
  taskConsumed,
  toError,
  type ActorCall,
  type ActorId,
  type ActorSpec,
} from "@stingray/protocol";
import type { Channel, Endpoint } from "@stingray/broker";
import {
  IncomingCall,
  markPath,
  encodeThrown,
  findDefinition,
  progressOf,
  runIn,
  taskError,
  type Body,
  type CallHost,
  type Constructor,
  type Runtime,
} from "@stingray/task/internal";
import { LentPlace } from "./lent-place.js";
import { ActorSelf } from "./self.js";
import { Mailbox, type QueuedCall } from "./mailbox.js";
import { findMethod, methodInfo, methodNames, otherMethods, type Method } from "./metadata.js";

/** After this long without a turn of the event loop, answers are flushed and messages let in. Milliseconds. */
const TURN_MS = 1;

/** Past its timeoutMs, a call has this long to end by its signal before its caller is answered. Milliseconds. */
const TIMEOUT_GRACE_MS = 250;

/** Optional methods of an actor class that the host calls. */
interface LifeCycle {
  onActivate?(): unknown;
  onDeactivate?(reason: string): unknown;
}

export class ActorHost implements CallHost {
  private endpoint: Endpoint | undefined;
  private readonly calls = new Map<Channel, Map<number, IncomingCall>>();
  private readonly methods = new Map<string, { fn: Method; shared: boolean }>();
  private pumpDue = false;
  private ending = false;
  private deactivated: Promise<unknown> | undefined;

  private constructor(
    private readonly runtime: Runtime,
    private readonly spec: ActorSpec,
    private readonly self: ActorSelf,
    private readonly cls: Constructor,
    private readonly instance: object,
    private readonly mailbox: Mailbox,
    private readonly place: LentPlace,
  ) {
    self.onExit = () => this.exited();
    runtime.explainer.addRunner((task) => progressOf(this.calls.values(), task, performance.now()));
  }

  /**
   * Loads the class, runs the constructor and `onActivate`, and opens the mailbox.
   * @param lease name of the actor's reservation at its agent, whose CPUs are lent while all that it does is waiting
   * @throws what the constructor threw, as a TaskError; FunctionNotFoundError; RuntimeEnvError
   */
  static async start(
    runtime: Runtime,
    spec: ActorSpec,
    epoch: number,
    gpus: readonly number[],
    lease: string,
  ): Promise<ActorHost> {
    const key = { module: spec.module, name: spec.className, hash: spec.hash };
    const cls = (await findDefinition(key, runtime.job.root)).target as Constructor;
    const { values } = await runtime.values.decodeArgs(spec.args);
    const mailbox = new Mailbox(spec.maxConcurrency, spec.concurrencyGroups);
    const place = new LentPlace(lease, (message) => runtime.home.send(message));
    const self = new ActorSelf(runtime, spec, epoch, gpus, place);
    let host: ActorHost;
    let made = false;
    place.begun();
    try {
      const make = cls as unknown as new (...args: unknown[]) => LifeCycle & object;
      const instance = runIn(self.betweenCalls(), () => new make(...values));
      made = true;
      await runIn(self.betweenCalls(), () => instance.onActivate?.());
      host = new ActorHost(runtime, spec, self, cls, instance, mailbox, place);
    } catch (thrown) {
      throw taskError(`${spec.className} ${made ? "onActivate" : "constructor"}`, toError(thrown));
    } finally {
      place.ended();
    }
    place.hasCpus = (spec.running["CPU"] ?? 0) > 0;
    host.open();
    return host;
  }

  private open(): void {
    const endpoint = this.runtime.transport.openEndpoint(this.spec.actor as ActorId, this.self.epoch);
    this.endpoint = endpoint;
    this.runtime.runner.serve(endpoint);
    endpoint.on(Op.ActorCall, actorCall, (message, channel) => this.accept(message, channel));
    endpoint.on(Op.TaskCancel, taskCancel, ([, sequence, recursive], channel) =>
      this.cancel(channel, sequence, recursive),
    );
    endpoint.on(Op.TaskConsumed, taskConsumed, ([, sequence, count], channel) => {
      const call = this.calls.get(channel)?.get(sequence);
      if (call === undefined) return;
      call.consumed = count;
      call.consumedWaiter?.();
    });
    endpoint.onChannelClosed((channel) => this.callerGone(channel));
  }

  private accept(message: ActorCall, channel: Channel): void {
    const [, sequence, name, args, returns, attempt, options] = message;
    const call = new IncomingCall(
      this,
      channel,
      sequence,
      `${this.spec.className}.${name}`,
      args,
      returns,
      attempt,
      options,
      "",
    );
    call.actor = this.self;
    call.resources = this.spec.running;
    call.gpuIds = this.self.gpuIds;
    const method = this.method(name);
    if (this.ending) {
      channel.send([Op.TaskDone, sequence, TaskStatus.Dropped, [], 0]);
      return;
    }
    const refused = this.refusal(name, method, options?.group);
    if (refused !== undefined || method === undefined) {
      channel.send([
        Op.TaskDone,
        sequence,
        TaskStatus.Failed,
        [[2, encodeThrown(refused ?? new Error(name))]],
        0,
      ]);
      return;
    }
    let calls = this.calls.get(channel);
    if (calls === undefined) this.calls.set(channel, (calls = new Map()));
    calls.set(sequence, call);
    this.mailbox.add(
      { call, shared: method.shared, body: (...given) => method.fn.apply(this.instance, given) },
      options?.group,
    );
    if (!this.pumpDue) this.pump();
  }

  private method(name: string): { fn: Method; shared: boolean } | undefined {
    let known = this.methods.get(name);
    if (known === undefined) {
      const fn = findMethod(this.cls, name);
      if (fn === undefined) return undefined;
      this.methods.set(name, (known = { fn, shared: methodInfo(fn).shared ?? false }));
    }
    return known;
  }

  private refusal(name: string, method: object | undefined, group: string | undefined): Error | undefined {
    if (method === undefined) {
      return new InvalidArgumentError(
        `actor ${this.spec.className} has no method "${name}" that can be called; ${otherMethods(name, methodNames(this.cls))}`,
      );
    }
    if (group !== undefined && !this.mailbox.has(group)) {
      return new InvalidArgumentError(
        `actor ${this.spec.className} has no concurrency group "${group}"; it has ${Object.keys(this.spec.concurrencyGroups).join(", ") || "none"}`,
      );
    }
    return undefined;
  }

  private pump(): void {
    const started = performance.now();
    for (let next = this.mailbox.next(); next !== undefined; next = this.mailbox.next()) {
      this.run(next.entry, next.finished);
      if (performance.now() - started > TURN_MS) {
        next.entry.call.channel.flush();
        this.pumpLater();
        return;
      }
    }
  }

  private pumpLater(): void {
    if (this.pumpDue) return;
    this.pumpDue = true;
    setImmediate(() => {
      this.pumpDue = false;
      this.pump();
    });
  }

  private run(entry: QueuedCall, finished: () => void): void {
    const { call } = entry;
    let inside = true;
    this.place.begun();
    const over = (): void => {
      finished();
      this.place.ended();
      this.forget(call);
      // While run() is on the stack, pump() goes on by itself.
      if (!inside && this.mailbox.queued > 0) this.pumpLater();
    };
    const limit = call.options?.timeoutMs;
    if (limit === undefined) this.runtime.runner.run(call, entry.body, over);
    else {
      const { body, settled } = answeredInTime(entry.body, limit + TIMEOUT_GRACE_MS);
      this.runtime.runner.run(call, body, () => void settled().then(over, over));
    }
    inside = false;
  }

  private forget(call: IncomingCall): void {
    const calls = this.calls.get(call.channel);
    calls?.delete(call.sequence);
    if (calls?.size === 0) this.calls.delete(call.channel);
  }

  private cancel(channel: Channel, sequence: number, recursive: boolean): void {
    const call = this.calls.get(channel)?.get(sequence);
    if (call === undefined) return;
    call.cancel();
    if (recursive) void this.runtime.submitter.cancelChildren(call.taskId);
    for (const entry of this.mailbox.remove((queued) => queued === call)) {
      this.forget(entry.call);
      channel.send([Op.TaskDone, sequence, TaskStatus.Cancelled, [], 0]);
    }
  }

  private callerGone(channel: Channel): void {
    for (const call of this.calls.get(channel)?.values() ?? []) call.cancel();
    this.mailbox.remove((call) => call.channel === channel);
    this.calls.delete(channel);
  }

  /** `context().exitActor()`: this call fails with ActorDiedError, later ones too. */
  private exited(): void {
    this.ending = true;
    this.giveBackQueued();
    setImmediate(() => {
      for (const channel of this.calls.keys()) channel.flush();
      this.runtime.home.send([Op.ActorExited, this.spec.actor, this.self.epoch]);
      this.runtime.home.flush();
    });
  }

  /** What has not begun never will here; its callers learn from the actor's state what becomes of it. */
  private giveBackQueued(): void {
    for (const { call } of this.mailbox.remove(() => true)) {
      this.forget(call);
      call.channel.send([Op.TaskDone, call.sequence, TaskStatus.Dropped, [], 0]);
    }
  }

  /** Hands what was answered to the links now. */
  flush(): void {
    for (const channel of this.calls.keys()) channel.flush();
  }

  /**
   * No more calls are taken: those that have not begun, and those that still come, go back to their callers. What runs
   * may finish until the deadline, then `onDeactivate`, once.
   * @returns calls that have not ended
   * @throws what `onDeactivate` throws
   */
  async leave(reason: string, deadlineMs: number): Promise<number> {
    this.ending = true;
    this.giveBackQueued();
    const end = performance.now() + deadlineMs;
    while (this.calls.size > 0 && performance.now() < end) await new Promise((turn) => setTimeout(turn, 5));
    this.deactivated ??= (async () =>
      runIn(this.self.betweenCalls(), () => (this.instance as LifeCycle).onDeactivate?.(reason)))();
    await this.deactivated;
    return this.running;
  }

  /** Callers with calls that have not ended. */
  get running(): number {
    return this.calls.size;
  }

  /** A clean end: as `leave`, and nobody can reach it any more. */
  async stop(reason: string, deadlineMs: number): Promise<void> {
    try {
      await this.leave(reason, deadlineMs);
    } finally {
      await this.endpoint?.close();
    }
  }

  // A call that waits keeps its turn, so that they run one at a time, to the end; but the node may use its CPUs.
  blocked(): void {
    this.place.blocked();
  }
  resumed(): void {
    this.place.resumed();
  }
  cancelMark(call: IncomingCall): string | undefined {
    const { markDir } = this.runtime;
    return markDir === undefined ? undefined : markPath(markDir, call.taskId);
  }
}

/**
 * A body whose caller is answered after `ms` although it goes on; it keeps its turn until `settled`, so that no other
 * call comes in between. (A body that never yields can't be interrupted.)
 */
function answeredInTime(body: Body, ms: number): { body: Body; settled: () => Promise<unknown> } {
  let running: Promise<unknown> = Promise.resolve();
  return {
    body: (...args) => {
      const result = body(...args);
      if (!(result instanceof Promise)) return result;
      running = result;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
      return Promise.race([result, late]).finally(() => clearTimeout(timer));
    },
    settled: () => running,
  };
}
