/**
 * An activation: one incarnation of an actor in this process. It has the instance, the mailbox and the life cycle; who
 * calls it, and whether it has the process for itself, is the business of its host.
 */
import {
  InvalidArgumentError,
  Op,
  TaskStatus,
  toError,
  type ActorCall,
  type ActorSpec,
} from "@stingray/protocol";
import {
  encodeThrown,
  markPath,
  marked,
  runIn,
  taskError,
  type Body,
  type CallHost,
  type IncomingCall,
  type Runtime,
} from "@stingray/task/internal";
import { ActivationCall, type CallOrigin } from "./activation-call.js";
import { answeredInTime } from "./answered-in-time.js";
import { Deadlocks } from "./cycles/deadlocks.js";
import type { HostedClass } from "./hosted-class.js";
import type { LentPlace } from "./lent-place.js";
import { Mailbox, type HeldUp, type QueuedCall } from "./mailbox.js";
import { Starts, type Start } from "./starts.js";
import { ActorSelf } from "./self.js";

/** After this long without a turn of the event loop, answers are flushed and messages let in. Milliseconds. */
const TURN_MS = 1;

/** Past its timeoutMs, a call has this long to end by its signal before its caller is answered. Milliseconds. */
const TIMEOUT_GRACE_MS = 250;

/** Optional methods of an actor class that are called at the beginning and the end. */
interface LifeCycle {
  onActivate?(): unknown;
  onDeactivate?(reason: string): unknown;
}

/** The process that an activation lives in. */
export interface ActivationHost {
  readonly runtime: Runtime;
  /** It has ended itself with `exitActor()`; it takes no more calls. */
  exited(activation: Activation): void;
}

/** Sees every call that an activation runs. */
export interface CallObserver {
  /** Its body is about to be called. */
  before?(call: ActivationCall): void;
  /** It is over and its answer was handed on. */
  after?(call: ActivationCall): void;
}

export interface ActivationParts {
  readonly host: ActivationHost;
  readonly spec: ActorSpec;
  /** Of the incarnation. */
  readonly epoch: number;
  readonly cls: HostedClass;
  readonly gpus: readonly number[];
  /** Its CPUs are lent while all that it does is waiting; absent where it holds none. */
  readonly place?: LentPlace | undefined;
  /** Puts the instance into the state that was saved: after the constructor, before `onActivate`. Default: nothing */
  readonly restore?: ((instance: object) => unknown) | undefined;
}

export class Activation implements CallHost {
  readonly spec: ActorSpec;
  readonly self: ActorSelf;
  instance: object | undefined;
  private readonly host: ActivationHost;
  private readonly cls: HostedClass;
  private readonly place: LentPlace | undefined;
  private mail: Mailbox | undefined;
  /** Since a call had to read its arguments first. */
  private starts: Starts | undefined;
  private observers: CallObserver[] | undefined;
  /** Whether a call may begin now; default: always. Where it said no, `goOn` is to follow. */
  gate: (() => boolean) | undefined;
  private pumpDue = false;
  private ending = false;
  private deactivated: Promise<unknown> | undefined;
  private open = 0;
  /** Since a call waited first. */
  private deadlocks: Deadlocks | undefined;

  private constructor({ host, spec, epoch, cls, gpus, place }: ActivationParts) {
    this.host = host;
    this.spec = spec;
    this.cls = cls;
    this.place = place;
    this.self = new ActorSelf(host.runtime, spec, epoch, gpus, place);
  }

  /**
   * Runs the constructor, `restore` and `onActivate`; calls may be given to it then.
   * @throws what one of them threw, as a TaskError
   */
  static async start(parts: ActivationParts): Promise<Activation> {
    const activation = new Activation(parts);
    const { spec, self } = activation;
    const { runtime } = parts.host;
    const { values } = await runtime.values.decodeArgs(spec.args);
    let doing = "constructor";
    parts.place?.begun();
    try {
      const make = parts.cls.constructorOf as unknown as new (...args: unknown[]) => LifeCycle & object;
      const name = (): string => `${spec.className} ${doing}`;
      const instance = marked(name(), () => runIn(self.betweenCalls(), () => new make(...values)));
      activation.instance = instance;
      self.made(instance);
      if (parts.restore !== undefined) {
        const { restore } = parts;
        doing = "restore";
        await marked(name(), () => runIn(self.betweenCalls(), () => restore(instance)));
      }
      doing = "onActivate";
      if (instance.onActivate !== undefined)
        await marked(name(), () => runIn(self.betweenCalls(), () => instance.onActivate?.()));
    } catch (thrown) {
      throw taskError(`${spec.className} ${doing}`, toError(thrown), thrown, { step: doing });
    } finally {
      parts.place?.ended();
    }
    self.onExit = activation;
    return activation;
  }

