/** The caller's side of one actor: what is known of its life, and the calls that follow it. */
import {
  ActorDiedError,
  SharedCalls,
  decodeError,
  type ActorId,
  type ActorView,
  type NodeId,
  type ProcessId,
  type Shape,
  type StingrayError,
} from "@stingray/protocol";
import type { Channel } from "@stingray/broker";
import { adviceText, type EncodedArgs, type Runtime } from "@stingray/task/internal";
import { KnownTrouble } from "./trouble.js";
import { ActorCalls, type CalledActor, type HostTarget } from "./calls.js";
import { next, type ClientEvent, type ClientState } from "./state.js";

/** A constructor may take as long as it likes; a day is only to have an end. */
const MADE_MS = 24 * 3_600_000;
/** An actor that waits for a place is worth a line to the user after this long. Milliseconds. */
const WARN_AFTER_MS = 5_000;

export interface ClientHooks {
  /** Asks an agent what became of the actor. */
  inquire(client: ActorClient): void;
  /** It waits for long, for what the line says. */
  waits(line: string): void;
  /** There is nothing more to learn about it. */
  dead(client: ActorClient): void;
  /** The channel to a process that many actors live in. */
  hostChannel(view: ActorView, host: ActorId): Channel;
}

export class ActorClient implements CalledActor {
  private stateNow: ClientState = { kind: "claiming" };
  private readonly own: ActorCalls;
  // A process may have a hundred thousand of these: what is rarely there is made when it is needed.
  private listeners: Set<() => void> | undefined;
  private idleWaiters: (() => void)[] | undefined;
  /** Arguments of the constructor stay as long as the actor may be made again. */
  private pinned: EncodedArgs | undefined;
  /** What it asks for, where this process has created it. */
  private placement: Shape | undefined;
  /** The client that this process had already of the actor that this one's claim led to. */
  private successor: ActorClient | undefined;
  private warning: NodeJS.Timeout | undefined;

  constructor(
    private readonly runtime: Runtime,
    /** Changes once where `getIfExists` found another. */
    public id: ActorId,
    readonly className: string,
    readonly maxPendingCalls: number,
    private readonly hooks: ClientHooks,
  ) {
    this.own = new ActorCalls(runtime, this);
  }

  /** Why the actor does not answer, as far as its agent has said. */
  readonly trouble = new KnownTrouble();

  /** Where it lives with others: the endpoint of their host. */
  host: string | undefined;
  /** See {@link CalledActor}; views tell. */
  durable: boolean | undefined;

  /** How many views an agent has sent by itself. An answer that was on its way with them is not newer than they are. */
  pushed = 0;

  get state(): ClientState {
    return this.current.stateNow;
  }

  /** The client that does the work: this one, or the one that it was merged into. */
  get current(): ActorClient {
    return this.successor === undefined ? this : this.successor.current;
  }

  get calls(): ActorCalls {
    return this.current.own;
  }

  get channel(): Channel | undefined {
    const { stateNow: state } = this;
    return state.kind === "alive" || state.kind === "leaving" ? state.channel : undefined;
  }
  get target(): HostTarget | undefined {
    const { stateNow: state } = this;
    return this.host !== undefined && state.kind === "alive"
      ? { actor: this.id, epoch: state.epoch }
      : undefined;
  }
  get takesCalls(): boolean {
    return this.stateNow.kind === "alive";
  }
  get deathCause(): StingrayError | undefined {
    return this.stateNow.kind === "dead" ? this.stateNow.error : undefined;
  }
  get waitCause(): StingrayError | undefined {
    const { stateNow: state } = this;
    return state.kind === "waiting" && state.cause !== undefined ? decodeError(state.cause) : undefined;
  }
  get waitReason(): string | undefined {
    return this.stateNow.kind === "waiting" ? this.stateNow.reason : undefined;
  }

  /**
   * Of one that is alive: whether only its host knows that its constructor has ended. Agents of other nodes know its row,
   * and one that lives with others has that from the beginning.
   */
  get isMadeElsewhere(): boolean {
    const { channel, target } = this.current;
    const { node } = this.runtime;
    return (
      channel !== undefined && target !== undefined && (node === undefined || channel.peer.node !== node)
    );
  }

  /** Asks its host whether it lives there; answered when its constructor has ended. @throws ConnectionError */
  async made(): Promise<boolean> {
    const { channel, target } = this.current;
    if (channel === undefined || target === undefined) return false;
    return (await channel.request(SharedCalls.made, target, { timeoutMs: MADE_MS })).made;
  }

  keep(args: EncodedArgs, placement: Shape): void {
    this.pinned = args;
    this.placement = placement;
  }

  onChange(listener: () => void): () => void {
    const { current } = this;
    current.listen(listener);
    return () => {
      current.unlisten(listener);
      current.current.unlisten(listener);
    };
  }

