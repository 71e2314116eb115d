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
  fail(reason: StingrayError): void;
}

/** `sound`: nothing speaks against the peer. `suspect`: since `since` the broker has said that nobody listens. */
type Standing = { state: "sound" } | { state: "suspect"; since: number; probeAt: number; pause: number };
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

  /** The peer was heard, or the way to it changed. */
  clear(): void {
    this.standing = SOUND;
    this.stalled.acked = -1;
    this.gap.received = -1;
  }

  tick(now: number): boolean {
    const { channel } = this;
    if (channel.closed !== undefined) return false;
    if (channel.owesAck) channel.acknowledge();
    const missing = channel.hasGap && this.mindGap(now);
    const suspected = this.standing.state === "suspect" && this.probe(now, this.standing);
    const outstanding = channel.unacknowledged && this.mindStall(now);
    if (!channel.unacknowledged) this.stalled.acked = -1;
    return missing || suspected || outstanding || channel.owesAck;
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

  private probe(now: number, suspicion: Standing & { state: "suspect" }): boolean {
    const { channel, limits } = this;
    const { end } = channel;
    if (end.link?.kind !== "nats") return true;
    const patience = end.refused
      ? limits.goneLocalMs
      : limits.goneMs + Math.max(0, end.reconnectedAt + limits.reconnectGraceMs - suspicion.since);
    if (now - suspicion.since >= patience) {
      const { endpoint } = channel.peer;
      channel.fail(
        new ConnectionError(
          `${endpoint} is gone: nobody has listened on its subject for ${Math.round(now - suspicion.since)} ms` +
            `${end.refused ? " and its socket is closed" : ""}. Its process has ended or can't reach the broker`,
          { detail: { peer: endpoint, reason: "gone" } },
        ),
      );
      return false;
    }
    if (now >= suspicion.probeAt) {
      channel.ping();
      suspicion.pause = Math.min(suspicion.pause * 1.5, LAST_PROBE_MS);
      suspicion.probeAt = now + suspicion.pause;
    }
    return true;
  }
}