  get epoch(): number {
    return this.self.epoch;
  }
  /** Calls that were taken and have not ended. */
  get pending(): number {
    return this.open;
  }

  /** It takes no more calls. */
  get leaving(): boolean {
    return this.ending;
  }

  observe(observer: CallObserver): void {
    (this.observers ??= []).push(observer);
  }

  private get mailbox(): Mailbox {
    return (this.mail ??= new Mailbox(this.spec.maxConcurrency, this.spec.concurrencyGroups));
  }

  /** Takes a call into the mailbox. What can't be run is answered at once. */
  take(message: ActorCall, origin: CallOrigin): void {
    const [, sequence, name, , , , options] = message;
    const { answers } = origin;
    const method = this.cls.method(name);
    if (this.ending) {
      answers.send([Op.TaskDone, sequence, TaskStatus.Dropped, [], 0]);
      return;
    }
    const refused =
      method === undefined ? this.cls.hasNo(this.spec.className, name) : this.refusal(options?.group);
    if (refused !== undefined || method === undefined) {
      const error = encodeThrown(refused ?? new Error(name));
      answers.send([Op.TaskDone, sequence, TaskStatus.Failed, [[2, error]], 0]);
      return;
    }
    const call = new ActivationCall(this, origin, name, message);
    call.mark = method.mark;
    this.open++;
    origin.taken(call);
    const { instance } = this;
    this.mailbox.add(
      { call, shared: method.shared, body: (...given) => method.fn.apply(instance, given) },
      options?.group,
    );
    if (!this.pumpDue) this.pump();
    this.deadlocks?.came();
  }

  private refusal(group: string | undefined): Error | undefined {
    const { concurrencyGroups, className } = this.spec;
    if (group === undefined || this.mailbox.has(group)) return undefined;
    return new InvalidArgumentError(
      `actor ${className} has no concurrency group "${group}"; it has ${Object.keys(concurrencyGroups).join(", ") || "none"}`,
    );
  }

  private pump(): void {
    const started = performance.now();
    if (this.gate?.() === false) return;
    for (let next = this.mailbox.next(); next !== undefined; next = this.mailbox.next()) {
      this.run(next.entry, next.finished);
      if (performance.now() - started > TURN_MS) {
        next.entry.call.channel.flush();
        this.pumpLater();
        return;
      }
      if (this.gate?.() === false) return;
    }
  }

  /** Calls may begin that the gate has kept from it. */
  goOn(): void {
    if (this.mail !== undefined && this.mail.queued > 0) this.pump();
  }

  /** Whether a method of its class is declared async, and so may wait for something. */
  get hasAsyncMethods(): boolean {
    return this.cls.hasAsyncMethods;
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
    const call = entry.call as ActivationCall;
    let inside = true;
    this.place?.begun();
    for (const observer of this.observers ?? []) observer.before?.(call);
    const start = this.startOf(call, entry.body);
    const given = start?.body ?? entry.body;
    const over = (): void => {
      start?.begun();
      finished();
      this.place?.ended();
      this.forget(call);
      for (const observer of this.observers ?? []) observer.after?.(call);
      // While run() is on the stack, pump() goes on by itself.
      if (!inside && this.mailbox.queued > 0) this.pumpLater();
    };
    const { runner } = this.host.runtime;
    const limit = call.options?.timeoutMs;
    if (limit === undefined) runner.run(call, given, over, start?.after);
    else {
      const { body, settled } = answeredInTime(given, limit + TIMEOUT_GRACE_MS, call.returns < 0);
      runner.run(call, body, () => void settled().then(over, over), start?.after);
    }
    inside = false;
  }

  private startOf(call: ActivationCall, body: Body): Start | undefined {
    if (this.starts === undefined && call.args instanceof Uint8Array) return undefined;
    return (this.starts ??= new Starts()).of(call, body);
  }

  private forget(call: ActivationCall): void {
    this.open--;
    call.origin.ended(call);
  }

