/** `Queue`: first in, first out, between any processes. */
import { kill, type ActorHandle } from "@stingray/actor";
import {
  ConnectionError,
  QueueClosedError,
  QueueEmptyError,
  QueueFullError,
  wholeNumber,
  type OptionRules,
} from "@stingray/protocol";
import { get, type WaitOptions } from "@stingray/task";
import { ask, giveUp, outOfTime } from "./asking.js";
import {
  Existing,
  WIRE,
  checkUtility,
  registerUtility,
  utilityClass,
  utilityOptions,
  wireForm,
  type UtilityOptions,
} from "./made-of.js";
import { pack, unpack, type Packed } from "./packed.js";
import { QueueActor, type GetAnswer } from "./queue-actor.js";

/** Of a queue. */
export interface QueueOptions extends UtilityOptions {
  /** Items that it holds at most; `put` waits while it is full. @defaultValue 0, no bound */
  maxSize?: number | undefined;
}

const RULES: OptionRules = { maxSize: wholeNumber };
const RemoteQueue = utilityClass(QueueActor);
const TAG = "queue";

/**
 * A queue that lives in an actor. It may be passed to tasks and actors, and lives as long as somebody has it. Items of one
 * producer come out in the order in which they were put. An item goes to one consumer; where that process ends, or gives
 * up, before it has the item, the item goes to another. Items that are in it are lost with the actor's process.
 */
export class Queue<T = unknown> implements AsyncDisposable, AsyncIterable<T> {
  /** Types only: keeps queues of different items apart. */
  declare readonly __item?: T;
  readonly #actor: ActorHandle<QueueActor>;
  /** Large items are stored before they are put; those behind them wait for that. */
  #behind: Promise<unknown> | undefined;
  /** Calls whose items have come, not yet told to the actor. */
  #took: number[] = [];

  /** @throws NotInitializedError; InvalidOptionError */
  constructor(options: QueueOptions = {}) {
    if (options instanceof Existing) {
      this.#actor = (options as Existing<QueueActor>).handle;
      return;
    }
    checkUtility("new Queue()", RULES, options);
    const actor = utilityOptions("new Queue()", options);
    this.#actor = RemoteQueue.options(actor).remote(options.maxSize ?? 0);
  }

  /**
   * Adds an item, when there is room.
   * @throws TimeoutError, and then it is not put; the signal's reason; QueueClosedError; SerializationError; ActorDiedError
   */
  async put(item: T, options: WaitOptions = {}): Promise<void> {
    if ((await this.#put("Queue.put()", item, options)) === "timeout")
      throw outOfTime("Queue.put()", options.timeoutMs, "the queue is full");
  }

  /** Adds an item if there is room. @throws QueueFullError; QueueClosedError; SerializationError; ActorDiedError */
  async putNow(item: T): Promise<void> {
    if ((await this.#put("Queue.putNow()", item, {}, true)) === "timeout")
      throw new QueueFullError("the queue is full; put() waits for room");
  }

  /**
   * Takes the first item, when there is one.
   * @throws TimeoutError; the signal's reason; QueueClosedError where it is closed and empty; ActorDiedError
   */
  async get(options: WaitOptions = {}): Promise<T> {
    const answer = await this.#get("Queue.get()", options);
    if (answer === "timeout") throw outOfTime("Queue.get()", options.timeoutMs, "the queue is empty");
    return answer[0];
  }

  /** Takes the first item if there is one. @throws QueueEmptyError; QueueClosedError; ActorDiedError */
  async getNow(): Promise<T> {
    const answer = await this.#get("Queue.getNow()", {}, true);
    if (answer === "timeout") throw new QueueEmptyError("the queue is empty; get() waits for an item");
    return answer[0];
  }

  /** How many items it holds. @throws ActorDiedError */
  size(): Promise<number> {
    return get(this.#actor.size.remote());
  }

  /** @throws ActorDiedError */
  async isEmpty(): Promise<boolean> {
    return (await this.size()) === 0;
  }

  /** False for one without a bound. @throws ActorDiedError */
  isFull(): Promise<boolean> {
    return get(this.#actor.full.remote());
  }

  /**
   * Nothing can be put any more; what is in it can still be taken. Those that wait fail with QueueClosedError.
   * @throws ActorDiedError
   */
  async close(): Promise<void> {
    await get(this.#actor.close.remote());
  }

  /** Takes items until the queue is closed and empty. @throws ActorDiedError */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      try {
        yield await this.get();
      } catch (error) {
        if (error instanceof QueueClosedError) return;
        throw error;
      }
    }
  }

  /** Ends the queue for everybody, with all that is in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await kill(this.#actor);
  }

  [WIRE](): ReturnType<typeof wireForm> {
    return wireForm(TAG, this.#actor);
  }

  async #put(what: string, item: T, options: WaitOptions, now = false): Promise<"done" | "timeout"> {
    const packing = pack(item);
    // Without a large one there is no turn of the event loop between calls: they go in the order in which they are made.
    const packed =
      packing instanceof Promise || this.#behind !== undefined ? await this.#inOrder(packing) : packing;
    const { answer } = await ask({
      what,
      handle: this.#actor,
      method: this.#actor.put,
      args: [packed.kind, packed.data, packed.large],
      options,
      now,
      takeBack: (id) => this.#actor.drop.remote(id),
    });
    if (answer === "closed") throw new QueueClosedError("the queue is closed; nothing can be put any more");
    if (answer === "dropped") throw givenUp(what);
    return answer;
  }

  async #inOrder(packing: Packed | Promise<Packed>): Promise<Packed> {
    const behind = this.#behind;
    const turn = (async () => {
      await behind;
      return packing;
    })();
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#behind = settled;
    void settled.then(() => {
      if (this.#behind === settled) this.#behind = undefined;
    });
    return turn;
  }

  async #get(what: string, options: WaitOptions, now = false): Promise<[T] | "timeout"> {
    const { id, answer } = await ask<[], GetAnswer>({
      what,
      handle: this.#actor,
      method: this.#actor.get,
      args: [],
      options,
      now,
      takeBack: (call) => this.#actor.drop.remote(call),
    });
    if (answer === "timeout") return answer;
    if (answer === "closed") throw new QueueClosedError("the queue is closed, and nothing is left in it");
    if (answer === "dropped") throw givenUp(what);
    const [kind, data] = answer;
    this.#confirm(id);
    return [unpack(kind, data) as T];
  }

  /** Tells the actor that the item is here, for all that came in this turn together. */
  #confirm(id: number): void {
    this.#took.push(id);
    if (this.#took.length > 1) return;
    queueMicrotask(() => {
      const ids = this.#took;
      this.#took = [];
      void giveUp(() => this.#actor.took.remote(ids));
    });
  }
}

/** By the actor's account this process had gone, or had given up. */
function givenUp(what: string): ConnectionError {
  return new ConnectionError(
    `${what} was given up: the queue's actor has lost sight of this process; try again`,
  );
}

/** How queues come back inside values. */
export function registerQueues(): void {
  registerUtility<QueueActor>(TAG, (existing) => new Queue(existing as QueueOptions));
}
