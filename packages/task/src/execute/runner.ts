/** Runs the body of a call and answers its caller. The same for tasks and for methods of actors. */
import { encode, type Encoded } from "@stingray/objectstore";
import {
  Op,
  SerializationError,
  TaskCancelledError,
  TaskStatus,
  TaskTimeoutError,
  ValueKind,
  toError,
  type Location,
  type NodeId,
  type ObjectId,
  type ProcessId,
  type TaskStatus as Status,
  type ValueDesc,
} from "@stingray/protocol";
import type { Channel, Endpoint } from "@stingray/broker";
import { runIn } from "../context.js";
import { marks } from "../vitals/marks.js";
import type { ObjectEntry } from "../objects/entry.js";
import type { ObjectTable } from "../objects/table.js";
import { encodeThrown } from "../objects/thrown.js";
import type { Values } from "../objects/values.js";
import type { IncomingCall } from "./call.js";
import { HandOvers } from "./hand-overs.js";
import { runStream } from "./stream-body.js";
import { taskError } from "./task-error.js";

export interface RunnerLinks {
  readonly table: ObjectTable;
  readonly values: Values;
  /** Gives back copies of a large value. */
  freeStored(id: ObjectId, location: Location): void;
  channelTo(process: ProcessId, node: NodeId | undefined): Channel;
}

/** Is told when a call is over and its answer is on its way. */
export type Finished = (tookUs: number) => void;
/** The user's function with its receiver bound; async or not. */
export type Body = (...args: unknown[]) => unknown;

export class CallRunner {
  private readonly handOvers: HandOvers;

  constructor(private readonly links: RunnerLinks) {
    this.handOvers = new HandOvers(links);
  }

  /** On every endpoint that takes calls. */
  serve(endpoint: Endpoint): void {
    this.handOvers.serve(endpoint);
  }

  /**
   * Runs `body` with the call's arguments, once `after` is settled. Returns when the call is over where everything about it is synchronous
   * (then `finished` was called); else it goes on in the background.
   */
  run(call: IncomingCall, body: Body, finished: Finished, after?: Promise<void>): void {
    call.taken = true;
    if (call.args instanceof Uint8Array) {
      let decoded: { values: unknown[]; revived: ObjectEntry[] };
      try {
        decoded = this.links.values.decodeWhole(call.args);
      } catch (error) {
        this.fail(call, error, 0, finished);
        return;
      }
      const begin = (): void => this.begin(call, body, decoded.values, decoded.revived, finished);
      if (after === undefined) begin();
      else void after.then(begin);
      return;
    }
    const decoding = this.links.values.decodeArgs(call.args, call);
    (after === undefined ? decoding : Promise.all([decoding, after]).then(([decoded]) => decoded)).then(
      ({ values, revived }) => this.begin(call, body, values, revived, finished),
      (error: unknown) => this.answerError(call, toError(error), 0, finished),
    );
  }

  /** Its module is loaded and its arguments are here: from now on its time counts, unless it was cancelled meanwhile. */
  private begin(
    call: IncomingCall,
    body: Body,
    args: unknown[],
    revived: ObjectEntry[],
    finished: Finished,
  ): void {
    if (call.cancelled) {
      this.fail(call, call.abort.signal.reason, 0, finished);
      return;
    }
    const limit = call.options?.timeoutMs;
    if (limit === undefined) {
      this.invoke(call, body, args, revived, finished);
      return;
    }
    call.timer = setTimeout(() => {
      call.timeOut(new TaskTimeoutError(`${call.name} took longer than its timeoutMs (${limit} ms)`));
    }, limit).unref();
    if (call.lease === "") {
      this.invoke(call, body, args, revived, finished); // of an actor, which nobody ends for one call
      return;
    }
    call.channel.send([Op.TaskStarted, call.sequence]);
    call.channel.flush();
    // Through the broker it leaves when this turn ends, and the body may be one that never yields.
    setImmediate(() => {
      if (call.cancelled) this.fail(call, call.abort.signal.reason, 0, finished);
      else this.invoke(call, body, args, revived, finished);
    });
  }

  private invoke(
    call: IncomingCall,
    body: Body,
    args: unknown[],
    revived: ObjectEntry[],
    finished: Finished,
  ): void {
    const started = performance.now();
    call.begunAt = started;
    const { current } = marks;
    current.begin((call.mark ??= current.intern(call.name)), started);
    const took = (): number => (performance.now() - started) * 1000;
    let result: unknown;
    try {
      result = runIn(call, () => body(...args));
      current.returned();
    } catch (error) {
      current.returned();
      this.fail(call, error, took(), finished);
      return;
    }
    if (call.returns < 0) {
      runIn(call, () => runStream(call, result, (index, value) => this.yield(call, index, value))).then(
        () => this.finish(call, undefined, revived, took(), finished),
        (error: unknown) => this.fail(call, error, took(), finished),
      );
    } else if (isThenable(result)) {
      Promise.resolve(result).then(
        (value) => this.finish(call, value, revived, took(), finished),
        (error: unknown) => this.fail(call, error, took(), finished),
      );
    } else this.finish(call, result, revived, took(), finished);
  }

