/** An endpoint that takes calls of actors: finds the activation, and remembers who waits for what. */
import {
  Op,
  TaskStatus,
  actorCall,
  taskCancel,
  taskConsumed,
  type ActorCall,
  type ActorId,
  type RunningWhy,
  type TaskId,
  type WaitState,
} from "@stingray/protocol";
import type { Channel, Endpoint } from "@stingray/broker";
import { findCall, progressOf, type Runtime } from "@stingray/task/internal";
import type { ActivationCall, CallOrigin } from "./activation-call.js";
import type { Activation } from "./activation.js";
import { KeptMailboxes } from "./durable/kept-mailboxes.js";
import { callState } from "./cycles/call-state.js";

/** One caller's channel, with its calls that have not ended. */
class CallerLine implements CallOrigin {
  readonly calls = new Map<number, ActivationCall>();

  constructor(
    readonly answers: Channel,
    private readonly lines: Map<Channel, CallerLine>,
  ) {}

  taken(call: ActivationCall): void {
    if (this.calls.size === 0) this.lines.set(this.answers, this);
    this.calls.set(call.sequence, call);
  }

  ended(call: ActivationCall): void {
    this.calls.delete(call.sequence);
    if (this.calls.size === 0) this.lines.delete(this.answers);
  }
}

export class CallEndpoint {
  private readonly lines = new Map<Channel, CallerLine>();
  private readonly endpoint: Endpoint;

  /**
   * @param find the activation that a call is for; it answers the call itself where there is none
   * @param cancelHeld takes out one that `find` has kept; false where it has not
   */
  constructor(
    runtime: Runtime,
    id: ActorId,
    epoch: number,
    private readonly find: (message: ActorCall, channel: Channel) => Activation | undefined,
    cancelHeld?: (sequence: number, channel: Channel) => boolean,
  ) {
    const endpoint = runtime.transport.openEndpoint(id, epoch);
    this.endpoint = endpoint;
    runtime.runner.serve(endpoint);
    KeptMailboxes.of(runtime).serve(endpoint);
    endpoint.on(Op.ActorCall, actorCall, (message, channel) => this.accept(message, channel));
    endpoint.on(Op.TaskCancel, taskCancel, ([, sequence, recursive], channel) => {
      const call = this.lines.get(channel)?.calls.get(sequence);
      call?.activation.cancel(call, recursive);
      if (call === undefined && cancelHeld?.(sequence, channel) === true)
        channel.send([Op.TaskDone, sequence, TaskStatus.Cancelled, [], 0]);
    });
    endpoint.on(Op.TaskConsumed, taskConsumed, ([, sequence, count], channel) => {
      const call = this.lines.get(channel)?.calls.get(sequence);
      if (call === undefined) return;
      call.consumed = count;
      call.consumedWaiter?.();
    });
    endpoint.onChannelClosed((channel) => this.callerGone(channel));
  }

  /** What else is asked there. */
  get serve(): Endpoint["serve"] {
    return this.endpoint.serve.bind(this.endpoint);
  }

  /** Takes a call as if it had just come. */
  accept(message: ActorCall, channel: Channel): void {
    const activation = this.find(message, channel);
    if (activation === undefined) return;
    activation.take(message, this.lines.get(channel) ?? new CallerLine(channel, this.lines));
  }

  private callerGone(channel: Channel): void {
    const line = this.lines.get(channel);
    this.lines.delete(channel);
    if (line === undefined) return;
    const waited = [...line.calls.values()];
    for (const call of waited) call.cancel();
    for (const activation of new Set(waited.map((call) => call.activation))) activation.abandon(line);
  }

  private byCaller(): Map<number, ActivationCall>[] {
    return [...this.lines.values()].map(({ calls }) => calls);
  }

  progress(task: TaskId): RunningWhy | undefined {
    const calls = this.byCaller();
    const why = progressOf(calls, task, performance.now());
    const call = why?.state === "queued" ? findCall(calls, task) : undefined;
    const holder = call?.activation.heldUp(call)?.holders[0];
    return why === undefined || holder === undefined ? why : { ...why, behind: holder.taskId };
  }

  /** What keeps a call from going on, if it is here. */
  waitState(task: TaskId): WaitState | undefined {
    const call = findCall(this.byCaller(), task);
    return call && callState(call);
  }

  /** Hands what was answered to the links now. */
  flush(): void {
    for (const channel of this.lines.keys()) channel.flush();
  }

  close(): Promise<void> {
    return this.endpoint.close();
  }
}
