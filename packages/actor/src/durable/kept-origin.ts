/** Where calls out of a durable mailbox come from: one for each process that made some that have not ended. */
import { Op, type KeptAnswer, type NodeId, type ProcessId, type TaskDone } from "@stingray/protocol";
import type { Channel } from "@stingray/broker";
import type { Answers } from "@stingray/task/internal";
import type { ActivationCall, CallOrigin } from "../activation-call.js";
import type { OpenCall } from "./progress.js";

/** A call with the activation. */
export interface GivenCall {
  readonly open: OpenCall;
  /** Its sequence number: that at its caller, or one of this process where nobody waits for it. */
  readonly sequence: number;
  /** Once the activation has taken it. */
  running: ActivationCall | undefined;
  /** Its body was called. */
  begun: boolean;
}

export interface OriginHooks {
  /** It was answered, or with status Dropped given back. */
  ended(given: GivenCall, answer: KeptAnswer): void;
  /** Nothing of it has not ended. */
  empty(origin: KeptOrigin): void;
}

export class KeptOrigin implements CallOrigin {
  readonly calls = new Map<number, GivenCall>();
  readonly answers: Answers;

  /** @param channel to the process; made when somebody asks for it */
  constructor(
    readonly process: ProcessId,
    node: NodeId | undefined,
    channel: () => Channel,
    private readonly hooks: OriginHooks,
  ) {
    this.answers = {
      peer: node === undefined ? { endpoint: process, process } : { endpoint: process, process, node },
      closed: undefined,
      get via() {
        return channel();
      },
      send: (message) => this.answered(message),
      flush: () => {},
    };
  }

  taken(call: ActivationCall): void {
    const given = this.calls.get(call.sequence);
    if (given !== undefined) given.running = call;
  }

  ended(): void {
    // Its answer has told so.
  }

  private answered(message: readonly unknown[]): void {
    if (message[0] !== Op.TaskDone) return;
    const [, sequence, status, results, tookUs, refs] = message as TaskDone;
    const given = this.calls.get(sequence);
    if (given === undefined) return;
    this.calls.delete(sequence);
    const { call } = given.open;
    this.hooks.ended(given, [call[0], call[1], status, results, tookUs, refs]);
    if (this.calls.size === 0) this.hooks.empty(this);
  }
}
