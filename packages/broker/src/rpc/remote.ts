/**
 * A process at the other end of channels, and the way to it: its Unix socket where it runs on our node, NATS
 * otherwise and meanwhile. One per process (and per mailbox whose process is not known), shared by all channels to it.
 */
import {
  ConnectionError,
  type EndpointId,
  type NodeId,
  type ProcessId,
  type StingrayError,
} from "@stingray/protocol";
import type { Stream } from "./stream.js";
import type { TransportLimits } from "./limits.js";
import type { Link, RemoteEnd } from "./parts.js";
import type { Ticked, Ticker } from "./ticker.js";

/** Pause between attempts to dial while nothing else leads to the peer. In milliseconds. */
const REDIAL_MS = 50;
/** The same while NATS does: it grows up to this, and then only traffic has us dial. */
const REDIAL_WITH_NATS_MS = 2_000;
const REDIAL_GROWTH = 3;
/** Failures in a row after which we dial no more by ourselves. */
const QUICK_DIALS = 3;

/**
 * The socket to it; `failures` counts attempts in a row. `never`: not on our node, or NATS only. `dialling`: frames wait for it unless it is `late`.
 * `down`: the last attempt failed; `refused` where nobody listens there, since `refusedAt` without a break.
 */
export type SocketState =
  | { at: "never" }
  | { at: "idle" }
  | { at: "dialling"; since: number; late: boolean; failures: number; refusedAt: number | undefined }
  | { at: "up"; link: Link }
  | { at: "down"; since: number; failures: number; refusedAt: number | undefined };

export type SocketEvent =
  | { what: "local" } // it runs on our node
  | { what: "dial"; now: number; natsCarries: boolean }
  | { what: "late" }
  | { what: "up"; link: Link }
  | { what: "lost" } // and nobody needs it now
  | { what: "failed"; now: number; refused: boolean };

/** The one transition function of {@link SocketState}. Events that do not fit are ignored. */
export function nextSocketState(state: SocketState, event: SocketEvent): SocketState {
  switch (event.what) {
    case "local":
      return state.at === "never" ? { at: "idle" } : state;
    case "dial": {
      if (state.at !== "idle" && state.at !== "down" && state.at !== "up") return state;
      const again = state.at === "down"; // do not hold up frames that go over NATS already
      const refusedAt = state.at === "down" ? state.refusedAt : undefined;
      const failures = state.at === "down" ? state.failures : 0;
      return { at: "dialling", since: event.now, late: again && event.natsCarries, failures, refusedAt };
    }
    case "late":
      return state.at === "dialling" ? { ...state, late: true } : state;
    case "up":
      return { at: "up", link: event.link };
    case "lost":
      return state.at === "up" ? { at: "idle" } : state;
    case "failed": {
      if (state.at !== "dialling") return state;
      const refusedAt = event.refused ? (state.refusedAt ?? event.now) : undefined;
      return { at: "down", since: event.now, failures: state.failures + 1, refusedAt };
    }
  }
}

/** What a remote needs of the transport. */
export interface Ways {
  readonly limits: Readonly<TransportLimits>;
  readonly ticker: Ticker;
  /** NATS, where it is up. */
  readonly nats: Link | undefined;
  /** A broker is attached, up or not. */
  readonly attached: boolean;
  readonly reconnectedAt: number;
  /** Starts to dial; the outcome comes through `socketUp` or `dialFailed`. */
  dial(process: ProcessId): void;
  /** The remote has no channels any more. */
  unused(remote: Remote): void;
}

export class Remote implements RemoteEnd, Ticked {
  ticking = false;
  link: Link | undefined;
  private socket: SocketState = { at: "never" };
  private readonly streams = new Set<Stream>();
  /** Since when nothing leads to it while something waits, and no broker is attached. */
  private strandedAt: number | undefined;

  /** @param name of the process; of the mailbox where its process is not known */
  constructor(
    readonly name: EndpointId,
    readonly process: ProcessId | undefined,
    private readonly ways: Ways,
  ) {
    this.link = ways.nats;
  }

  get refused(): boolean {
    return (
      (this.socket.at === "down" || this.socket.at === "dialling") && this.socket.refusedAt !== undefined
    );
  }
  get reconnectedAt(): number {
    return this.ways.reconnectedAt;
  }

  add(stream: Stream): void {
    this.streams.add(stream);
  }
  remove(stream: Stream): void {
    this.streams.delete(stream);
    if (this.streams.size === 0) this.ways.unused(this);
  }
  get used(): boolean {
    return this.streams.size > 0;
  }
  get hasSocket(): boolean {
    return this.socket.at === "up";
  }

