/**
 * The process behind a `Queue`. Its methods wait while the queue is full or empty, all at the same time. An item that was
 * given to a caller is kept until the caller says that it has it: where the caller is gone, or gave up, it goes back to
 * where it was.
 */
import { currentCall, type Caller } from "@stingray/actor/internal";
import { get, type ObjectRef } from "@stingray/task";
import { Fifo } from "@stingray/task/internal";
import { Held } from "./held.js";
import type { Kind } from "./packed.js";
import { WaitingCalls, type Unserved } from "./waiting.js";

/** What became of a `put`. */
export type PutAnswer = "done" | Unserved;
/** The item, or why there is none. */
export type GetAnswer = readonly [Kind, unknown] | Unserved;

interface Item {
  /** Its place among all that were ever put. */
  at: number;
  readonly producer: Caller;
  readonly id: number;
  readonly kind: Kind;
  data: unknown;
  /** Set while a large one is being fetched. */
  coming: Promise<void> | undefined;
}

export class QueueActor {
  readonly #items = new Fifo<Item>();
  /** Those that came back, in order; all of them were before those in `#items`. */
  readonly #back: Item[] = [];
  readonly #putting = new WaitingCalls<Item, "done">();
  readonly #getting = new WaitingCalls<undefined, Item>();
  readonly #taken = new Held<Item>((item) => this.#giveBack(item));
  #closed = false;
  #puts = 0;

  /** @param maxSize 0 for no bound */
  constructor(readonly maxSize: number) {}

  /** @param timeoutMs -1 for no limit, 0 for at once or never */
  async put(
    id: number,
    timeoutMs: number,
    kind: Kind,
    [data]: readonly [unknown],
    large: boolean,
  ): Promise<PutAnswer> {
    if (this.#closed) return "closed";
    const call = currentCall();
    const item: Item = { at: 0, producer: call.caller, id, kind, data, coming: undefined };
    if (large) {
      item.coming = this.#fetch(item, data as ObjectRef);
      item.coming.catch(() => undefined); // seen by whoever awaits it
    }
    if (this.#hasRoom && this.#putting.size === 0) this.#add(item);
    else {
      const turn = await this.#putting.wait(call, id, item, timeoutMs);
      if (typeof turn === "string") return turn;
    }
    // Its producer owns the large one: it must be here before the producer may end.
    if (item.coming !== undefined) await item.coming;
    return "done";
  }

  /** @param timeoutMs -1 for no limit, 0 for at once or never */
  async get(id: number, timeoutMs: number): Promise<GetAnswer> {
    const call = currentCall();
    const { caller } = call;
    for (;;) {
      let item = this.#next();
      if (item !== undefined) {
        if (!this.#taken.give(caller, id, item)) {
          this.#giveBack(item);
          return "dropped";
        }
        this.#letIn();
      } else if (this.#closed && !this.#taken.any) return "closed";
      else {
        const turn = await this.#getting.wait(call, id, undefined, timeoutMs);
        if (typeof turn === "string") return turn;
        item = turn.served;
      }
      try {
        if (item.coming !== undefined) await item.coming;
        return [item.kind, item.data];
      } catch {
        // Its producer was gone before it was here. The next one, then.
        this.#taken.take(caller, id);
        this.#endIfOver();
      }
    }
  }

  /** The caller has what it got by these calls. */
  took(ids: readonly number[]): void {
    const { caller } = currentCall();
    for (const id of ids) this.#taken.take(caller, id);
    this.#endIfOver();
  }

  /** The caller has given up a call. False where nothing is left of it: an item that a consumer has, or no item at all. */
  drop(id: number): boolean {
    const { caller } = currentCall();
    const item = this.#taken.take(caller, id);
    if (item !== undefined) {
      this.#giveBack(item);
      return true;
    }
    if (this.#getting.drop(caller, id) || this.#putting.drop(caller, id)) return true;
    for (const queued of [...this.#back, ...this.#items]) {
      if (queued.producer !== caller || queued.id !== id) continue;
      this.#remove(queued);
      return true;
    }
    return false;
  }

  size(): number {
    return this.#items.length + this.#back.length;
  }

  full(): boolean {
    return !this.#hasRoom;
  }

  close(): void {
    this.#closed = true;
    this.#putting.closeAll();
    this.#endIfOver();
  }

  /** Nothing comes any more: what was given to callers is theirs, and can't come back. */
  #endIfOver(): void {
    if (this.#closed && !this.#taken.any) this.#getting.closeAll();
  }

  get #hasRoom(): boolean {
    return this.maxSize === 0 || this.size() < this.maxSize;
  }

  #add(item: Item): void {
    item.at = this.#puts++;
    if (!this.#handOver(item)) this.#items.push(item);
  }

  /** To whoever waits for one. */
  #handOver(item: Item): boolean {
    for (let getter = this.#getting.peek(); getter !== undefined; getter = this.#getting.peek()) {
      if (!this.#taken.give(getter.caller, getter.id, item)) {
        this.#getting.drop(getter.caller, getter.id);
        continue;
      }
      getter.serve(item);
      return true;
    }
    return false;
  }

  #next(): Item | undefined {
    return this.#back.shift() ?? this.#items.shift();
  }

  /** Those that wait for room. */
  #letIn(): void {
    while (this.#hasRoom) {
      const putter = this.#putting.peek();
      if (putter === undefined) return;
      putter.serve("done");
      this.#add(putter.has);
    }
  }

  #giveBack(item: Item): void {
    if (this.#handOver(item)) return;
    const behind = this.#back.findIndex((other) => other.at > item.at);
    this.#back.splice(behind < 0 ? this.#back.length : behind, 0, item);
  }

  #remove(item: Item): void {
    const at = this.#back.indexOf(item);
    if (at >= 0) this.#back.splice(at, 1);
    else this.#items.remove(item);
    this.#letIn();
  }

  async #fetch(item: Item, ref: ObjectRef): Promise<void> {
    try {
      item.data = await get(ref);
      item.coming = undefined;
    } catch (error) {
      this.#remove(item);
      throw error;
    }
  }
}
