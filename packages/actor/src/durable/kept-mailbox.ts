/**
 * The durable mailbox of an activation: gives it the calls that are kept, in their order, and sees to it that what they
 * have done is saved before anybody is told of it.
 */
import { decodePlain } from "@stingray/broker";
import {
  Agent,
  InvalidArgumentError,
  Mailbox,
  ObjectLostError,
  Op,
  ProtocolError,
  StaleEpochError,
  TaskStatus,
  WorkerCrashedError,
  decodeError,
  ValueKind,
  encodeError,
  keptBatch,
  ownerOf,
  taskIdOf,
  toError,
  type ActorId,
  type KeptAnswer,
  type KeptAside,
  type KeptBatch,
  type KeptCall,
  type NodeId,
  type ProcessId,
  type TaskId,
  type WaitState,
  type WireError,
} from "@stingray/protocol";
import { decodeThrown, encodeThrown, type Runtime } from "@stingray/task/internal";
import type { Activation } from "../activation.js";
import type { ActivationCall } from "../activation-call.js";
import { callState } from "../cycles/call-state.js";
import { AnswerDelivery } from "./answer-delivery.js";
import { KeptOrigin, type GivenCall } from "./kept-origin.js";
import { KeptSaves, MOST_AHEAD } from "./kept-saves.js";
import { SaveCircles } from "./save-circles.js";
import { Suspects } from "./suspects.js";
import { MailboxProgress, type Arrival, type OpenCall } from "./progress.js";
import { answerOf, type OpenAnswer } from "./unheard.js";

/** Cancellations of calls that have not come yet; more are forgotten, oldest first. */
const MOST_CANCELLED = 10_000;
/** At its end an incarnation waits so long for its callers to have heard it. Milliseconds. */
const HEARD_WITHIN_MS = 500;

/** Stands for the method of a message that can't be read. */
const UNREADABLE = "(unreadable)";

/** A call during which the process has ended so often is set aside, unless maxTaskRetries says more. */
const DEFAULT_TRIES = 3;

/** What an earlier incarnation has left. */
export interface Before {
  /** What it saved of its mailbox; empty: nothing. Absent: this is the first. */
  readonly mailbox?: Uint8Array | undefined;
  /** Another incarnation may have lived since. */
  readonly taken?: boolean | undefined;
  /** Why it ended. */
  readonly cause?: WireError | undefined;
}

export class KeptMailbox {
  private readonly progress: MailboxProgress;
  private readonly saves: KeptSaves;
  private readonly delivery: AnswerDelivery;
  private readonly origins = new Map<string, KeptOrigin>();
  private readonly given = new Map<ActivationCall, GivenCall>();
  /** Calls of each message that have not begun; oldest first. */
  private readonly unbegun: { readonly revision: number; left: number }[] = [];
  private readonly cancelled = new Set<string>();
  /** Failed calls that nobody is there to hear of. */
  private asides: KeptAside[] = [];
  private readonly failures = new Map<string, OpenCall>();
  /** Ids of calls that have ended, with the save that covers them. */
  private readonly unsaved = new Map<string, number>();
  private readonly circles: SaveCircles;
  private readonly suspects: Suspects;
  private running = 0;
  private mayWait: boolean;
  private taken: number;
  private done: number;
  private told = false;
  private ending = false;