  /** The caller wants it no more: one that has not begun is answered at once, another sees its signal. */
  cancel(call: ActivationCall, recursive: boolean): void {
    call.cancel();
    if (recursive) void this.host.runtime.submitter.cancelChildren(call.taskId);
    for (const entry of this.takeOut((queued) => queued === call)) {
      this.forget(entry.call as ActivationCall);
      call.channel.send([Op.TaskDone, call.sequence, TaskStatus.Cancelled, [], 0]);
    }
  }

  /** Nobody waits for what came from there any more: what has not begun never will. */
  abandon(origin: CallOrigin): void {
    const theirs = this.takeOut((queued) => (queued as ActivationCall).origin === origin);
    for (const { call } of theirs) this.forget(call as ActivationCall);
  }

  /** Calls that never begin; those behind them may have waited for nothing else. */
  private takeOut(matches: (call: IncomingCall) => boolean): QueuedCall[] {
    const taken = this.mail?.remove(matches) ?? [];
    if (taken.length > 0) this.pumpLater();
    return taken;
  }

  /** It ends at once: what has not begun goes back, and what runs sees its signal. */
  giveUp(): void {
    this.ending = true;
    this.giveBackQueued();
    for (const call of this.mail?.running() ?? []) call.cancel();
  }

  /** Resolves when no call is left, or after `deadlineMs`. */
  async quiet(deadlineMs: number): Promise<void> {
    const end = performance.now() + deadlineMs;
    while (this.open > 0 && performance.now() < end) await new Promise((turn) => setTimeout(turn, 5));
  }

  /** Whether its class has something to do at its end. */
  get hasDeactivate(): boolean {
    return (this.instance as LifeCycle).onDeactivate !== undefined;
  }

  /** `context().exitActor()`: this call fails with ActorDiedError, later ones too. */
  exited(): void {
    this.ending = true;
    this.giveBackQueued();
    this.host.exited(this);
  }

  /** What has not begun never will here; its callers learn from the actor's state what becomes of it. */
  private giveBackQueued(): void {
    this.deadlocks?.stop();
    for (const { call } of this.mail?.remove(() => true) ?? []) {
      this.forget(call as ActivationCall);
      call.channel.send([Op.TaskDone, call.sequence, TaskStatus.Dropped, [], 0]);
    }
  }

  /**
   * No more calls are taken: those that have not begun, and those that still come, go back to their callers. What runs
   * may finish until the deadline, then `onDeactivate`, once.
   * @param save its state is saved last, for the next incarnation, where all calls have ended
   * @returns calls that have not ended
   * @throws what `onDeactivate`, or the save, throws
   */
  async leave(reason: string, deadlineMs: number, save = false): Promise<number> {
    this.ending = true;
    this.giveBackQueued();
    await this.quiet(deadlineMs);
    this.deactivated ??= (async () =>
      runIn(this.self.betweenCalls(), () => (this.instance as LifeCycle).onDeactivate?.(reason)))();
    try {
      await this.deactivated;
    } finally {
      // With a durable mailbox both are saved together, by whoever reads it.
      if (save && this.open === 0 && this.spec.durable !== true) await this.self.saver.save();
    }
    return this.open;
  }

  /** Why a call that has not begun can't begin; undefined where nothing known keeps it. */
  heldUp(call: ActivationCall): HeldUp | undefined {
    return this.mail?.heldUpIn(call.options?.group);
  }

  /** It has not begun, and never will. */
  private refuse(call: IncomingCall, error: Error): void {
    if (this.takeOut((queued) => queued === call).length === 0) return;
    this.forget(call as ActivationCall);
    call.channel.send([Op.TaskDone, call.sequence, TaskStatus.Failed, [[2, encodeThrown(error)]], 0]);
  }

  // A call that waits keeps its turn, so that they run one at a time, to the end; but the node may use its CPUs.
  blocked(): void {
    this.place?.blocked();
    this.deadlocks ??= new Deadlocks(this.mailbox, this.host.runtime.waitStates, (call, error) =>
      this.refuse(call, error),
    );
    this.deadlocks.blocked();
  }
  resumed(): void {
    this.place?.resumed();
    this.deadlocks?.resumed();
  }
  cancelMark(call: IncomingCall): string | undefined {
    const { markDir } = this.host.runtime;
    return markDir === undefined ? undefined : markPath(markDir, call.taskId);
  }
}
