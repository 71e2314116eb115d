/**
 * The caller's side of one actor: its calls in the order of submission, sent to the incarnation that is alive, and
 * what becomes of them when it is lost. Delivery is at most once, or at least once within `maxTaskRetries`.
 */
import {
  ActorDiedError,
  ActorUnavailableError,
  Op,
  PendingCallsLimitError,
  TaskCancelledError,
  TaskStatus,
  type ActorId,
  type ActorView,
  type NodeId,
  type ProcessId,
  type StingrayError,
  type TaskDone,
  type TaskYield,
  type ValueDesc,
} from "@stingray/protocol";
import type { Channel } from "@stingray/broker";
import {
  Fifo,
  decodeThrown,
  encodeThrown,
  shouldRetry,
  stateOf,
  type EncodedArgs,
  type Runtime,
} from "@stingray/task/internal";
import type { ActorCallState } from "./call.js";
import { next, type ClientEvent, type ClientState } from "./state.js";

/** An actor that waits for a place is worth a line to the user after this long. Milliseconds. */
const WARN_AFTER_MS = 5_000;

export interface ClientHooks {
  /** Asks an agent what became of the actor. */
  inquire(client: ActorClient): void;
  /** There is nothing more to learn about it. */
  dead(client: ActorClient): void;
}

export class ActorClient {
  private stateNow: ClientState = { kind: "claiming" };
  private readonly queue = new Fifo<ActorCallState>();
  private readonly sent = new Map<number, ActorCallState>();
  private readonly listeners = new Set<() => void>();
  private readonly idleWaiters: (() => void)[] = [];
  private waitsForArguments: ActorCallState | undefined;
  /** Arguments of the constructor stay as long as the actor may be made again. */
  private pinned: EncodedArgs | undefined;
  /** The client that this process had already of the actor that this one's claim led to. */
  private successor: ActorClient | undefined;
  private warning: NodeJS.Timeout | undefined;

  constructor(
    private readonly runtime: Runtime,
    /** Changes once where `getIfExists` found another. */
    public id: ActorId,
    readonly className: string,
    readonly maxPendingCalls: number,
    private readonly hooks: ClientHooks,
  ) {}

  get state(): ClientState {
    return this.current.stateNow;
  }

  /** The client that does the work: this one, or the one that it was merged into. */
  get current(): ActorClient {
    return this.successor === undefined ? this : this.successor.current;
  }

  get name(): string {
    return this.className;
  }

  keep(args: EncodedArgs): void {
    this.pinned = args;
  }

  onChange(listener: () => void): () => void {
    const { current } = this;
    current.listeners.add(listener);
    return () => {
      current.listeners.delete(listener);
      current.current.listeners.delete(listener);
    };
  }

  /** `getIfExists` found an actor that this process knows already: one client is enough, and keeps one order. */
  mergeInto(other: ActorClient): void {
    this.successor = other;
    this.id = other.id;
    if (this.pinned !== undefined) this.runtime.values.release(this.pinned.pinned);
    this.pinned = undefined;
    for (const listener of this.listeners) other.listeners.add(listener);
    for (const call of this.queue.drain()) other.submit(call);
    other.idleWaiters.push(...this.idleWaiters.splice(0));
    for (const listener of [...this.listeners]) listener();
  }

  // -- calls ----------------------------------------------------------------------------------------------------

  /** @throws PendingCallsLimitError */
  admit(): void {
    const pending = this.queue.length + this.sent.size;
    if (pending < this.maxPendingCalls) return;
    throw new PendingCallsLimitError(
      `actor ${this.className} has ${pending} calls of this process pending, its maxPendingCalls; wait for some before calling again`,
      { detail: { pending } },
    );
  }

  submit(call: ActorCallState): void {
    this.runtime.calls.add(call.sequence, {
      channel: () => this.channel,
      onDone: (message) => this.done(call, message),
      onYield: (message) => this.yielded(call, message),
    });
    if (call.cancelled) {
      this.fail(call, this.cancelledError(call));
      return;
    }
    if (this.stateNow.kind === "dead") {
      this.fail(call, this.stateNow.error);
      return;
    }
    for (const slot of call.args.slots ?? []) if (slot.kind === "object") this.runtime.table.ask(slot.entry);
    this.queue.push(call);
    this.pump();
  }

  private get channel(): Channel | undefined {
    return this.stateNow.kind === "alive" ? this.stateNow.channel : undefined;
  }

  /** Sends what can be sent; a call whose arguments are not there yet holds up those behind it, to keep the order. */
  private pump(): void {
    while (this.stateNow.kind === "alive") {
      const call = this.queue.peek();
      if (call === undefined) return;
      if (!call.argumentsReady) {
        this.pumpWhenReady(call);
        return;
      }
      this.queue.shift();
      const error = call.argumentError;
      if (error !== undefined) this.endWithError(call, error);
      else this.send(call, this.stateNow.channel);
    }
  }