  constructor(
    private readonly runtime: Runtime,
    private readonly activation: Activation,
    private readonly before: Before,
  ) {
    this.progress = MailboxProgress.decode(before.mailbox);
    this.taken = this.done = this.progress.position;
    this.mayWait = activation.hasAsyncMethods;
    const { saver } = activation.self;
    this.saves = new KeptSaves({
      takesSnapshots: saver.takesSnapshots,
      full: () => this.progress.full,
      running: () => this.running,
      mayWait: () => this.mayWait,
      snapshot: () => saver.snapshot(),
      mailbox: () => ({
        row: this.progress.row(Date.now(), this.ending),
        position: this.progress.position,
      }),
      encode: (row) => this.progress.encode(row),
      store: (save) => saver.store(save),
      waits: (now) => (now ? this.circles.begin() : this.circles.stop()),
      before: () => this.setAside(),
      saved: (position, answers) => this.saved(position, answers),
      goOn: () => activation.goOn(),
      failed: (error) => this.failed(error),
    });
    this.delivery = new AnswerDelivery(runtime, {
      actor: activation.spec.actor as ActorId,
      heard: (producer, number) => this.heard(producer, number),
      goneAt: (producer) => this.progress.unheard.goneAt(producer),
      setGone: (producer, at) => this.progress.unheard.setGone(producer, at),
      unheard: (answer) => this.unheard(answer),
    });
    this.circles = new SaveCircles(runtime.waitStates, {
      running: () => [...this.given.keys()].map(({ taskId }) => taskId),
      waitsForSave: (task) => this.waitsForSave(task),
      open: () => {
        this.delivery.deliver(this.saves.release());
        activation.goOn();
      },
    });
    activation.observe({ before: (call) => this.began(call), after: (call) => this.over(call) });
    this.suspects = this.suspectsOf();
    activation.gate = () => this.saves.open;
  }

  private suspectsOf(): Suspects {
    const { maxTaskRetries, maxConcurrency, concurrencyGroups } = this.activation.spec;
    const { mailbox, taken } = this.before;
    const suspicious = mailbox !== undefined && (taken === true || !this.progress.clean);
    const most = Object.values(concurrencyGroups).reduce((sum, limit) => sum + limit, maxConcurrency);
    return new Suspects(suspicious ? MOST_AHEAD + most : 0, {
      limit: maxTaskRetries < 0 ? Number.POSITIVE_INFINITY : Math.max(DEFAULT_TRIES, maxTaskRetries + 1),
      blamed: blamedIn(this.before.cause),
      nameOf: ({ call: [, , method] }) => `${this.activation.spec.className}.${method}`,
      mark: (open) => {
        this.progress.suspect(open);
        return this.saves.mark();
      },
      begin: (open) => this.beginCall(open),
      giveUp: (open) => this.giveUp(open),
    });
  }

  /** Asks for what is kept, and tells what earlier incarnations have not told. */
  begin(): void {
    this.delivery.deliver(this.progress.unheard.all());
    this.tellAgent();
  }

  /** What keeps a call from going on, if it is here. */
  waitState(task: TaskId): WaitState | undefined {
    const call = this.find(task);
    return call && callState(call);
  }

  private find(task: string): ActivationCall | undefined {
    const sequence = Number(task.slice(task.indexOf(".") + 1));
    return this.origins.get(ownerOf(task as TaskId))?.calls.get(sequence)?.running;
  }

  private waitsForSave(task: string): boolean {
    const call = this.find(task);
    if (call !== undefined) return !call.taken && this.saves.holdsUp;
    return this.saves.held.some(
      ({ producer, answer }) => taskIdOf(producer as ProcessId, answer[1]) === task,
    );
  }

  /** All that has ended is saved, and was heard by its callers. */
  get isQuiet(): boolean {
    return this.progress.unheard.size === 0 && this.asides.length === 0;
  }

  /** A message of the stream. */
  feed(revision: number, data: Uint8Array): void {
    const batch = this.batchOf(revision, data);
    const message = { revision, left: 0 };
    this.unbegun.push(message);
    const arrivals = this.progress.arrive(revision, batch, Date.now());
    message.left = arrivals.filter(({ kind }) => kind === "run").length;
    for (const arrival of arrivals) this.arrived(arrival);
    this.tellLater();
    // All of it was known: its revision is to be saved, too.
    if (message.left === 0) this.saves.touch();
  }

