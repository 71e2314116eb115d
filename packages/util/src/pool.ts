/** `ActorPool`: work for a number of actors of the same kind, each given one call at a time. */
import {
  InvalidArgumentError,
  TimeoutError,
  abortSignal,
  checkOptions,
  milliseconds,
  timerMs,
  type OptionRules,
} from "@stingray/protocol";
import { get, type ObjectRef, type WaitOptions } from "@stingray/task";
import { Fifo } from "@stingray/task/internal";
import { Members } from "./members.js";
import { PoolRun, type Settled } from "./pool-run.js";

/** Calls a method of a member with an item. */
export type PoolCall<H, I, R> = (handle: H, item: I) => ObjectRef<R>;

const RULES: OptionRules = {
  timeoutMs: (v) => (v === 0 ? undefined : milliseconds(v)),
  signal: abortSignal,
};
/** An item whose members were lost so often while they had it is given up: it may be what ends them. */
const MAX_ATTEMPTS = 3;

/**
 * A number of actors that share work. Each has one call of the pool at a time. An item whose member died, or was lost and
 * is being restarted, is given to another, up to three times in all; so its method may run more than once.
 */
export class ActorPool<H extends object> {
  readonly #members = new Members<H>();
  /** Results of `submit` in its order. */
  readonly #submitted = new Fifo<Promise<Settled<unknown>>>();

  /** @throws InvalidArgumentError for what is no handle of an actor */
  constructor(handles: Iterable<H>) {
    for (const handle of handles) this.push(handle);
  }

  /**
   * The results of `call` for all items, in their order. Items are taken as members become free. A call that fails rejects
   * at its item; the iteration may go on after that. It ends early with `return()` (leaving a `for await` loop does that):
   * no more items are taken, and members are free again when their calls have ended.
   */
  map<I, R>(
    call: PoolCall<H, I, R>,
    items: Iterable<I> | AsyncIterable<I>,
  ): AsyncIterableIterator<R, undefined> {
    return new PoolRun(this.#run(call), items, () => this.#members.size, true);
  }

  /** As `map`, but each result as soon as it is there. */
  mapUnordered<I, R>(
    call: PoolCall<H, I, R>,
    items: Iterable<I> | AsyncIterable<I>,
  ): AsyncIterableIterator<R, undefined> {
    return new PoolRun(this.#run(call), items, () => this.#members.size, false);
  }

  /** Has a member do one item as soon as one is free. Its result comes by `getNext`. */
  submit<I, R>(call: PoolCall<H, I, R>, item: I): void {
    this.#submitted.push(this.#run(call)(item));
  }

  /** Whether `getNext` has something to wait for. */
  hasNext(): boolean {
    return this.#submitted.length > 0;
  }

  /**
   * The result of what was submitted first of all that was not got yet. After a TimeoutError, or an abort, it is still
   * the next.
   * @throws what the call threw; TimeoutError; the signal's reason; InvalidArgumentError where nothing was submitted
   */
  async getNext<R = unknown>(options: WaitOptions = {}): Promise<R> {
    checkOptions("ActorPool.getNext()", RULES, options);
    const next = this.#submitted.peek();
    if (next === undefined)
      throw new InvalidArgumentError("ActorPool.getNext(): nothing was submitted that was not got yet");
    const settled = await within(next, options);
    // Of several that waited for it, one has it.
    if (!this.#submitted.remove(next)) return this.getNext(options);
    return valueOf(settled) as R;
  }

  /** Adds a member. @throws InvalidArgumentError for what is no handle of an actor, and for a member */
  push(handle: H): void {
    this.#members.add(handle);
  }

  /** Takes a member out that has nothing to do; undefined if all work. */
  pop(): H | undefined {
    return this.#members.remove();
  }

  /** Whether a member has nothing to do. */
  hasFree(): boolean {
    return this.#members.hasFree;
  }

  /** Members that are not known to be dead. */
  get size(): number {
    return this.#members.size;
  }

  #run<I, R>(call: PoolCall<H, I, R>): (item: I) => Promise<Settled<R>> {
    return (item) =>
      this.#attempt(call, item).then(
        (value) => ({ ok: true, value }),
        (error: unknown) => ({ ok: false, error }),
      );
  }

  async #attempt<I, R>(call: PoolCall<H, I, R>, item: I): Promise<R> {
    for (let attempt = 1; ; attempt++) {
      const member = await this.#members.take();
      let loss: Error | undefined;
      try {
        return await get(call(member, item));
      } catch (error) {
        if (!this.#members.isLoss(member, error)) throw error;
        loss = error as Error;
        if (attempt === MAX_ATTEMPTS) throw error;
      } finally {
        if (loss === undefined) this.#members.giveBack(member);
        else this.#members.lost(member, loss);
      }
    }
  }
}

function valueOf<R>(settled: Settled<R>): R {
  if (settled.ok) return settled.value;
  throw settled.error;
}

/** @throws TimeoutError; the signal's reason */
function within<T>(promise: Promise<T>, options: WaitOptions): Promise<T> {
  const { signal } = options;
  const limit = timerMs(options.timeoutMs);
  if (signal === undefined && limit === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    const onAbort = (): void => {
      end();
      reject(signal?.reason as Error);
    };
    const timer =
      limit === undefined
        ? undefined
        : setTimeout(() => {
            end();
            reject(
              new TimeoutError(
                `ActorPool.getNext() had no result within ${limit} ms; the call goes on, and its result is still the next`,
              ),
            );
          }, limit);
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted === true) return onAbort();
    void promise.then((value) => {
      end();
      resolve(value);
    });
  });
}
