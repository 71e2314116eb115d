/**
 * The calls of one actor by this process: in the order of submission, sent to the incarnation that is alive, and what
 * becomes of them when it is lost. Delivery is at most once, or at least once within `maxTaskRetries`.
 */
import {
  ActorUnavailableError,
  InvalidArgumentError,
  InvalidOptionError,
  Op,
  PendingCallsLimitError,
  TaskCancelledError,
  TaskStatus,
  taskIdOf,
  type ActorId,
  type TaskDone,
  type TaskYield,
  type ValueDesc,
} from "@stingray/protocol";
import type { Channel } from "@stingray/broker";
import {
  Fifo,
  decodeThrown,
  encodeThrown,
  markPath,
  removeMark,
  setMark,
  shouldRetry,
  stateOf,
  type Runtime,
} from "@stingray/task/internal";
import type { ActorCallState } from "./call.js";
import { DurableSender } from "./durable/sender.js";

/** The incarnation that a call is for. */
export interface HostTarget {
  readonly actor: ActorId;
  readonly epoch: number;
}

/** Keeps calls made after one from being sent, until it is open. */
export interface CallHold {
  readonly after: number;
  open: boolean;
}

/** What the calls need to know of their actor. */
export interface CalledActor {
  readonly id: ActorId;
  readonly className: string;
  readonly maxPendingCalls: number;
  /** To the incarnation that is alive, or is leaving and still answers. */
  readonly channel: Channel | undefined;
  /** Named in each call, where the channel leads to a process that many actors live in. */
  readonly target?: HostTarget | undefined;
  /** Whether calls may be sent there. */
  readonly takesCalls: boolean;
  /** Set once it is dead for good. */
  readonly deathCause: Error | undefined;
  /** What it waits for while it is not alive, where that is known. */
  readonly waitReason: string | undefined;
  readonly waitCause: Error | undefined;
  /** Its calls are kept by agents; undefined as long as that is not known. */
  readonly durable?: boolean | undefined;
  /** No call is pending any more. */
  idle(): void;
}

/** Nothing is ever put into it. */
const NONE = new Map<number, ActorCallState>();

export class ActorCalls {
  private readonly queue = new Fifo<ActorCallState>();
  /** By sequence; {@link NONE} where there are none, which is most of the time and of the actors. */
  private sent = NONE;
  private waitsForArguments: ActorCallState | undefined;
  private sender: DurableSender | undefined;
  private holds: Set<CallHold> | undefined;

  constructor(
    private readonly runtime: Runtime,
    private readonly actor: CalledActor,
  ) {}

  get pending(): number {
    return this.queue.length + this.sent.size;
  }

  /** @throws PendingCallsLimitError */
  admit(): void {
    const { pending } = this;
    if (pending < this.actor.maxPendingCalls) return;
    throw new PendingCallsLimitError(
      `actor ${this.actor.className} has ${pending} calls of this process pending, its maxPendingCalls; wait for some before calling again`,
      { detail: { pending } },
    );
  }

  submit(call: ActorCallState): void {
    this.runtime.calls.add(call.sequence, {
      channel: () => this.actor.channel,
      onDone: (message) => this.done(call, message),
      onYield: (message) => this.yielded(call, message),
    });
    if (call.cancelled) {
      this.fail(call, this.cancelledError(call));
      return;
    }
    const { deathCause } = this.actor;
    if (deathCause !== undefined) {
      this.fail(call, deathCause);
      return;
    }
    for (const slot of call.args.slots ?? []) if (slot.kind === "object") this.runtime.table.ask(slot.entry);
    this.queue.push(call);
    this.pump();
  }

  /** Sends what can be sent; a call whose arguments are not there yet holds up those behind it, to keep the order. */
  pump(): void {
    for (;;) {
      const { channel, durable } = this.actor;
      if (durable !== true && (channel === undefined || !this.actor.takesCalls)) return;
      const call = this.queue.peek();
      if (call === undefined || (this.holds !== undefined && this.isHeld(call))) return;
      if (!call.argumentsReady) {
        this.pumpWhenReady(call);
        return;
      }
      this.queue.shift();
      const error = call.argumentError;
      if (error !== undefined) this.endWithError(call, error);
      else if (durable === true) this.keep(call);
      else if (call.callId !== undefined) this.fail(call, needsDurable(this.actor.className, "callId"));
      else if (call.delayMs !== undefined) this.fail(call, needsDurable(this.actor.className, "delayMs"));
      else if (channel !== undefined) this.send(call, channel);
    }
  }