  private finish(
    call: IncomingCall,
    value: unknown,
    revived: ObjectEntry[],
    tookUs: number,
    finished: Finished,
  ): void {
    // Ended by its signal: what a body returns then is no result that anybody asked for.
    if (call.timedOut || call.cancelled) {
      this.fail(call, call.abort.signal.reason, tookUs, finished);
      return;
    }
    try {
      const encoded = call.returns < 0 ? [] : encodeResults(call, value);
      const refs: string[] = [];
      for (const one of encoded) for (const id of one.refs) refs.push(id);
      const confirmed = this.handOvers.mustConfirm(call, revived);
      const waits: Promise<unknown>[] = confirmed === undefined ? [] : [confirmed];
      const descriptions: ValueDesc[] = [];
      for (let i = 0; i < encoded.length; i++) {
        const desc = this.describe(call, i, encoded[i] as Encoded, `result of ${call.name}`);
        if (Array.isArray(desc)) descriptions[i] = desc;
        else waits.push(desc.then((d) => void (descriptions[i] = d)));
      }
      if (waits.length === 0) this.succeed(call, descriptions, tookUs, refs, finished);
      else void this.succeedLater(call, descriptions, waits, tookUs, refs, finished);
    } catch (error) {
      this.answerError(call, toError(error), tookUs, finished);
    }
  }

  private succeed(
    call: IncomingCall,
    descriptions: ValueDesc[],
    tookUs: number,
    refs: readonly string[],
    finished: Finished,
  ): void {
    const held = refs.length > 0 ? this.handOvers.handOver(call, refs) : undefined;
    this.answer(call, TaskStatus.Ok, descriptions, tookUs, held, finished);
  }

  /** Once all results are where they are to be. If one can't be, the others are of no use to anybody. */
  private async succeedLater(
    call: IncomingCall,
    descriptions: ValueDesc[],
    waits: readonly Promise<unknown>[],
    tookUs: number,
    refs: readonly string[],
    finished: Finished,
  ): Promise<void> {
    const kept = this.handOvers.keep(refs);
    try {
      // Also after a failure: what is written when the call is made again would be taken for the same objects.
      const outcomes = await Promise.allSettled(waits);
      const failure = outcomes.find((outcome) => outcome.status === "rejected");
      if (failure !== undefined) throw failure.reason;
      this.succeed(call, descriptions, tookUs, refs, finished);
    } catch (error) {
      for (const desc of descriptions)
        if (desc?.[0] === ValueKind.Stored) this.links.freeStored(desc[2] as ObjectId, desc[1]);
      this.answerError(call, toError(error), tookUs, finished);
    } finally {
      this.handOvers.letGo(kept);
    }
  }

  private describe(
    call: IncomingCall,
    index: number,
    encoded: Encoded,
    origin: string,
  ): ValueDesc | Promise<ValueDesc> {
    try {
      return this.links.values.describeResult(() => call.resultId(index), encoded, origin);
    } catch (error) {
      return Promise.reject(toError(error));
    }
  }

  private async yield(call: IncomingCall, index: number, value: unknown): Promise<void> {
    let encoded: Encoded;
    try {
      encoded = encode(value, { path: `result[${index}]` });
    } catch (error) {
      throw new UnsendableItem(error);
    }
    const kept = this.handOvers.keep(encoded.refs);
    try {
      const desc = await this.describe(call, index, encoded, `item of ${call.name}`);
      const message = [Op.TaskYield, call.sequence, index, desc];
      const refs = kept.length > 0 ? this.handOvers.handOver(call, encoded.refs, index) : undefined;
      call.channel.send(refs === undefined ? message : [...message, refs]);
    } finally {
      this.handOvers.letGo(kept);
    }
  }

  private fail(call: IncomingCall, thrown: unknown, tookUs: number, finished: Finished): void {
    if (call.timedOut) {
      const limit = call.options?.timeoutMs;
      this.send(
        call,
        TaskStatus.TimedOut,
        new TaskTimeoutError(`${call.name} took longer than its timeoutMs (${limit} ms)`),
        tookUs,
        finished,
      );
    } else if (call.cancelled) {
      this.send(
        call,
        TaskStatus.Cancelled,
        new TaskCancelledError(`${call.name} was cancelled`),
        tookUs,
        finished,
      );
    } else {
      if (thrown instanceof UnsendableItem) return this.answerError(call, thrown.error, tookUs, finished);
      const error = toError(thrown);
      const left = error === call.actor?.exitError;
      this.answerError(call, left ? error : taskError(call.name, error, thrown), tookUs, finished);
    }
  }

  private answerError(call: IncomingCall, error: Error, tookUs: number, finished: Finished): void {
    this.send(call, TaskStatus.Failed, error, tookUs, finished);
  }

  private send(call: IncomingCall, status: Status, error: Error, tookUs: number, finished: Finished): void {
    this.answer(call, status, [[2, encodeThrown(error)]], tookUs, undefined, finished);
  }

  private answer(
    call: IncomingCall,
    status: Status,
    results: ValueDesc[],
    tookUs: number,
    refs: string[] | undefined,
    finished: Finished,
  ): void {
    clearTimeout(call.timer);
    if (call.begunAt !== undefined) marks.current.ended();
    call.end();
    const us = Math.round(tookUs * 10) / 10;
    if (refs === undefined) call.channel.send([Op.TaskDone, call.sequence, status, results, us]);
    else call.channel.send([Op.TaskDone, call.sequence, status, results, us, refs]);
    finished(tookUs);
  }
}

/** Takes the error about an item of a stream past those that the generator throws: it is not one of user code. */
class UnsendableItem extends Error {
  readonly error: Error;

  constructor(thrown: unknown) {
    super("an item of a stream can't be sent");
    this.error = toError(thrown);
  }
}

function encodeResults(call: IncomingCall, value: unknown): Encoded[] {
  if (call.returns === 1) return [encode(value, { path: "result" })];
  if (call.returns === 0) return [];
  if (!Array.isArray(value) || value.length !== call.returns) {
    const got = Array.isArray(value) ? `an array of ${value.length}` : typeof value;
    throw new SerializationError(
      `result: ${call.name} has returns: ${call.returns} and must return an array of that length, got ${got}`,
      {
        detail: { path: "result" },
      },
    );
  }
  return value.map((item: unknown, i) => encode(item, { path: `result[${i}]` }));
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}
