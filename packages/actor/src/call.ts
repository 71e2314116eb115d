/** One call of a method, at its caller. */
import type { RetryOn, TaskRunOptions } from "@stingray/protocol";
import type { EncodedArgs, ObjectEntry, StreamState } from "@stingray/task/internal";

/**
 * - `queued`: behind other calls, or its arguments, or its actor are not ready
 * - `sent`: to the incarnation that is alive
 * - `ended`
 */
export type CallPhase = "queued" | "sent" | "ended";

/** Failed attempts that are remembered, and characters of each. */
const MOST_FAILURES = 5;
const MOST_TEXT = 1_000;
const NONE: ActorCallState["failures"] = [];

export class ActorCallState {
  phase: CallPhase = "queued";
  /** When it came into this phase, by `performance.now()`. */
  since = performance.now();
  attempt = 0;
  /** How earlier attempts ended, the last ones. */
  failures: readonly { readonly at: number; readonly message: string }[] = NONE;
  cancelled = false;
  /** What the signal that cancelled it gave as its reason. */
  cancelReason: unknown;
  /** File that tells the actor of its cancellation, if there is one. */
  mark: string | undefined;
  /** Sent, and given back by an actor that was ending before the call began: it may go to the next incarnation. */
  returned = false;
  /** Was sent before, and goes ahead of those that were not. */
  again = false;
  /** Items of the stream that were taken; -1: no more are wanted. */
  consumed = 0;
  /** Its number in a durable mailbox, once it is on its way there. */
  kept: number | undefined;
  /** By `performance.now()`. */
  readonly madeAt = performance.now();
  /** Called once when the call is over. */
  onEnd: (() => void) | undefined;

  constructor(
    readonly sequence: number,
    readonly method: string,
    readonly args: EncodedArgs,
    readonly results: readonly ObjectEntry[],
    readonly returns: number,
    readonly stream: StreamState | undefined,
    readonly maxRetries: number,
    readonly retryOn: RetryOn,
    readonly options: TaskRunOptions | undefined,
    /** Kept until the call is over: the handle that it was made with, which keeps the actor alive. */
    public holder: object | undefined,
    /** In a durable mailbox: of the calls with this id one runs. */
    readonly callId?: string,
    /** In a durable mailbox: it comes there after so many milliseconds. */
    readonly delayMs?: number,
  ) {}

  /** Another attempt is to follow this one. */
  failed(message: string): void {
    this.attempt++;
    const failure = { at: performance.now(), message: message.slice(0, MOST_TEXT) };
    this.failures = [...this.failures.slice(1 - MOST_FAILURES), failure];
  }

  get retriesLeft(): boolean {
    return this.attempt < this.maxRetries;
  }

  /** True when every argument has its value. */
  get argumentsReady(): boolean {
    return this.args.slots?.every((slot) => slot.kind === "bytes" || slot.entry.ready) ?? true;
  }

  /** The error of an argument that failed. */
  get argumentError(): Uint8Array | undefined {
    for (const slot of this.args.slots ?? [])
      if (slot.kind === "object" && slot.entry.state.kind === "error") return slot.entry.state.bytes;
    return undefined;
  }
}
