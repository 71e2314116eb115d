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

  /** @param deliver takes a call again when its actor is here */
  constructor(private readonly deliver: (message: ActorCall, channel: Channel) => void) {}

  /** @param late called where the actor does not come in time */
  hold(actor: string, message: ActorCall, channel: Channel, late: () => void): void {
    let held = this.byActor.get(actor);
    if (held === undefined) {
      const timer = setTimeout(() => this.expire(actor), HOLD_MS).unref();
      this.byActor.set(actor, (held = { calls: [], timer }));
    }
    held.calls.push({ message, channel, late });
  }

  /** The actor is here. */
  release(actor: string): void {
    for (const { message, channel } of this.take(actor))
      if (channel.closed === undefined) this.deliver(message, channel);
  }

  stop(): void {
    for (const { timer } of this.byActor.values()) clearTimeout(timer);
    this.byActor.clear();
  }

  private expire(actor: string): void {
    for (const { late, channel } of this.take(actor)) if (channel.closed === undefined) late();
  }

  private take(actor: string): Held[] {
    const held = this.byActor.get(actor);
    if (held === undefined) return [];
    this.byActor.delete(actor);
    clearTimeout(held.timer);
    return held.calls;
  }
}
