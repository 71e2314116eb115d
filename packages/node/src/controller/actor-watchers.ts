/** Who wants to know about which actor: they get an ActorState message on every change. */
import type { Channel } from "@stingray/broker";
import { ActorDiedError, Op, encodeError, type ActorTrouble, type ActorView } from "@stingray/protocol";
import type { ActorBook, ActorEntry } from "./actor-book.js";
import { viewOf } from "./actor-machine.js";
import type { ReasonToWait } from "./placement-wait.js";

/** What this node knows beyond the rows of actors. */
export interface KnownHere {
  /** Of an actor, with the process that its row names. */
  trouble?(actor: string, process: string | undefined): ActorTrouble | undefined;
  /** Its state, where the row does not say all; else undefined. */
  liveView?(entry: ActorEntry): ActorView | undefined;
}

/** Made once: when a job ends, its actors go by the hundred thousand. */
const { stack: _stack, ...GONE } = encodeError(new ActorDiedError("gone"));

export class ActorWatchers {
  /** Most are watched by one: a set for each would cost more than all else that is kept of them. */
  private readonly watchers = new Map<string, Channel | Set<Channel>>();
  /** What an actor without a process waits for, as its placer says. */
  private readonly waiting = new Map<string, ReasonToWait>();

  constructor(
    private readonly book: ActorBook,
    private readonly known: KnownHere = {},
  ) {
    book.onChange((actor, now) => {
      const state = now?.value.state ?? "DEAD";
      if (state === "ALIVE" || state === "PASSIVE" || state === "DEAD") this.waiting.delete(actor);
      this.tell(actor, now);
    });
  }

  /** Its state now, and every change from now on to this channel while it is open. */
  async watch(actor: string, channel: Channel): Promise<ActorView> {
    const channels = this.watchers.get(actor);
    if (channels === undefined) this.watchers.set(actor, channel);
    else if (channels instanceof Set) channels.add(channel);
    else if (channels !== channel) this.watchers.set(actor, new Set([channels, channel]));
    const fetched = this.book.get(actor) ?? (await this.book.fetch(actor));
    // The newest after the wait: a change that was pushed meanwhile must not be followed by an older answer.
    return this.view(actor, this.book.get(actor) ?? fetched);
  }

  channelClosed(channel: Channel): void {
    for (const [actor, channels] of this.watchers) {
      if (channels === channel) this.watchers.delete(actor);
      else if (channels instanceof Set && channels.delete(channel) && channels.size === 0)
        this.watchers.delete(actor);
    }
  }

  /** What an actor without a process waits for, where this agent looks for a place for it. */
  reasonOf(actor: string): string | undefined {
    return this.waiting.get(actor)?.reason;
  }

  /** Says what a PENDING or RESTARTING actor waits for. */
  waitsFor(actor: string, why: ReasonToWait | undefined): void {
    if (why !== undefined) this.waiting.set(actor, why);
    else if (!this.waiting.delete(actor)) return;
    this.tell(actor, this.book.get(actor));
  }

  /** What is wrong with this process, or what it makes, has changed: those who wait for its actors are told. */
  troubled(process: string, making: readonly string[]): void {
    for (const actor of making) this.tell(actor, this.book.get(actor));
    for (const actor of this.watchers.keys()) {
      const entry = this.book.get(actor);
      if (entry?.value.state === "ALIVE" && entry.value.process === process) this.tell(actor, entry);
    }
  }

  /** What this node knows better than the row has changed. */
  changed(actor: string): void {
    this.tell(actor, this.book.get(actor));
  }

  private tell(actor: string, entry: ActorEntry | undefined): void {
    const channels = this.watchers.get(actor);
    if (channels === undefined) return;
    const view = this.view(actor, entry);
    for (const channel of channels instanceof Set ? channels : [channels])
      channel.send([Op.ActorState, view]);
    if (view.state === "DEAD") this.watchers.delete(actor);
  }

  private view(actor: string, entry: ActorEntry | undefined): ActorView {
    if (entry === undefined) {
      const message =
        `actor ${actor} is gone: it ended and its job was cleaned up, it never existed, or the broker lost its ` +
        `tables (in memory, they end with it)`;
      return { actor, state: "DEAD", epoch: 0, cause: { ...GONE, message } };
    }
    const view = this.known.liveView?.(entry) ?? viewOf(entry.value);
    const trouble = view.state === "DEAD" ? undefined : this.known.trouble?.(actor, view.process);
    if (trouble !== undefined) view.trouble = trouble;
    const why = this.waiting.get(actor);
    if (why !== undefined && view.state !== "ALIVE" && view.state !== "DEAD") {
      const lost = entry.value.cause;
      view.cause = {
        code: "UNSCHEDULABLE",
        message: why.reason,
        ...(lost === undefined ? {} : { cause: lost }),
      };
      if (why.infeasible) view.infeasible = true;
    }
    return view;
  }
}
