/** The results of a generator: a reference per yield, in order, as soon as each is there. */
import { WIRE } from "@stingray/objectstore";
import { InvalidArgumentError, TimeoutError, checkOptions, timerMs } from "@stingray/protocol";
import type { TaskId } from "@stingray/protocol";
import { bounded } from "./bounded.js";
import type { ObjectRef } from "./objects/object-ref.js";
import { makingRoom } from "./ready.js";
import { WAIT_RULES, timeLeft, type WaitOptions } from "./wait-options.js";

/** What the submitter keeps of a stream while it runs. */
export class StreamState {
  private readonly ready: ObjectRef[] = [];
  private wake: (() => void) | undefined;
  private ended = false;
  private taken = 0;
  private asked = false;
  private heldBack: { readonly at: number; readonly tell: () => void } | undefined;
  /** Index of the next item expected; items of a repeated attempt below it are dropped. */
  received = 0;

  /**
   * @param consumed tells the producer how many items were taken in all; -1: no more are wanted
   * @param producer the task or call that makes the items
   */
  constructor(
    private readonly consumed: (count: number) => void,
    private readonly producer?: () => TaskId,
  ) {}

  push(ref: ObjectRef): void {
    this.received++;
    if (this.ended) {
      ref.release();
      return;
    }
    this.ready.push(ref);
    this.notify();
    this.lookWhetherHeldBack();
  }

  end(): void {
    this.ended = true;
    this.notify();
  }

  /** Calls back when the producer waits for a reader of its first item, as it does with so many unread. */
  whenHeldBack(unread: number | undefined, tell: () => void): void {
    if (unread === undefined) return;
    this.heldBack = { at: unread, tell };
    this.lookWhetherHeldBack();
  }

  private lookWhetherHeldBack(): void {
    const { heldBack } = this;
    if (heldBack === undefined || this.asked || this.ended || this.ready.length < heldBack.at) return;
    this.heldBack = undefined;
    heldBack.tell();
  }

  private notify(): void {
    const wake = this.wake;
    this.wake = undefined;
    wake?.();
  }

  get isEnded(): boolean {
    return this.ended;
  }

  /** What the producer must know of its reader: how many items were taken, or -1 where no more are wanted. */
  get progress(): number {
    return this.ended ? -1 : this.taken;
  }

  /** @throws the signal's reason, or TimeoutError: then nothing was taken */
  async next(options: WaitOptions = {}): Promise<ObjectRef | undefined> {
    this.asked = true;
    const end = performance.now() + (options.timeoutMs ?? Infinity);
    const limited = timerMs(options.timeoutMs) !== undefined || options.signal !== undefined;
    while (this.ready.length === 0) {
      if (this.ended) return undefined;
      const moved = new Promise<void>((wake) => {
        const before = this.wake;
        this.wake = () => {
          before?.();
          wake();
        };
      });
      const { producer } = this;
      await makingRoom(
        bounded(moved, timeLeft(options, end), () => noItemAfter(options.timeoutMs)),
        producer && { tasks: () => (this.ended ? [] : [producer()]), needs: () => 1, limited },
      );
    }
    const ref = this.ready.shift();
    this.consumed(++this.taken);
    return ref;
  }

  /** The reader has left: what it did not read is freed, and the producer stops at its next yield. */
  leave(): void {
    for (const ref of this.ready.splice(0)) ref.release();
    if (this.ended) return;
    this.end();
    this.consumed(-1);
  }
}

const noItemAfter = (timeoutMs = Infinity): TimeoutError =>
  new TimeoutError(`the next item of a stream was not there after ${timeoutMs} ms; ask again, or leave it`);

const BRAND = Symbol.for("stingray.ObjectRefStream");

/** A producer that is held back for a reader that is gone would wait for ever. */
const collected = new FinalizationRegistry<StreamState>((state) => state.leave());

/**
 * References to what a remote generator yields. Iterate it once, with `for await`; leaving the loop early stops the
 * producer at its next yield, and so does dropping the stream, once the garbage collector sees it. An error thrown by the generator is the last reference, whose `get` throws it.
 */
export class ObjectRefStream<T = unknown> implements AsyncIterable<ObjectRef<T>>, AsyncDisposable {
  declare readonly [BRAND]: true;

  /** @internal Made by `.remote()`. */
  constructor(
    /** @internal */ readonly state: StreamState,
    /** @internal */ readonly sequence: number,
  ) {
    collected.register(this, state);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ObjectRef<T>, void, void> {
    try {
      for (;;) {
        const ref = await this.state.next();
        if (ref === undefined) return;
        yield ref as ObjectRef<T>;
      }
    } finally {
      this.state.leave();
    }
  }

  /**
   * The next reference, or undefined after the last. A wait that ends early has taken nothing: the item is still the next.
   * @throws TimeoutError; the signal's reason
   */
  async next(options: WaitOptions = {}): Promise<ObjectRef<T> | undefined> {
    checkOptions("next()", WAIT_RULES, options);
    return this.state.next(options) as Promise<ObjectRef<T> | undefined>;
  }

  /** @internal */
  [WIRE](): never {
    throw new InvalidArgumentError(
      "a stream of references can't be sent: iterate it with `for await` here, and send the references",
    );
  }

  /** Stops the producer and frees what was not read. */
  [Symbol.asyncDispose](): Promise<void> {
    this.state.leave();
    return Promise.resolve();
  }
}
Object.defineProperty(ObjectRefStream.prototype, BRAND, { value: true });

export function isObjectRefStream(value: unknown): value is ObjectRefStream {
  return typeof value === "object" && value !== null && (value as { [BRAND]?: unknown })[BRAND] === true;
}
