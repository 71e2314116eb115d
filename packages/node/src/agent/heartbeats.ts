/** What this node says of itself: at least once per period, and soon after every change. */
import type { ClusterView, Bid } from "@stingray/scheduler";
import type { NodeId, NodeView } from "@stingray/protocol";
import type { Heartbeat } from "../feed/mod.js";
import type { Liveness } from "../controller/liveness.js";

export interface HeartbeatHooks {
  /** Whether the cluster has declared the node dead. It may not know yet, and still send. */
  isDead(node: NodeId): boolean;
  /** All but the sequence number. */
  state(): Omit<Heartbeat, "sequence">;
  /** The part of it that is a bid; cheap. */
  bid(): Omit<Bid, "sequence">;
  /** A node was heard for the first time. */
  newcomer(node: NodeId): void;
  publish(heartbeat: Heartbeat): void;
}

/** Changes within this time go out together. */
const SETTLE_MS = 50;

export class Heartbeats {
  private sequence = 0;
  private beat: NodeJS.Timeout | undefined;
  private soon: NodeJS.Timeout | undefined;
  private lastSent = -Infinity;
  private readonly latest = new Map<NodeId, Heartbeat>();

  constructor(
    private readonly own: NodeId,
    private readonly periodMs: number,
    private readonly view: ClusterView,
    private readonly liveness: Liveness,
    private readonly hooks: HeartbeatHooks,
  ) {}

  start(): void {
    this.beat = setInterval(() => this.send(), this.periodMs);
    this.send();
  }
  stop(): void {
    clearInterval(this.beat);
    clearTimeout(this.soon);
    this.beat = this.soon = undefined;
  }

  /** Something changed: say so, but not more often than every {@link SETTLE_MS}. */
  changed(): void {
    if (this.soon !== undefined || this.beat === undefined) return;
    const wait = Math.max(1, this.lastSent + SETTLE_MS - performance.now());
    this.soon = setTimeout(() => {
      this.soon = undefined;
      this.send();
    }, wait);
  }

  /** A heartbeat of any node arrived. */
  received(heartbeat: Heartbeat): void {
    this.liveness.heartbeat(heartbeat.node);
    if (heartbeat.node === this.own || this.hooks.isDead(heartbeat.node)) return;
    const known = this.latest.has(heartbeat.node);
    if (!this.view.update(heartbeat, performance.now())) return;
    this.latest.set(heartbeat.node, heartbeat);
    if (known) return;
    this.changed(); // a newcomer wants to know who else is there
    this.hooks.newcomer(heartbeat.node);
  }
  removed(node: NodeId): void {
    this.latest.delete(node);
    this.liveness.forget(node);
    this.view.remove(node);
  }

  /** As others see this node, but of this very moment. */
  ownBid(): Bid {
    return { ...this.hooks.bid(), sequence: this.sequence };
  }

  /** Every node that was heard and not removed; `stateOf` corrects what a node says of itself. */
  nodes(stateOf: (node: NodeId) => NodeView["state"] | undefined): NodeView[] {
    const own: Heartbeat = { ...this.hooks.state(), sequence: this.sequence };
    return [own, ...this.latest.values()].map((h) => {
      const silent = h.node !== this.own && (this.liveness.silence(h.node) ?? 0) > this.periodMs * 2.5;
      const view: NodeView = {
        node: h.node,
        agent: h.agent,
        hostname: h.hostname,
        pid: h.pid,
        state: stateOf(h.node) ?? (silent ? "SUSPECT" : h.state),
        labels: h.labels,
        total: h.total,
        available: h.available,
        workers: h.workers,
        actors: h.actors,
        storeUsed: h.storeUsed,
        storeCapacity: h.storeCapacity,
        pending: h.pending,
        store: h.store,
      };
      return view;
    });
  }

  private send(): void {
    this.lastSent = performance.now();
    this.hooks.publish({ ...this.hooks.state(), sequence: ++this.sequence });
  }
}
