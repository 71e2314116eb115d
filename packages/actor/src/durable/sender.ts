/**
 * The caller's side of a durable mailbox: its calls go to the home agent in their order, which keeps them, and are then
 * awaited whatever becomes of the actor, its process, the agent or the broker in the meantime.
 */
import {
  Mailbox,
  MAX_KEPT_CALLS,
  Op,
  StingrayError,
  RETRY_ID,
  UNORDERED,
  decodeError,
  toError,
  type ActorId,
  type KeptCall,
  type ValueDesc,
} from "@stingray/protocol";
import type { Channel } from "@stingray/broker";
import type { Runtime } from "@stingray/task/internal";
import type { ActorCallState } from "../call.js";
import { DelayedCalls } from "./delayed.js";

/** Calls and bytes that go in one request. */
const MOST_CALLS = 1_000;
const MOST_BYTES = 1 << 20;
/** An agent answers within this, or is asked again. Milliseconds. */
const ASK_MS = 20_000;
/** Between tries, in milliseconds. */
const AGAIN_MS = 100;
/** That calls can't be kept is worth a line to the user after this long. Milliseconds. */
const WARN_AFTER_MS = 5_000;

/** What the sender needs to know of the actor, and tells it. */
export interface SenderHooks {
  readonly id: ActorId;
  readonly className: string;
  /** To the incarnation that is alive. */
  readonly channel: Channel | undefined;
  /** The call can't be kept, or its arguments can't be read. */
  failed(call: ActorCallState, error: Error): void;
  /** It was cancelled before its time. */
  cancelled(call: ActorCallState): void;
}

interface Item {
  readonly number: number;
  readonly call: ActorCallState;
  /** Absent until they were read. */
  args: Uint8Array | ValueDesc[] | undefined;
}

/** Grows over all calls of this process: what an actor sees of them grows, too. */
let lastNumber = 0;

export class DurableSender {
  /** Not kept yet, in order. */
  private line: Item[] = [];
  /** Not answered yet, by number. */
  private readonly calls = new Map<number, ActorCallState>();
  private readonly cancelled = new Set<number>();
  private readonly delayed: DelayedCalls;
  private asking = false;
  private failingSince: number | undefined;
  /** The user was told, of this time that it fails. */
  private warned = false;

  constructor(
    private readonly runtime: Runtime,
    private readonly actor: SenderHooks,
  ) {
    this.delayed = new DelayedCalls(runtime, {
      get id() {
        return actor.id;
      },
      failed: (call, error) => this.giveUp(call, () => actor.failed(call, error)),
      cancelled: (call) => this.giveUp(call, () => actor.cancelled(call)),
    });
  }

  private giveUp(call: ActorCallState, how: () => void): void {
    if (call.kept === undefined || !this.calls.has(call.kept)) return;
    this.forget(call.kept);
    how();
  }

  send(call: ActorCallState): void {
    if (call.delayMs !== undefined && call.attempt === 0) {
      const number = UNORDERED + ++lastNumber;
      call.kept = number;
      this.calls.set(number, call);
      this.delayed.keep(call, number, call.delayMs, this.argsOf(call));
      return;
    }
    const item: Item = { number: ++lastNumber, call, args: undefined };
    call.kept = item.number;
    this.calls.set(item.number, call);
    this.line.push(item);
    const args = this.argsOf(call);
    if (args instanceof Promise) {
      args.then(
        (values) => {
          item.args = values;
          void this.ask();
        },
        (error: unknown) => this.drop(item, toError(error)),
      );
    } else {
      item.args = args;
      if (this.line.length === 1) process.nextTick(() => void this.ask());
    }
  }

  /** The call that an answer is for; it is awaited no more. */
  take(number: number): ActorCallState | undefined {
    const call = this.calls.get(number);
    this.forget(number);
    return call;
  }

  /** @returns whether it was not on its way yet, and so never will be */
  cancel(call: ActorCallState): boolean {
    const { kept } = call;
    if (kept === undefined) return true;
    const at = this.line.findIndex(({ number }) => number === kept);
    if (at >= 0 && !(this.asking && this.line[at]?.args !== undefined)) {
      this.line.splice(at, 1);
      this.forget(kept);
      void this.ask();
      return true;
    }
    this.cancelled.add(kept);
    if (kept >= UNORDERED) this.delayed.cancel(call);
    this.actor.channel?.send([Op.MailboxCancel, this.actor.id, [kept]]);
    return false;
  }