  /** It runs on the node `node`; ours is `ours`. */
  learnNode(node: NodeId | undefined, ours: NodeId | undefined): void {
    if (node !== undefined && node === ours && this.process !== undefined) this.become({ what: "local" });
  }

  /** There is something to send, and no socket. */
  wanted(): void {
    const now = performance.now();
    const { socket } = this;
    if (socket.at === "idle") this.dial(now);
    else if (socket.at === "down" && now - socket.since >= this.redialPause()) this.dial(now);
    if (this.link === undefined) this.ways.ticker.watch(this);
  }

  socketUp(link: Link): void {
    this.become({ what: "up", link });
  }

  /** The socket broke. Others may still need the peer, or need to learn that it is gone: dial at once. */
  socketLost(link: Link): void {
    if (this.socket.at !== "up" || this.socket.link !== link) return;
    if (this.used) return this.dial(performance.now());
    this.become({ what: "lost" });
    this.ways.unused(this);
  }

  dialFailed(refused: boolean): void {
    const before = this.link;
    this.become({ what: "failed", now: performance.now(), refused });
    // Frames that waited take NATS now. Whether the peer still lives has to be asked there: it may have ended.
    if (this.link?.kind !== "socket" && before === undefined)
      for (const stream of this.streams) stream.doubt();
    if (this.used) this.ways.ticker.watch(this);
  }

  /** NATS came up, went down, or was attached. */
  natsChanged(): void {
    this.reroute();
    if (this.link === undefined && this.used) this.ways.ticker.watch(this);
  }

  /** Every channel to it closes. */
  fail(reason: StingrayError): void {
    for (const stream of this.streams) stream.fail(reason);
  }

  tick(now: number): boolean {
    const { limits } = this.ways;
    const { socket } = this;
    if (!this.used) return false;
    if (socket.at === "dialling" && !socket.late && now - socket.since >= limits.dialMs)
      this.become({ what: "late" });
    const redial = socket.at === "down" && now - socket.since >= this.redialPause();
    if (this.link !== undefined) {
      this.strandedAt = undefined;
      const unclear = socket.at === "down" && socket.refusedAt === undefined && socket.failures < QUICK_DIALS;
      if (unclear && redial) this.dial(now);
      return unclear || (socket.at === "dialling" && !socket.late);
    }
    if (redial) this.dial(now);
    if (!this.ways.attached) this.mindStranded(now);
    else this.strandedAt = undefined;
    return true;
  }

  private mindStranded(now: number): void {
    const { limits } = this.ways;
    this.strandedAt ??= now;
    const refusedAt = "refusedAt" in this.socket ? this.socket.refusedAt : undefined;
    if (refusedAt !== undefined && now - refusedAt >= limits.goneLocalMs)
      this.fail(
        new ConnectionError(
          `${this.name} is gone: nobody listens on its socket, and there is no broker to look for it elsewhere. ` +
            `Its process has ended`,
          { detail: { peer: this.name, reason: "gone" } },
        ),
      );
    else if (now - this.strandedAt >= limits.attachMs)
      this.fail(
        new ConnectionError(
          `${this.name} can't be reached: this process has not been connected to a broker for ${limits.attachMs} ms, ` +
            `and no socket leads there`,
          { detail: { peer: this.name, reason: "no broker" } },
        ),
      );
  }

  private redialPause(): number {
    const { socket, ways } = this;
    if (ways.nats === undefined || socket.at !== "down") return REDIAL_MS;
    return Math.min(REDIAL_MS * REDIAL_GROWTH ** socket.failures, REDIAL_WITH_NATS_MS);
  }

  private dial(now: number): void {
    if (this.process === undefined) return;
    this.become({ what: "dial", now, natsCarries: this.link?.kind === "nats" });
    if (this.socket.at === "dialling" && this.used) this.ways.ticker.watch(this);
    this.ways.dial(this.process);
  }

  private become(event: SocketEvent): void {
    this.socket = nextSocketState(this.socket, event);
    this.reroute();
  }

  private reroute(): void {
    const { socket } = this;
    let link: Link | undefined;
    if (socket.at === "up") link = socket.link;
    else if (socket.at === "dialling" && !socket.late) link = undefined;
    else link = this.ways.nats;
    if (link === this.link) return;
    this.link = link;
    if (link !== undefined) for (const stream of this.streams) stream.linkChanged();
  }
}
