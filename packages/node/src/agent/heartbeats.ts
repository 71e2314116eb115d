/** What is known of every node: what it said last, how long it has been silent, what the table says of it. */
import type { TableCache, NodeRow } from "@stingray/gcs-kv";
import type { ClusterView, Bid } from "@stingray/scheduler";
import type { NodeId, NodeView } from "@stingray/protocol";
import type { Heartbeat } from "../feed/mod.js";
import type { Liveness } from "../controller/liveness.js";
import type { Bidding } from "./bidding/mod.js";

export interface HeartbeatHooks {
  /** A node was heard for the first time. */
  newcomer(node: NodeId): void;
}

/** In large clusters, who asks for all nodes waits so long for those that do not answer, in milliseconds. */
const CENSUS_MS = 500;

export class Heartbeats {
  private readonly latest = new Map<NodeId, Heartbeat>();

  constructor(
    private readonly own: NodeId,
    private readonly periodMs: number,
    private readonly bidding: Bidding,
    private readonly view: ClusterView,
    private readonly liveness: Liveness,
    private readonly rows: TableCache<NodeRow>,
    private readonly hooks: HeartbeatHooks,
  ) {}

  /** Something of this node changed: the others should know soon. */
  changed(): void {
    this.bidding.standing.changed();
  }

  /** A heartbeat of any node arrived. It may be dead to the cluster, not know of it yet, and still send. */
  received(heartbeat: Heartbeat): void {
    const { node } = heartbeat;
    this.liveness.heartbeat(node);
    if (node === this.own || this.rows.get(node)?.value.state === "DEAD") return;
    const known = this.latest.has(node);
    const isNews = this.view.update(heartbeat, performance.now());
    if (isNews || !known) this.latest.set(node, heartbeat);
    if (known) return;
    // A newcomer wants to know who else is there. Where there are many, it asks.
    if (!this.bidding.standing.isLarge) this.changed();
    this.hooks.newcomer(node);
  }
  removed(node: NodeId): void {
    this.latest.delete(node);
    this.liveness.forget(node);
    this.view.remove(node);
  }

  /** As others see this node, but of this very moment. */
  ownBid(): Bid {
    return this.bidding.bid();
  }

  /** Every node that is not removed: as heard last, or, where there are more than all are heard of, as they answer now. */
  async nodes(): Promise<NodeView[]> {
    const own = this.bidding.standing.ownHeartbeat();
    if (!this.bidding.standing.isLarge) {
      return [own, ...this.latest.values()].map((h) =>
        this.viewOf(h, h.node !== this.own && this.isSilent(h.node)),
      );
    }
    const rows = [...this.rows.entries()].map(({ value }) => value);
    const expected = new Set(rows.filter(({ state }) => state !== "DEAD").map(({ node }) => node));
    const heard = new Map((await this.bidding.census(expected, CENSUS_MS)).map((h) => [h.node as string, h]));
    heard.set(this.own, own);
    return rows.map((row) => {
      const h = heard.get(row.node) ?? this.latest.get(row.node as NodeId);
      return h === undefined ? unheard(row) : this.viewOf(h, !heard.has(row.node));
    });
  }

  private isSilent(node: NodeId): boolean {
    return (this.liveness.silence(node) ?? 0) > this.periodMs * 2.5;
  }

  private viewOf(h: Heartbeat, silent: boolean): NodeView {
    const state = this.rows.get(h.node)?.value.state === "DEAD" ? "DEAD" : silent ? "SUSPECT" : h.state;
    return {
      node: h.node,
      agent: h.agent,
      hostname: h.hostname,
      pid: h.pid,
      state,
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
  }
}

/** A node that the table knows and nobody heard. */
function unheard(row: NodeRow): NodeView {
  return {
    node: row.node,
    agent: row.agent,
    hostname: row.hostname,
    pid: row.pid,
    state: row.state === "DEAD" ? "DEAD" : "SUSPECT",
    labels: row.labels,
    total: row.total,
    available: {},
    workers: 0,
    actors: 0,
    storeUsed: 0,
    storeCapacity: 0,
    pending: [],
  };
}
