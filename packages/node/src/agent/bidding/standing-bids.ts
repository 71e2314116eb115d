/**
 * Standing bids: what this node says of itself, and whose heartbeats it hears. Up to some tens of nodes everybody hears
 * everybody. Above, each follows a few, chosen at random: the load of a node stays the same however many there are.
 */
import type { NatsConnection, Subscription } from "@nats-io/nats-core";
import type { NodeId, Subjects } from "@stingray/protocol";
import type { ClusterView } from "@stingray/scheduler";
import {
  decodeHeartbeat,
  encodeHeartbeat,
  publishHeartbeat,
  subscribeHeartbeatOf,
  subscribeHeartbeats,
  type FeedHooks,
  type FeedSubscription,
  type Heartbeat,
} from "../../feed/mod.js";
import type { PlainRequests } from "./requests.js";

/** Numbers to be tuned. */
export interface StandingLimits {
  /** Up to so many nodes all heartbeats are heard. @defaultValue 32 */
  hearAllUpTo: number;
  /** Above, those of so many nodes. @defaultValue 4 */
  sample: number;
}
export const STANDING_LIMITS: StandingLimits = { hearAllUpTo: 32, sample: 4 };

/** Changes within this time go out together, in milliseconds. */
const SETTLE_MS = 50;
/** A bid of a node that is not followed is forgotten after so many heartbeat periods. */
const STALE_PERIODS = 2;

export interface StandingHooks {
  /** What the node says of itself, but for the sequence number. */
  state(): Omit<Heartbeat, "sequence">;
  /** A heartbeat of any node arrived, of this one too. */
  heard(heartbeat: Heartbeat): void;
  feed: FeedHooks;
  random(): number;
}

export class StandingBids {
  /** Of the last heartbeat that was sent. */
  sequence = 0;
  /** Heartbeats that were heard. */
  heardCount = 0;
  private all: FeedSubscription | undefined;
  private readonly some = new Map<NodeId, FeedSubscription>();
  private census: Subscription | undefined;
  private beat: NodeJS.Timeout | undefined;
  private first: NodeJS.Timeout | undefined;
  private soon: NodeJS.Timeout | undefined;
  private choosing: NodeJS.Timeout | undefined;
  private unwatch: (() => void) | undefined;
  private lastSent = -Infinity;
  private everybody = false;

  constructor(
    private readonly nc: NatsConnection,
    private readonly subjects: Subjects,
    private readonly own: NodeId,
    private readonly view: ClusterView,
    private readonly periodMs: number,
    private readonly hooks: StandingHooks,
    private readonly limits: StandingLimits = STANDING_LIMITS,
  ) {}

  start(): void {
    this.choose();
    this.census = this.nc.subscribe(this.subjects.census(), {
      callback: (error, message) => {
        if (error === null && message.reply !== undefined && message.reply !== "")
          message.respond(encodeHeartbeat(this.ownHeartbeat()));
      },
    });
    this.unwatch = this.view.onChange(({ kind }) => {
      if (kind !== "bid") this.chooseSoon();
    });
    this.send();
    // Nodes that were started together do not all speak together.
    this.first = setTimeout(() => {
      this.beat = setInterval(() => this.beatNow(), this.periodMs);
    }, this.periodMs * this.hooks.random());
  }

  stop(): void {
    clearTimeout(this.first);
    clearInterval(this.beat);
    clearTimeout(this.soon);
    clearTimeout(this.choosing);
    this.first = this.beat = this.soon = this.choosing = undefined;
    this.unwatch?.();
    this.all?.stop();
    for (const feed of this.some.values()) feed.stop();
    this.some.clear();
    if (this.census?.isClosed() === false) this.census.unsubscribe();
    this.all = this.census = undefined;
  }

  /** More nodes than are all heard of. */
  get isLarge(): boolean {
    return this.view.size > this.limits.hearAllUpTo;
  }

  /** Hears all nodes from now on, however many (who judges which are alive must), or only as many as it needs again. */
  followAll(on: boolean): void {
    this.everybody = on;
    this.choose();
  }

  /** What this node says of itself at this moment. */
  ownHeartbeat(): Heartbeat {
    return { ...this.hooks.state(), sequence: this.sequence };
  }

  /**
   * Something changed: say so, but not too often. In a large cluster the next beat is soon enough: few of those who ask
   * know this node by its standing bid, and messages for each change would grow with the number of nodes.
   */
  changed(): void {
    if (this.soon !== undefined || this.census === undefined || this.isLarge) return;
    const wait = Math.max(1, this.lastSent + SETTLE_MS - performance.now());
    this.soon = setTimeout(() => {
      this.soon = undefined;
      this.send();
    }, wait).unref();
  }

  /**
   * One heartbeat of every node that answers, until those of all `expected` came or `timeoutMs` are over. This node's
   * own is among them.
   */
  async takeCensus(
    requests: PlainRequests,
    expected: ReadonlySet<string>,
    timeoutMs: number,
  ): Promise<Heartbeat[]> {
    const heard = new Map<string, Heartbeat>();
    const missing = new Set(expected);
    await requests.collect(this.subjects.census(), new Uint8Array(), timeoutMs, (data) => {
      try {
        const heartbeat = decodeHeartbeat(data);
        heard.set(heartbeat.node, heartbeat);
        missing.delete(heartbeat.node);
      } catch (thrown) {
        this.hooks.feed.onMalformed?.(thrown as never);
      }
      return missing.size === 0;
    });
    return [...heard.values()];
  }

  private beatNow(): void {
    this.send();
    if (this.all === undefined) {
      this.view.expire(performance.now(), this.periodMs * STALE_PERIODS, (node) => this.some.has(node));
    }
  }

  private send(): void {
    this.lastSent = performance.now();
    this.sequence++;
    publishHeartbeat(this.nc, this.subjects, this.ownHeartbeat());
  }

  /** Nodes come in crowds. */
  private chooseSoon(): void {
    this.choosing ??= setTimeout(() => {
      this.choosing = undefined;
      this.choose();
    }, 20).unref();
  }

  private choose(): void {
    if (this.nc.isClosed() || this.nc.isDraining()) return;
    const heard = (heartbeat: Heartbeat): void => {
      this.heardCount++;
      this.hooks.heard(heartbeat);
    };
    if (!this.isLarge || this.everybody) {
      this.all ??= subscribeHeartbeats(this.nc, this.subjects, heard, this.hooks.feed);
      this.followOnly(new Set());
      return;
    }
    const nodes = this.view.facts().map(({ node }) => node);
    const there = new Set(nodes);
    const kept = new Set([...this.some.keys()].filter((node) => there.has(node)));
    const others = nodes.filter((node) => node !== this.own && !kept.has(node));
    while (kept.size < this.limits.sample && others.length > 0) {
      for (const node of others.splice(Math.floor(this.hooks.random() * others.length), 1)) kept.add(node);
    }
    this.followOnly(kept);
    for (const node of kept) {
      if (!this.some.has(node))
        this.some.set(node, subscribeHeartbeatOf(this.nc, this.subjects, node, heard, this.hooks.feed));
    }
    this.all?.stop();
    this.all = undefined;
  }

  private followOnly(nodes: ReadonlySet<NodeId>): void {
    for (const [node, feed] of this.some) {
      if (nodes.has(node)) continue;
      feed.stop();
      this.some.delete(node);
    }
  }
}