  private pumpWhenReady(call: ActorCallState): void {
    if (this.waitsForArguments === call) return;
    this.waitsForArguments = call;
    let left = 0;
    const ready = (): void => {
      if (--left > 0) return;
      this.waitsForArguments = undefined;
      this.pump();
    };
    const waiting = (call.args.slots ?? []).filter((slot) => slot.kind === "object" && !slot.entry.ready);
    left = waiting.length;
    for (const slot of waiting) if (slot.kind === "object") slot.entry.whenReady(ready);
  }

  private send(call: ActorCallState, channel: Channel): void {
    call.phase = "sent";
    this.sent.set(call.sequence, call);
    const { table } = this.runtime;
    const args =
      call.args.whole ??
      (call.args.slots ?? []).map((slot): ValueDesc =>
        slot.kind === "bytes" ? [0, slot.bytes] : table.describe(slot.entry),
      );
    if (call.options === undefined)
      channel.send([Op.ActorCall, call.sequence, call.method, args, call.returns, call.attempt]);
    else
      channel.send([
        Op.ActorCall,
        call.sequence,
        call.method,
        args,
        call.returns,
        call.attempt,
        call.options,
      ]);
    // A stream that is sent again begins anew, for a reader that has some of it already.
    if (call.consumed !== 0) channel.send([Op.TaskConsumed, call.sequence, call.consumed]);
  }

  private done(call: ActorCallState, message: TaskDone): void {
    const [, , status, results] = message;
    const channel = this.channel;
    if (call.phase !== "sent" || channel === undefined) return;
    if (status === TaskStatus.Dropped && !call.cancelled) {
      // The actor is ending. What becomes of it, and so of the call, the next view tells.
      call.returned = true;
      return;
    }
    this.sent.delete(call.sequence);
    if (status === TaskStatus.Ok) {
      this.runtime.calls.settle(call.results, message, channel);
      this.ended(call);
    } else if (status === TaskStatus.Cancelled || call.cancelled) {
      this.fail(call, this.cancelledError(call));
    } else {
      const bytes =
        results[0]?.[0] === 2
          ? results[0][1]
          : encodeThrown(new ActorUnavailableError("an actor sent a failure without an error"));
      if (call.retriesLeft && shouldRetry(call.retryOn, decodeThrown(bytes))) {
        call.attempt++;
        this.send(call, channel);
      } else this.endWithError(call, bytes);
    }
  }

  private yielded(call: ActorCallState, message: TaskYield): void {
    const [, sequence, index, item, refs] = message;
    const { stream } = call;
    const channel = this.channel;
    if (stream === undefined || channel === undefined || index !== stream.received) return;
    const { table } = this.runtime;
    const entry = table.own(sequence, index);
    const ref = table.handle(entry);
    if (refs !== undefined && refs.length > 0)
      this.runtime.calls.hold([entry], refs, channel, { call: sequence, index });
    table.settle(entry, stateOf(item));
    stream.push(ref);
  }

  consumed(call: ActorCallState, count: number): void {
    const channel = this.channel;
    call.consumed = count;
    if (call.phase === "sent" && channel !== undefined) channel.send([Op.TaskConsumed, call.sequence, count]);
    else if (count < 0 && call.phase === "queued") this.cancel(call);
  }

  cancel(call: ActorCallState): void {
    if (call.phase === "ended") return;
    call.cancelled = true;
    if (call.phase === "queued" || call.returned) {
      this.queue.remove(call);
      this.fail(call, this.cancelledError(call));
      this.pump();
    } else this.channel?.send([Op.TaskCancel, call.sequence, true]);
  }

  private cancelledError(call: ActorCallState): TaskCancelledError {
    return new TaskCancelledError(`${this.className}.${call.method} was cancelled`);
  }

  find(sequence: number): ActorCallState | undefined {
    const sent = this.sent.get(sequence);
    if (sent !== undefined) return sent;
    const all = this.queue.drain();
    for (const call of all) this.queue.push(call);
    return all.find((call) => call.sequence === sequence);
  }

  /** Calls back when no call is queued or sent any more; at once if there is none. */
  whenIdle(done: () => void): void {
    if (this.queue.length + this.sent.size === 0 && this.stateNow.kind !== "claiming") done();
    else this.idleWaiters.push(done);
  }

  private checkIdle(): void {
    if (this.idleWaiters.length === 0 || this.queue.length + this.sent.size > 0) return;
    for (const done of this.idleWaiters.splice(0)) done();
  }

  // -- the actor's life -----------------------------------------------------------------------------------------

