/** The callers' side of actors whose calls wait: limits, cancellation, and giving up for certain. */
import { AsyncResource } from "node:async_hooks";
import {
  GetTimeoutError,
  TimeoutError,
  abortSignal,
  checkOptions,
  milliseconds,
  timerMs,
  type CallOptions,
  type OptionRules,
} from "@stingray/protocol";
import { isReachable } from "@stingray/actor/internal";
import { get, type ObjectRef, type WaitOptions } from "@stingray/task";

const RULES: OptionRules = {
  timeoutMs: (v) => (v === 0 ? undefined : milliseconds(v)),
  signal: abortSignal,
};
/** The actor ends a wait when its time is up; where it says nothing for so much longer, its caller does. Milliseconds. */
const ANSWER_MS = 100;
/** For the answer to that. Milliseconds. */
const CONFIRM_MS = 1_000;

let last = 0;
/** A number for a call, of this process. */
const nextId = (): number => ++last;

/** Of no task: what is waited for here ends with nobody's cancellation. */
const outside = new AsyncResource("stingray.util");

/** An actor method whose calls wait, as its handle has it. */
interface Waiting<A extends unknown[], R> {
  options(o: CallOptions): { remote(...args: A): ObjectRef<R> };
}

export interface Question<A extends unknown[], R> {
  /** For messages. */
  readonly what: string;
  /** Of the actor. */
  readonly handle: unknown;
  readonly method: Waiting<[id: number, timeoutMs: number, ...A], R>;
  readonly args: A;
  readonly options: WaitOptions;
  /** The actor answers at once, however long it takes to reach it. Default false. */
  readonly now?: boolean;
  /** Has the actor give the call up, or take back what it gave. False where there is nothing to take back: it has answered. */
  takeBack(id: number): ObjectRef<boolean>;
}

/**
 * Calls a method of which calls wait. When the time is up, or the signal aborts, the actor takes it back; where that comes
 * too late, it counts as done. So a wait fails only where nothing has happened. (Where the actor does not answer, nobody
 * knows; it takes it back when it can.)
 * @throws TimeoutError; the signal's reason; ActorDiedError
 */
export async function ask<A extends unknown[], R>(
  question: Question<A, R>,
): Promise<{ id: number; answer: R }> {
  const { what, method, args, options, now = false } = question;
  checkOptions(what, RULES, options);
  const { signal } = options;
  signal?.throwIfAborted();
  const timeoutMs = timerMs(options.timeoutMs);
  const id = nextId();
  const call = new AbortController();
  const ref = method.options({ signal: call.signal }).remote(id, now ? 0 : (timeoutMs ?? -1), ...args);
  try {
    const limit = timeoutMs === undefined ? {} : { timeoutMs: timeoutMs + ANSWER_MS };
    return { id, answer: await get(ref, { signal, ...limit }) };
  } catch (error) {
    const late = error instanceof GetTimeoutError;
    // Where the actor is not there, the call is still here, or lost with it.
    if (isReachable(question.handle)) {
      const taken = giveUp(() => question.takeBack(id));
      try {
        // Calls are answered in their order: what it does not take back has been answered before.
        if ((late || signal?.aborted === true) && !(await soon(taken)))
          return { id, answer: await get(ref, { timeoutMs: CONFIRM_MS }) };
      } catch {
        // The actor does not answer.
      }
    }
    call.abort();
    throw late ? outOfTime(what, timeoutMs, "its actor did not answer") : error;
  } finally {
    ref.release();
  }
}

/** @throws TimeoutError after CONFIRM_MS */
async function soon<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimeoutError("no answer")), CONFIRM_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Sends what is not to end with the task that sends it. Its outcome may be awaited, or not. */
export function giveUp<T>(send: () => ObjectRef<T>): Promise<T> {
  const outcome = outside.runInAsyncScope(async () => {
    const ref = send();
    return get(ref).finally(() => ref.release());
  });
  outcome.catch(() => undefined);
  return outcome;
}

export function outOfTime(what: string, timeoutMs: number | undefined, why: string): TimeoutError {
  return new TimeoutError(`${what} was not done within ${timeoutMs ?? 0} ms: ${why}`);
}