  /** What can't be read must not keep what is behind it, nor be lost: it is set aside as it is. */
  private batchOf(revision: number, data: Uint8Array): KeptBatch {
    try {
      return keptBatch(decodePlain(Uint8Array.from(data)), `kept message ${revision}`);
    } catch (thrown) {
      const { spec } = this.activation;
      const cause = toError(thrown);
      const error = new ProtocolError(
        `message ${revision} in the mailbox of actor ${spec.className} (${spec.actor}) can't be read, and was set aside: ${cause.message}; ` +
          "something other than this version of the library has written it",
        { cause, detail: { actor: spec.actor, revision } },
      );
      this.runtime.warn(error.message);
      const call: KeptCall = [
        0,
        0,
        UNREADABLE,
        Uint8Array.from(data),
        0,
        0,
        undefined,
        `message ${revision}`,
      ];
      this.asides.push(asideOf({ producer: "", node: undefined, revision, call, tries: 0 }, error, 0));
      return [1, "", undefined, []];
    }
  }

  /** A caller wants these no more. */
  cancel(producer: string, numbers: readonly number[]): void {
    const theirs = new Set(numbers);
    for (const given of this.origins.get(producer)?.calls.values() ?? []) {
      const [number] = given.open.call;
      if (!theirs.delete(number)) continue;
      if (given.running !== undefined) this.activation.cancel(given.running, true);
    }
    for (const number of theirs) this.cancelled.add(`${producer}/${number}`);
    for (const oldest of this.cancelled) {
      if (this.cancelled.size <= MOST_CANCELLED) break;
      this.cancelled.delete(oldest);
    }
  }

  /** The incarnation ends: saves what has ended. Answers that were not heard yet are told by the next one. */
  async close(): Promise<void> {
    this.ending = true;
    this.saves.touch();
    await this.saves.finish();
    await this.delivery.idle(HEARD_WITHIN_MS);
    this.stop();
  }

  /** Nothing is saved or told any more. */
  stop(): void {
    this.ending = true;
    this.suspects.stop();
    this.circles.stop();
    this.saves.stop();
    this.delivery.stop();
  }

  private arrived(arrival: Arrival): void {
    if (arrival.kind === "known") {
      const { to, answer, callId } = arrival;
      const owed = this.progress.owe(to, answer ?? forgotten(to.number, to.call, callId));
      if (owed === undefined) return;
      // What is saved already need not wait for those that run now.
      if (this.unsaved.has(callId)) this.saves.add([owed]);
      else this.delivery.deliver([owed]);
      return;
    }
    this.suspects.add(arrival.open);
  }

  private beginCall(open: OpenCall): void {
    if (this.ending) return; // the next incarnation runs it
    const [number, sequence, method, args, returns, attempt, options] = open.call;
    const anonymous = open.producer === "";
    if (this.cancelled.delete(`${open.producer}/${number}`)) {
      this.start(open.revision);
      this.end(open, [number, sequence, TaskStatus.Cancelled, [], 0, undefined]);
      return;
    }
    if (returns < 0) {
      const error = new InvalidArgumentError(
        `${this.activation.spec.className}.${method} gives a stream, which an actor with a durable mailbox can't`,
      );
      this.start(open.revision);
      this.end(open, [number, sequence, TaskStatus.Failed, [[2, encodeThrown(error)]], 0, undefined]);
      return;
    }
    const origin = this.originOf(open);
    const own = anonymous ? this.runtime.table.nextSequence() : sequence;
    origin.calls.set(own, { open, sequence: own, running: undefined, begun: false });
    this.activation.take([Op.ActorCall, own, method, args, returns, attempt, options], origin);
  }