  private listen(listener: () => void): void {
    (this.listeners ??= new Set()).add(listener);
  }
  private unlisten(listener: () => void): void {
    if (this.listeners?.delete(listener) === true && this.listeners.size === 0) this.listeners = undefined;
  }
  private tell(): void {
    if (this.listeners !== undefined) for (const listener of [...this.listeners]) listener();
  }

  /** `getIfExists` found an actor that this process knows already: one client is enough, and keeps one order. */
  mergeInto(other: ActorClient): void {
    this.successor = other;
    this.id = other.id;
    if (this.pinned !== undefined) this.runtime.values.release(this.pinned.pinned);
    this.pinned = undefined;
    for (const listener of this.listeners ?? []) other.listen(listener);
    other.own.takeIn(this.own);
    for (const done of this.idleWaiters ?? []) (other.idleWaiters ??= []).push(done);
    this.idleWaiters = undefined;
    this.tell();
  }

  /** Calls back when no call is queued or sent any more; at once if there is none. */
  whenIdle(done: () => void): void {
    if (this.calls.pending === 0 && this.state.kind !== "claiming") done();
    else (this.current.idleWaiters ??= []).push(done);
  }

  idle(): void {
    const waiters = this.idleWaiters;
    this.idleWaiters = undefined;
    for (const done of waiters ?? []) done();
  }

  /** A new view, the answer to its claim, or a broken channel. */
  apply(event: Exclude<ClientEvent, { kind: "view" }> | { kind: "view"; view: ActorView }): void {
    if (event.kind === "view") this.trouble.told(event.view.trouble);
    const before = this.stateNow;
    if (event.kind === "view" && this.durable === undefined) this.learn(event.view);
    const full: ClientEvent = event.kind === "view" ? { ...event, open: (view) => this.open(view) } : event;
    const after = next(before, full, this.className);
    if (after === before) return;
    this.stateNow = after;
    const wasSending = before.kind === "alive" || before.kind === "leaving" || before.kind === "unreachable";
    if (after.kind === "dead") this.died(after.error);
    else if (after.kind === "unreachable") this.hooks.inquire(this);
    else if (wasSending && after.kind !== "leaving") this.own.incarnationLost();
    if (after.kind === "alive") this.own.pump();
    if (after.kind === "alive" && this.durable === true) this.own.keeper.alive();
    this.warnOfWait();
    this.tell();
    if (before.kind === "claiming" && this.own.pending === 0) this.idle();
  }

  /** The first view tells which way calls go. */
  private learn(view: ActorView): void {
    this.durable = view.durable === true;
    if (this.durable && view.state !== "DEAD") this.own.pump();
  }

  /** Its creator says so when it waits for long, once for each wait; others can ask with `ready`. */
  private warnOfWait(): void {
    if (this.waitReason === undefined || this.pinned === undefined) {
      clearTimeout(this.warning);
      this.warning = undefined;
      return;
    }
    this.warning ??= setTimeout(() => {
      if (this.stateNow.kind !== "waiting") return;
      const { restarting, reason = "", infeasible = false } = this.stateNow;
      const calls = this.own.pending;
      this.hooks.waits(
        (restarting ? `actor ${this.className} (${this.id}) is still being restarted: ${reason}` : reason) +
          (calls === 0 ? "" : ` (${calls} call${calls === 1 ? " waits" : "s wait"} for it)`) +
          (infeasible && this.placement !== undefined
            ? `. ${adviceText(this.placement, this.id)}`
            : `; "stingray why ${this.id}" tells more`),
      );
    }, WARN_AFTER_MS).unref();
  }

  private open(view: ActorView): Channel {
    this.host = view.host;
    if (view.host !== undefined) return this.hooks.hostChannel(view, view.host as ActorId);
    const channel = this.runtime.transport.inbox.channel({
      endpoint: this.id,
      epoch: view.epoch,
      process: view.process as ProcessId,
      node: view.node as NodeId,
    });
    channel.onClose(() => this.apply({ kind: "broken", epoch: view.epoch }));
    return channel;
  }

  private died(error: StingrayError): void {
    this.own.failAll(error);
    if (this.pinned !== undefined) this.runtime.values.release(this.pinned.pinned);
    this.pinned = undefined;
    this.hooks.dead(this);
  }

  /** This process leaves the cluster. */
  stop(error: StingrayError): void {
    this.apply({ kind: "refused", error });
  }

  /** The view that an agent gave after the channel broke says that nothing happened: the process is there but can't be reached. */
  giveUp(): void {
    if (this.stateNow.kind !== "unreachable") return;
    this.apply({
      kind: "refused",
      error: new ActorDiedError(
        `actor ${this.className} (${this.id}) can't be reached, though its node says that it is alive`,
      ),
    });
  }
}
