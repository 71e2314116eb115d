/** A call in the activation that runs it, and where it came from. */
import type { ActorCall } from "@stingray/protocol";
import { IncomingCall, type Answers } from "@stingray/task/internal";
import type { Activation } from "./activation.js";

/** Where calls come from: the channel of a caller, or a mailbox that is kept elsewhere. */
export interface CallOrigin {
  /** Where their answers go. */
  readonly answers: Answers;
  /** The call is in the mailbox; before anything of it runs. */
  taken(call: ActivationCall): void;
  /** It was answered, or given back, and is over. Once for each that was taken. */
  ended(call: ActivationCall): void;
}

export class ActivationCall extends IncomingCall {
  constructor(
    readonly activation: Activation,
    readonly origin: CallOrigin,
    readonly method: string,
    [, sequence, , args, returns, attempt, options]: ActorCall,
  ) {
    const { self, spec } = activation;
    super(
      activation,
      origin.answers,
      sequence,
      `${spec.className}.${method}`,
      args,
      returns,
      attempt,
      options,
      "",
    );
    this.actor = self;
    this.resources = spec.running;
    this.gpuIds = self.gpuIds;
  }
}