  /** Gives it to the agents, which keep it until it has run. */
  private keep(call: ActorCallState): void {
    if (call.stream !== undefined) {
      const what = `${this.actor.className}.${call.method} gives a stream`;
      const instead = "let the method return its items, or call it on an actor without a durable mailbox";
      this.fail(
        call,
        new InvalidArgumentError(`${what}, which an actor with a durable mailbox can't: ${instead}`),
      );
      return;
    }
    call.phase = "sent";
    call.since = performance.now();
    this.noteSent(call);
    this.keeper.send(call);
  }

  /** For an actor with a durable mailbox. */
  get keeper(): DurableSender {
    const { actor, runtime } = this;
    return (this.sender ??= new DurableSender(runtime, {
      get id() {
        return actor.id;
      },
      className: actor.className,
      get channel() {
        return actor.takesCalls ? actor.channel : undefined;
      },
      failed: (call, error) => this.fail(call, error),
      cancelled: (call) => this.fail(call, this.cancelledError(call)),
    }));
  }

  /** An answer out of a durable mailbox. */
  answered(number: number, message: TaskDone, channel: Channel): void {
    const call = this.sender?.take(number);
    if (call !== undefined) this.over(call, message, channel);
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

  private noteSent(call: ActorCallState): void {
    if (this.sent === NONE) this.sent = new Map();
    this.sent.set(call.sequence, call);
  }

  private forgetSent(call: ActorCallState): void {
    if (this.sent.delete(call.sequence) && this.sent.size === 0) this.sent = NONE;
  }

  private send(call: ActorCallState, channel: Channel): void {
    call.phase = "sent";
    call.since = performance.now();
    this.noteSent(call);
    const { table } = this.runtime;
    const args =
      call.args.whole ??
      (call.args.slots ?? []).map((slot): ValueDesc =>
        slot.kind === "bytes" ? [0, slot.bytes] : table.describe(slot.entry),
      );
    const { target } = this.actor;
    if (target !== undefined)
      channel.send([
        Op.ActorCall,
        call.sequence,
        call.method,
        args,
        call.returns,
        call.attempt,
        call.options,
        target.actor,
        target.epoch,
      ]);
    else if (call.options === undefined)
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
    const [, , status] = message;
    const { channel } = this.actor;
    if (call.phase !== "sent" || channel === undefined) return;
    if (status === TaskStatus.Dropped && !call.cancelled) {
      // The actor is ending. What becomes of it, and so of the call, the next view tells.
      call.returned = true;
      return;
    }
    this.over(call, message, channel);
  }

  private over(call: ActorCallState, message: TaskDone, channel: Channel): void {
    const [, , status, results] = message;
    this.forgetSent(call);
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
      const error = decodeThrown(bytes);
      if (call.retriesLeft && shouldRetry(call.retryOn, error)) {
        call.failed(error.message);
        this.putBack(call);
        this.pump();
      } else this.endWithError(call, bytes);
    }
  }

  /** Ahead of what was not sent yet, in the order of submission: an argument may have to be waited for again. */
  private putBack(call: ActorCallState): void {
    call.phase = "queued";
    call.since = performance.now();
    const earlier: ActorCallState[] = [];
    for (let head = this.queue.peek(); head?.again === true; head = this.queue.peek()) {
      if (head.sequence > call.sequence) break;
      this.queue.shift();
      earlier.push(head);
    }
    call.again = true;
    this.queue.unshift(call);
    for (const one of earlier.reverse()) this.queue.unshift(one);
  }

  private yielded(call: ActorCallState, message: TaskYield): void {
    const [, sequence, index, item, refs] = message;
    const { stream } = call;
    const { channel } = this.actor;
    if (stream === undefined || channel === undefined || index > stream.received) return;
    if (index < stream.received) {
      this.runtime.calls.repeated(channel, message);
      return;
    }
    const { table } = this.runtime;
    const entry = table.own(sequence, index);
    const ref = table.handle(entry);
    if (refs !== undefined && refs.length > 0)
      this.runtime.calls.hold([entry], refs, channel, { call: sequence, index });
    table.settle(entry, stateOf(item));
    stream.push(ref);
  }