  /** Another incarnation lives: it does not know yet which calls are not wanted any more. */
  alive(): void {
    const numbers = [...this.cancelled].slice(0, MAX_KEPT_CALLS);
    if (numbers.length > 0) this.actor.channel?.send([Op.MailboxCancel, this.actor.id, numbers]);
  }

  /** The actor is dead. */
  clear(): void {
    this.line = [];
    this.calls.clear();
    this.cancelled.clear();
  }

  /** Why calls wait to be kept, for people; undefined where they don't. */
  get trouble(): string | undefined {
    if (this.failingSince === undefined) return undefined;
    const ms = Math.round(performance.now() - this.failingSince);
    return `calls of actor ${this.actor.className} (${this.actor.id}) can't be kept for ${ms} ms: the broker or the node agent is away`;
  }

  private forget(number: number): void {
    this.calls.delete(number);
    this.cancelled.delete(number);
  }

  private drop(item: Item, error: Error): void {
    if (!this.calls.has(item.number)) return;
    this.line = this.line.filter((other) => other !== item);
    this.forget(item.number);
    this.actor.failed(item.call, error);
    void this.ask();
  }

  /** One request at a time: meanwhile the next is gathered. */
  private async ask(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    try {
      for (let batch = this.batch(); batch.length > 0; batch = this.batch()) await this.keep(batch);
    } finally {
      this.asking = false;
    }
  }

  private batch(): Item[] {
    const batch: Item[] = [];
    let bytes = 0;
    for (const item of this.line) {
      if (item.args === undefined) break;
      bytes += sizeOf(item.args);
      if (batch.length > 0 && (batch.length >= MOST_CALLS || bytes > MOST_BYTES)) break;
      batch.push(item);
    }
    return batch;
  }

  private async keep(batch: readonly Item[]): Promise<void> {
    const { id } = this.actor;
    const done = new Set<Item>(batch);
    try {
      const { refused } = await this.runtime.home.request(
        Mailbox.append,
        { actor: id, calls: batch.map(wireOf) },
        { timeoutMs: ASK_MS },
      );
      this.failingSince = undefined;
      this.warned = false;
      this.line = this.line.filter((item) => !done.has(item));
      const byNumber = new Map(refused);
      for (const item of batch) {
        const error = byNumber.get(item.number);
        if (error !== undefined) this.drop(item, decodeError(error));
      }
    } catch (thrown) {
      const error = toError(thrown);
      if (this.runtime.failed || !(error instanceof StingrayError) || !error.retryable) {
        for (const item of batch) this.drop(item, error);
        return;
      }
      // It may have been kept; who runs it knows a number that comes twice.
      this.warn();
      await new Promise((later) => setTimeout(later, AGAIN_MS).unref());
    }
  }

  private warn(): void {
    const since = (this.failingSince ??= performance.now());
    if (this.warned || performance.now() - since < WARN_AFTER_MS) return;
    this.warned = true;
    this.runtime.warn(`${this.trouble ?? ""}; they wait`);
  }

  /** Values, whatever they were: what is kept must not need its caller. */
  private argsOf(call: ActorCallState): Uint8Array | ValueDesc[] | Promise<ValueDesc[]> {
    const { whole, slots = [] } = call.args;
    if (whole !== undefined) return whole;
    const { values } = this.runtime;
    return Promise.all(
      slots.map(async (slot): Promise<ValueDesc> => [
        0,
        slot.kind === "bytes" ? slot.bytes : await values.bytesOf(slot.entry),
      ]),
    );
  }
}

function wireOf({ number, call, args }: Item): KeptCall {
  return [
    number,
    call.sequence,
    call.method,
    args ?? [],
    call.returns,
    call.attempt,
    call.options,
    idOf(call),
  ];
}

/** A try after one that failed is another call, of which one runs. */
function idOf({ callId, attempt }: ActorCallState): string | undefined {
  return callId === undefined || attempt === 0 ? callId : `${callId}${RETRY_ID}${attempt}`;
}

function sizeOf(args: Uint8Array | ValueDesc[]): number {
  if (args instanceof Uint8Array) return args.byteLength;
  return args.reduce((sum, desc) => sum + (desc[0] === 0 ? desc[1].byteLength : 0), 0);
}