  private originOf({ producer, node }: OpenCall): KeptOrigin {
    let origin = this.origins.get(producer);
    if (origin === undefined) {
      const { runtime } = this;
      const process = producer === "" ? runtime.process : (producer as ProcessId);
      const at = producer === "" ? runtime.node : (node as NodeId | undefined);
      origin = new KeptOrigin(process, at, () => runtime.channelTo(process, at), {
        ended: (given, answer) => {
          if (given.running !== undefined) this.answered(given.running);
          // Given back: this incarnation ends before the call has begun, and the next one runs it.
          if (answer[2] !== TaskStatus.Dropped) this.end(given.open, answer, given.begun);
        },
        empty: (empty) => {
          if (this.origins.get(producer) === empty) this.origins.delete(producer);
        },
      });
      this.origins.set(producer, origin);
    }
    return origin;
  }

  private began(call: ActivationCall): void {
    const { origin } = call;
    const given = origin instanceof KeptOrigin ? origin.calls.get(call.sequence) : undefined;
    if (given === undefined) return;
    this.running++;
    this.given.set(call, given);
    given.begun = true;
    this.start(given.open.revision);
    // Whether it ends within this turn: if not, methods of this class may wait.
    if (!this.mayWait) process.nextTick(() => (this.mayWait ||= this.given.has(call)));
  }

  private start(revision: number): void {
    const message = this.unbegun.find((one) => one.revision === revision);
    if (message === undefined) return;
    message.left--;
    this.tellLater();
  }

  /** It runs no more, or past its time limit: nobody waits for what it does then. */
  private answered(call: ActivationCall): void {
    if (this.given.delete(call)) this.running--;
  }

  private over(call: ActivationCall): void {
    this.answered(call);
    if (this.running === 0) this.saves.quiet();
  }

  private end(open: OpenCall, answer: KeptAnswer, begun = false): void {
    const withdrawn = answer[2] === TaskStatus.Cancelled && !begun;
    const { told, instead } = withdrawn
      ? this.progress.withdraw(open, answer)
      : { told: this.progress.end(open, answer), instead: undefined };
    this.suspects.ended(open);
    if (answer[2] === TaskStatus.Failed || answer[2] === TaskStatus.TimedOut) {
      if (open.producer === "") this.asides.push(asideOf(open, errorOf(answer)));
      else this.failures.set(keyOf(open.producer, answer[0]), open);
    }
    this.noteId(open);
    // What was cancelled or refused before it began has changed nothing: its caller need not wait for those that run.
    const now = answer[2] !== TaskStatus.Ok && !begun;
    if (now) this.delivery.deliver(told);
    this.saves.add(now ? [] : told);
    if (instead === undefined) return;
    const message = this.unbegun.find(({ revision }) => revision === instead.revision);
    if (message !== undefined) message.left++;
    this.suspects.add(instead);
  }

  private noteId({ call: [, , , , , , , callId] }: OpenCall): void {
    if (callId === undefined) return;
    this.unsaved.delete(callId); // the newest are last
    this.unsaved.set(callId, this.saves.moment);
  }

  /** Its process has ended during it again and again: it is set aside, and its caller is told. */
  private giveUp(open: OpenCall): void {
    const { spec } = this.activation;
    const [number, call, method] = open.call;
    const cause = this.before.cause === undefined ? undefined : decodeError(this.before.cause);
    const error = new WorkerCrashedError(
      `the process of actor ${spec.className} (${spec.actor}) has ended ${open.tries} times while it had the call ${method}, which was set aside: ` +
        `look at it with callsSetAside(handle), then retryCall() or dropCall()${cause === undefined ? "" : `; the last time: ${cause.message}`}`,
      { cause, detail: { actor: spec.actor, method, tries: open.tries } },
    );
    this.asides.push(asideOf(open, error, open.tries));
    this.start(open.revision);
    this.noteId(open);
    const failed = encodeThrown(error);
    this.saves.add(
      this.progress.end(open, [number, call, TaskStatus.Failed, [[ValueKind.Error, failed]], 0, undefined]),
    );
  }

  /** Stores the calls that failed and that nobody waits for, before a save says that they are over. */
  private async setAside(): Promise<void> {
    const { asides } = this;
    this.asides = [];
    const { spec, epoch } = this.activation;
    await Promise.all(
      asides.map((call) =>
        this.runtime.home.request(
          Mailbox.setAside,
          { actor: spec.actor, epoch, call },
          { timeoutMs: Number.POSITIVE_INFINITY },
        ),
      ),
    );
  }

