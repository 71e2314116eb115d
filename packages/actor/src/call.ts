/** One call of a method, at its caller. */
import type { RetryOn, TaskRunOptions } from "@stingray/protocol";
import type { EncodedArgs, ObjectEntry, StreamState } from "@stingray/task/internal";

/**
 * - `queued`: behind other calls, or its arguments, or its actor are not ready
 * - `sent`: to the incarnation that is alive
 * - `ended`
 */
export type CallPhase = "queued" | "sent" | "ended";

export class ActorCallState {
  phase: CallPhase = "queued";
  attempt = 0;
  cancelled = false;
  /** File that tells the actor of its cancellation, if there is one. */
  mark: string | undefined;
  /** Sent, and given back by an actor that was ending before the call began: it may go to the next incarnation. */
  returned = false;
  /** Was sent before, and goes ahead of those that were not. */
  again = false;
  /** Items of the stream that were taken; -1: no more are wanted. */
  consumed = 0;
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
  ) {}

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
