/** What other nodes said about themselves in their heartbeats: standing bids. */
import type { NodeId, ProcessId } from "@stingray/protocol";
import { Resources } from "./amounts.js";

/** One node's standing offer. Amounts in the user's units. */
export interface Bid {
  node: NodeId;
  agent: ProcessId;
  available: Record<string, number>;
  total: Record<string, number>;
  labels: Record<string, string>;
  /** Demand that waits there. */
  queued: number;
  idleWorkers: number;
  draining: boolean;
  /** Grows with every bid of the node; older ones are ignored. */
  sequence: number;
}

/** `gone`: the node was removed. */
export interface ViewChange {
  readonly kind: "bid" | "gone";
  readonly node: NodeId;
}

interface Entry {
  bid: Bid;
  seen: number;
  charged: Resources;
  /** Leases sent there since its last bid. */
  sent: number;
}

/** How many removed nodes are remembered, so that a late bid does not bring one back. */
const REMEMBERED = 4096;

/** The other nodes, as known here. Optimistic charges stand for what was just sent to a node until its next bid. */
export class ClusterView {
  readonly #entries = new Map<NodeId, Entry>();
  readonly #gone = new Map<NodeId, number>();
  readonly #listeners = new Set<(change: ViewChange) => void>();

  /** Takes in a bid. False when it is older than what is known. `now` in milliseconds. */
  update(bid: Bid, now: number): boolean {
    const last = this.#entries.get(bid.node)?.bid.sequence ?? this.#gone.get(bid.node) ?? -1;
    if (bid.sequence <= last) return false;
    this.#gone.delete(bid.node);
    this.#entries.set(bid.node, { bid, seen: now, charged: Resources.none, sent: 0 });
    this.#tell({ kind: "bid", node: bid.node });
    return true;
  }

  /** The node is dead or has left. A bid that it sent before has no effect any more. */
  remove(node: NodeId): void {
    const entry = this.#entries.get(node);
    this.#entries.delete(node);
    this.#gone.set(node, entry?.bid.sequence ?? this.#gone.get(node) ?? -1);
    for (const oldest of this.#gone.keys()) {
      if (this.#gone.size <= REMEMBERED) break;
      this.#gone.delete(oldest);
    }
    if (entry !== undefined) this.#tell({ kind: "gone", node });
  }

  /** Counts what was just sent to a node against it until its next bid, in the user's units. */
  charge(node: NodeId, resources: Record<string, number> | Resources): void {
    const entry = this.#entries.get(node);
    if (entry === undefined) return;
    const amount = resources instanceof Resources ? resources : Resources.from(resources);
    entry.charged = entry.charged.add(amount);
    entry.sent += 1;
  }

  /** The node itself answered what it has free now: fresher than its bid and our charges. */
  observe(node: NodeId, available: Record<string, number>, now: number): void {
    const entry = this.#entries.get(node);
    if (entry === undefined) return;
    entry.bid = { ...entry.bid, available };
    entry.charged = Resources.none;
    entry.seen = now;
  }

  /** All known nodes, charges taken off (`available` never below zero, `queued` raised by what was sent). */
  nodes(): Bid[] {
    return [...this.#entries.values()].map(charged);
  }

  /** One node as in `nodes()`. */
  get(node: NodeId): Bid | undefined {
    const entry = this.#entries.get(node);
    return entry === undefined ? undefined : charged(entry);
  }

  /** When the node was last heard of, in milliseconds of the clock given to `update`. */
  seenAt(node: NodeId): number | undefined {
    return this.#entries.get(node)?.seen;
  }

  /** True for a node that was removed and did not come back. */
  isGone(node: NodeId): boolean {
    return this.#gone.has(node);
  }

  /** Calls back on every accepted bid and removal, until the returned function is called. */
  onChange(listener: (change: ViewChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(change: ViewChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

function charged(entry: Entry): Bid {
  if (entry.sent === 0) return entry.bid;
  const available = { ...entry.bid.available };
  for (const [name, amount] of Object.entries(entry.charged.toRecord())) {
    available[name] = Math.max(0, (available[name] ?? 0) - amount);
  }
  return { ...entry.bid, available, queued: entry.bid.queued + entry.sent };
}
