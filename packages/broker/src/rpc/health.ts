/**
 * Looks after one channel while something on it is outstanding: acknowledgements that were put off, frames that are
 * missing, a peer that does not answer, a broker that says nobody is there. Holds no timer of its own.
 */
import { ConnectionError } from "@stingray/protocol";
import type { StingrayError } from "@stingray/protocol";
import { TICK_MS, type TransportLimits } from "./limits.js";
import type { PeerAddress, RemoteEnd } from "./parts.js";
import type { Ticked, Ticker } from "./ticker.js";

/** First and largest pause between questions to a peer that may be gone, in milliseconds. */
const FIRST_PROBE_MS = 40;
const LAST_PROBE_MS = 500;
/** Stalls are asked about ever more rarely, up to this many times `stallMs`. */
const STALL_FACTOR = 8;
const LAST_GAP_MS = 1_000;

/** What it needs of the channel. */
export interface Patient {
  readonly peer: PeerAddress;
  readonly closed: StingrayError | undefined;
  readonly end: RemoteEnd;
  readonly unacknowledged: boolean;
  readonly acked: number;
  readonly owesAck: boolean;
  readonly hasGap: boolean;
  readonly received: number;
  acknowledge(): void;
  askAgain(): void;
  ping(): void;
  rest(): void;
  fail(reason: StingrayError): void;
}

/**
 * `sound`: nothing speaks against the peer. `doubted`: its socket broke, and it is asked over NATS until it is heard.
 * `suspect`: since `since` the broker has said that nobody listens.
 */
type Standing =
  | { state: "sound" }
  | { state: "doubted"; probeAt: number; pause: number }
  | { state: "suspect"; since: number; probeAt: number; pause: number };
const SOUND: Standing = { state: "sound" };

export class Health implements Ticked {
  ticking = false;
  private standing: Standing = SOUND;
  private stalled = { acked: -1, askAt: 0, pause: 0 };
  private gap = { received: -1, askAt: 0, pause: 0 };

  constructor(
    private readonly channel: Patient,
    private readonly limits: Readonly<TransportLimits>,
    private readonly ticker: Ticker,
  ) {}

  /** Something is outstanding now. */
  watch(): void {
    if (!this.ticking) this.ticker.watch(this);
  }

  /** While true nothing is sent but questions. */
  get suspicious(): boolean {
    return this.standing.state === "suspect";
  }

  /** The broker says that nobody listens. One such answer is no proof: the peer may be starting or reconnecting. */
  suspect(now: number): void {
    if (this.standing.state === "suspect") return;
    this.standing = { state: "suspect", since: now, probeAt: now + FIRST_PROBE_MS, pause: FIRST_PROBE_MS };
    this.watch();
  }

  /** Its socket broke and did not come back: is it still there? */
  doubt(now: number): void {
    if (this.standing.state !== "sound") return;
    this.standing = { state: "doubted", probeAt: now, pause: FIRST_PROBE_MS };
    this.watch();
  }

  /** A frame of the peer came. True where frames may have got lost before it. */
  heard(): boolean {
    const { state } = this.standing;
    if (state !== "sound") this.clear();
    return state === "suspect";
  }

  /** The way to the peer is another one: what the broker said before counts no more. A doubt does until it is heard. */
  moved(): void {
    const { standing } = this;
    this.clear();
    if (standing.state === "doubted" && this.channel.end.link?.kind === "nats") this.doubt(performance.now());
  }

  private clear(): void {
    this.standing = SOUND;
    this.stalled.acked = -1;
    this.gap.received = -1;
  }

  tick(now: number): boolean {
    const { channel } = this;
    if (channel.closed !== undefined) return false;
    if (channel.owesAck) channel.acknowledge();
    const missing = channel.hasGap && this.mindGap(now);
    const questioned = this.question(now);
    const outstanding = channel.unacknowledged && this.mindStall(now);
    if (!channel.unacknowledged) this.stalled.acked = -1;
    if (missing || questioned || outstanding || channel.owesAck) return true;
    channel.rest();
    return false;
  }

  private mindGap(now: number): true {
    const { gap, channel } = this;
    if (gap.received !== channel.received)
      this.gap = { received: channel.received, askAt: now, pause: TICK_MS };
    else if (now >= gap.askAt) {
      channel.askAgain();
      gap.pause = Math.min(gap.pause * 2, LAST_GAP_MS);
      gap.askAt = now + gap.pause;
    }
    return true;
  }

  private mindStall(now: number): true {
    const { stalled, channel, limits } = this;
    if (stalled.acked !== channel.acked)
      this.stalled = { acked: channel.acked, askAt: now + limits.stallMs, pause: limits.stallMs };
    else if (now >= stalled.askAt && this.standing.state === "sound") {
      channel.ping();
      stalled.pause = Math.min(stalled.pause * 2, limits.stallMs * STALL_FACTOR);
      stalled.askAt = now + stalled.pause;
    }
    return true;
  }

  private question(now: number): boolean {
    const { standing, channel, limits } = this;
    if (standing.state === "sound") return false;
    if (channel.end.link?.kind !== "nats") return true; // asked when there is a way
    if (standing.state === "suspect" && this.givenUp(now, standing.since)) return false;
    if (now >= standing.probeAt) {
      channel.ping();
      const longest = standing.state === "suspect" ? LAST_PROBE_MS : limits.stallMs * STALL_FACTOR;
      standing.pause = Math.min(standing.pause * 1.5, longest);
      standing.probeAt = now + standing.pause;
    }
    return true;
  }

  private givenUp(now: number, since: number): boolean {
    const { channel, limits } = this;
    const { end, peer } = channel;
    const patience = end.refused
      ? limits.goneLocalMs
      : limits.goneMs + Math.max(0, end.reconnectedAt + limits.reconnectGraceMs - since);
    if (now - since < patience) return false;
    channel.fail(
      new ConnectionError(
        `${peer.endpoint} is gone: nobody has listened on its subject for ${Math.round(now - since)} ms` +
          `${end.refused ? " and its socket is closed" : ""}. Its process has ended or can't reach the broker`,
        { detail: { peer: peer.endpoint, reason: "gone" } },
      ),
    );
    return true;
  }
}
