/** Calls of actors that are not here yet. */
import type { ActorCall } from "@stingray/protocol";
import type { Channel } from "@stingray/broker";

/** A caller hears of an actor's end, or its host of the actor, well within this. Milliseconds. */
const HOLD_MS = 5_000;

interface Held {
  readonly message: ActorCall;
  readonly channel: Channel;
  readonly late: () => void;
}

export class HeldCalls {
  private readonly byActor = new Map<string, { readonly calls: Held[]; readonly timer: NodeJS.Timeout }>();

  /**
   * @param deliver takes a call again when its actor is here
   * @param isMade whether an actor is being made here: its calls wait for as long as that takes
   * @param holdMs how long calls of others wait. Milliseconds
   */
  constructor(
    private readonly deliver: (message: ActorCall, channel: Channel) => void,
    private readonly isMade: (actor: string) => boolean,
    private readonly holdMs = HOLD_MS,
  ) {}

  /** @param late called where the actor does not come in time */
  hold(actor: string, message: ActorCall, channel: Channel, late: () => void): void {
    let held = this.byActor.get(actor);
    if (held === undefined) {
      const timer = setInterval(() => this.expire(actor), this.holdMs).unref();
      this.byActor.set(actor, (held = { calls: [], timer }));
    }
    held.calls.push({ message, channel, late });
  }

  /** The actor is here. */
  release(actor: string): void {
    for (const { message, channel } of this.take(actor))
      if (channel.closed === undefined) this.deliver(message, channel);
  }

  /** Its caller wants it no more. False: no such call is held. */
  cancel(sequence: number, channel: Channel): boolean {
    for (const [actor, { calls, timer }] of this.byActor) {
      const at = calls.findIndex((one) => one.channel === channel && one.message[1] === sequence);
      if (at < 0) continue;
      calls.splice(at, 1);
      if (calls.length === 0) {
        clearInterval(timer);
        this.byActor.delete(actor);
      }
      return true;
    }
    return false;
  }

  stop(): void {
    for (const { timer } of this.byActor.values()) clearInterval(timer);
    this.byActor.clear();
  }

  private expire(actor: string): void {
    if (this.isMade(actor)) return;
    for (const { late, channel } of this.take(actor)) if (channel.closed === undefined) late();
  }

  private take(actor: string): Held[] {
    const held = this.byActor.get(actor);
    if (held === undefined) return [];
    this.byActor.delete(actor);
    clearInterval(held.timer);
    return held.calls;
  }
}