  /** A new view, the answer to its claim, or a broken channel. */
  apply(event: Exclude<ClientEvent, { kind: "view" }> | { kind: "view"; view: ActorView }): void {
    const before = this.stateNow;
    const full: ClientEvent = event.kind === "view" ? { ...event, open: (view) => this.open(view) } : event;
    const after = next(before, full, this.className);
    if (after === before) return;
    this.stateNow = after;
    const wasSending = before.kind === "alive" || before.kind === "unreachable";
    if (after.kind === "dead") this.died(after.error);
    else if (after.kind === "unreachable") this.hooks.inquire(this);
    else if (wasSending) this.incarnationLost();
    if (after.kind === "alive") this.pump();
    this.warnOfWait();
    for (const listener of [...this.listeners]) listener();
    if (before.kind === "claiming") this.checkIdle();
  }

  /** Its creator says so when it waits for long, once for each wait; others can ask with `ready`. */
  private warnOfWait(): void {
    const waits = this.stateNow.kind === "waiting" && this.stateNow.reason !== undefined;
    if (!waits || this.pinned === undefined) {
      clearTimeout(this.warning);
      this.warning = undefined;
      return;
    }
    this.warning ??= setTimeout(() => {
      if (this.stateNow.kind !== "waiting") return;
      const calls = this.queue.length;
      this.runtime.warn(`${this.stateNow.reason}${calls === 0 ? "" : ` (${calls} call(s) wait for it)`}`);
    }, WARN_AFTER_MS).unref();
  }

  private open(view: ActorView): Channel {
    const channel = this.runtime.transport.inbox.channel({
      endpoint: this.id,
      epoch: view.epoch,
      process: view.process as ProcessId,
      node: view.node as NodeId,
    });
    channel.onClose(() => this.apply({ kind: "broken", epoch: view.epoch }));
    return channel;
  }

  /** What was sent and not answered may or may not have run. What is sent again goes in the order of submission. */
  private incarnationLost(): void {
    const calls = [...this.sent.values()].sort((a, b) => b.sequence - a.sequence);
    this.sent.clear();
    for (const call of calls) this.lost(call);
  }

  private lost(call: ActorCallState): void {
    if (call.cancelled || call.consumed < 0) this.fail(call, this.cancelledError(call));
    else if (call.returned || call.retriesLeft) {
      if (!call.returned) call.attempt++;
      call.returned = false;
      call.phase = "queued";
      this.queue.unshift(call);
    } else {
      const why = this.stateNow.kind === "waiting" ? this.stateNow.reason : undefined;
      this.fail(
        call,
        new ActorUnavailableError(
          `actor ${this.className} (${this.id}) was lost while it had the call ${call.method}; it is being restarted, and the call may or may ` +
            `not have run. Calls with maxTaskRetries are sent again${why === undefined ? "" : ` (${why})`}`,
          { detail: { actor: this.id } },
        ),
      );
    }
  }

  private died(error: StingrayError): void {
    for (const call of this.sent.values()) this.fail(call, error);
    this.sent.clear();
    for (const call of this.queue.drain()) this.fail(call, error);
    if (this.pinned !== undefined) this.runtime.values.release(this.pinned.pinned);
    this.pinned = undefined;
    this.hooks.dead(this);
  }

  // -- ends -----------------------------------------------------------------------------------------------------

  private fail(call: ActorCallState, error: Error): void {
    this.endWithError(call, encodeThrown(error));
  }

  private endWithError(call: ActorCallState, bytes: Uint8Array): void {
    const { table } = this.runtime;
    if (call.phase !== "ended" && call.stream !== undefined) {
      const entry = table.own(call.sequence, call.stream.received);
      const ref = table.handle(entry);
      table.settle(entry, { kind: "error", bytes });
      call.stream.push(ref);
    }
    for (const entry of call.results) table.settle(entry, { kind: "error", bytes });
    this.ended(call);
  }

  private ended(call: ActorCallState): void {
    if (call.phase === "ended") return;
    call.phase = "ended";
    call.onEnd?.();
    call.onEnd = undefined;
    call.holder = undefined;
    this.sent.delete(call.sequence);
    this.runtime.calls.remove(call.sequence);
    call.stream?.end();
    this.runtime.values.release(call.args.pinned);
    this.checkIdle();
  }

  /** This process leaves the cluster. */
  stop(error: StingrayError): void {
    this.apply({ kind: "refused", error });
  }

  /** The view that an agent gave after the channel broke says that nothing happened: the process is there but can't be reached. */
  giveUp(): void {
    if (this.stateNow.kind !== "unreachable") return;
    this.apply({
      kind: "refused",
      error: new ActorDiedError(
        `actor ${this.className} (${this.id}) can't be reached, though its node says that it is alive`,
      ),
    });
  }
}
