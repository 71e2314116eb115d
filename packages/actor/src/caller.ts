/** Who called the method that is running: for actors that keep something for their callers, such as locks. */
import { IncomingCall, currentExecution } from "@stingray/task/internal";

/** A process that calls this actor, as one incarnation of the actor knows it. The same object for all its calls. */
export interface Caller {
  /** Set once it is gone: it ended, or can't be reached any more. */
  readonly closed: Error | undefined;
  /** Calls back once when it is gone; soon, if it is already. Returns how to stop. */
  onClose(callback: (reason: Error) => void): () => void;
}

export interface CurrentCall {
  readonly caller: Caller;
  /** Aborts when the call is cancelled, and when its caller is gone. */
  readonly signal: AbortSignal;
}

/** The call that the running code belongs to. @throws TypeError outside of methods of actors */
export function currentCall(): CurrentCall {
  const execution = currentExecution();
  if (!(execution instanceof IncomingCall))
    throw new TypeError("this can only be called inside a method of an actor");
  const { channel } = execution;
  if (!hasEnd(channel))
    throw new TypeError("the calls of this actor are not answered to their callers straight");
  return { caller: channel, signal: execution.abort.signal };
}

function hasEnd(channel: Partial<Caller>): channel is Caller {
  return channel.onClose !== undefined;
}