  private saved(position: number, answers: readonly OpenAnswer[]): void {
    this.done = position;
    for (const [id, moment] of this.unsaved) {
      if (moment > this.saves.stored) break;
      this.unsaved.delete(id);
    }
    this.delivery.deliver(answers);
    this.tellLater();
  }

  private heard(producer: string, number: number): void {
    const { full } = this.progress;
    this.progress.unheard.remove(producer, number);
    this.failures.delete(keyOf(producer, number));
    if (!full || this.progress.full) return;
    this.activation.goOn();
    this.tellLater();
  }

  /** A call that failed is not lost in silence because its caller is gone. */
  private unheard(open: OpenAnswer): void {
    const { producer, answer } = open;
    const failed = this.failures.get(keyOf(producer, answer[0]));
    this.heard(producer, answer[0]);
    this.saves.touch(); // it need not be remembered any more
    if (failed === undefined) return;
    this.asides.push(asideOf(failed, errorOf(answerOf(open))));
  }

  private tellLater(): void {
    if (this.told) return;
    this.told = true;
    setImmediate(() => {
      this.told = false;
      let begun = 0;
      for (const { revision, left } of this.unbegun) {
        // What comes may be answered without being begun: so nothing more is to come, either.
        if (left > 0 || this.progress.full) break;
        this.taken = revision;
        begun++;
      }
      this.unbegun.splice(0, begun);
      this.tellAgent();
    });
  }

  private tellAgent(): void {
    if (this.ending && this.taken > this.done) return; // it wants no more
    const { spec, epoch } = this.activation;
    this.runtime.home.send([Op.MailboxTaken, spec.actor, epoch, this.taken, this.done]);
  }

  /** It can't be saved: what it does from here on would be lost, or is lost already. */
  private failed(thrown: unknown): void {
    const error = toError(thrown);
    const { spec } = this.activation;
    // Another incarnation has taken its place; the agent ends this one.
    if (error instanceof StaleEpochError || this.runtime.failed) return;
    const reason = `the state of actor ${spec.className} (${spec.actor}) can't be saved: ${error.message}`;
    this.runtime.warn(`${reason}; it is made again from what was saved before`);
    this.runtime.home
      .request(Agent.actorKill, { actor: spec.actor, restart: true, reason })
      .catch((again: unknown) =>
        this.runtime.warn(`${reason}; and it could not be ended: ${toError(again).message}`),
      );
  }
}

/** What its process did when it ended, where that is known. */
function blamedIn(cause: WireError | undefined): string | undefined {
  const running = cause === undefined ? undefined : decodeError(cause).detail?.["running"];
  return typeof running === "string" ? running : undefined;
}

const keyOf = (producer: string, number: number): string => `${producer}/${number}`;

function asideOf(open: OpenCall, error: Error, tries = open.tries + 1): KeptAside {
  const { call, producer } = open;
  const view: KeptAside[1] = {
    id: "",
    method: call[2],
    producer,
    tries,
    error: encodeError(error),
    at: Date.now(),
  };
  if (call[7] !== undefined) view.callId = call[7];
  return [1, view, call];
}

function errorOf([, , , [first]]: KeptAnswer): Error {
  return first?.[0] === ValueKind.Error ? decodeThrown(first[1]) : new Error("it failed without an error");
}

/** For a call with an id that was used so long ago that only this is known. */
function forgotten(number: number, call: number, callId: string): KeptAnswer {
  const error = new ObjectLostError(
    `a call with the callId "${callId}" has run before, so this one did not; how that one ended is not remembered any more`,
    { detail: { callId } },
  );
  return [number, call, TaskStatus.Failed, [[ValueKind.Error, encodeThrown(error)]], 0, undefined];
}