  consumed(call: ActorCallState, count: number): void {
    const { channel } = this.actor;
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
    } else {
      const { channel } = this.actor;
      const { markDir, node, process } = this.runtime;
      if (call.kept !== undefined) {
        if (this.keeper.cancel(call)) this.fail(call, this.cancelledError(call));
      } else channel?.send([Op.TaskCancel, call.sequence, true]);
      // A method that never yields sees no message, but it can look for a file.
      if (markDir !== undefined && channel?.peer.node === node)
        setMark(call, markPath(markDir, taskIdOf(process, call.sequence)));
    }
  }

  private cancelledError(call: ActorCallState): TaskCancelledError {
    const options = call.cancelReason === undefined ? {} : { cause: call.cancelReason };
    return new TaskCancelledError(`${this.actor.className}.${call.method} was cancelled`, options);
  }

  find(sequence: number): ActorCallState | undefined {
    const sent = this.sent.get(sequence);
    if (sent !== undefined) return sent;
    for (const call of this.queue) if (call.sequence === sequence) return call;
    return undefined;
  }

  /** Those that were not sent yet, in order. */
  unsent(): Iterable<ActorCallState> {
    return this.queue;
  }

  /** How many calls that have not ended were sent before this one. */
  sentBefore(call: ActorCallState): number {
    return Math.max(0, [...this.sent.values()].indexOf(call));
  }

  /** What was sent and not answered may or may not have run. What is sent again goes in the order of submission. */
  incarnationLost(): void {
    if (this.actor.durable === true) return; // they are kept, and run in the next one
    const calls = [...this.sent.values()].sort((a, b) => b.sequence - a.sequence);
    this.sent = NONE;
    for (const call of calls) this.lost(call);
  }

  private lost(call: ActorCallState): void {
    if (call.cancelled || call.consumed < 0) this.fail(call, this.cancelledError(call));
    else if (call.returned || call.retriesLeft) {
      if (!call.returned) call.failed(`actor ${this.actor.className} was lost while it had the call`);
      call.returned = false;
      this.putBack(call);
    } else {
      const { waitReason: why, waitCause: cause } = this.actor;
      this.fail(
        call,
        new ActorUnavailableError(
          `actor ${this.actor.className} (${this.actor.id}) was lost while it had the call ${call.method}; it is being restarted, and the call may or may ` +
            `not have run. Calls with maxTaskRetries are sent again${why === undefined ? "" : ` (${why})`}`,
          { detail: { actor: this.actor.id }, ...(cause === undefined ? {} : { cause }) },
        ),
      );
    }
  }

  /** The actor is dead. */
  failAll(error: Error): void {
    this.sender?.clear();
    for (const call of this.sent.values()) this.fail(call, error);
    this.sent = NONE;
    for (const call of this.queue.drain()) this.fail(call, error);
  }

  /**
   * Calls that are made after `sequence` wait until the hold is opened, and `pump` called: others that were made before
   * them are still to come.
   */
  holdAfter(sequence: number): CallHold {
    const hold: CallHold = { after: sequence, open: false };
    (this.holds ??= new Set()).add(hold);
    return hold;
  }

  private isHeld(call: ActorCallState): boolean {
    for (const hold of this.holds ?? []) {
      if (hold.open) this.holds?.delete(hold);
      else if (call.sequence > hold.after) return true;
    }
    this.holds = this.holds?.size === 0 ? undefined : this.holds;
    return false;
  }

  /** Those of another that were not sent, among these in the order in which they were made. */
  takeIn(other: ActorCalls): void {
    for (const hold of other.holds ?? []) (this.holds ??= new Set()).add(hold);
    const hold = this.holdAfter(-1);
    for (const call of other.queue.drain()) this.submit(call);
    const all = this.queue.drain();
    const made = all.filter(({ again }) => !again).sort((a, b) => a.sequence - b.sequence);
    for (const call of [...all.filter(({ again }) => again), ...made]) this.queue.push(call);
    hold.open = true;
    this.pump();
  }

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
    removeMark(call);
    call.onEnd?.();
    call.onEnd = undefined;
    call.holder = undefined;
    this.forgetSent(call);
    this.runtime.calls.remove(call.sequence);
    call.stream?.end();
    this.runtime.values.release(call.args.pinned);
    if (this.pending === 0) this.actor.idle();
  }
}

function needsDurable(className: string, option: "callId" | "delayMs"): InvalidOptionError {
  const what = option === "callId" ? "remembers ids of calls" : "keeps calls until their time";
  return new InvalidOptionError(
    `${option}: actor ${className} has no durable mailbox, which is what ${what}: make it with { mailbox: "durable" }, ` +
      `or leave ${option} out`,
    { detail: { option } },
  );
}
