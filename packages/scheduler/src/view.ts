/**
 * What is known of the other nodes: who they are (facts, from the table of nodes), and what they said that they have
 * free (standing bids). In large clusters few bids are known; a node without one is a stranger.
 */
import type { BidSpec, NodeId, ProcessId } from "@stingray/protocol";
import { Resources, UNITS } from "./amounts.js";
import { FactBook, type NodeFacts } from "./facts.js";

/** One node's standing offer, as it travels: older ones, by their sequence, are ignored. Amounts in the user's units. */
export interface Bid extends BidSpec {
  node: NodeId;
  agent: ProcessId;
}

/** `gone`: the node was removed. `fact`: it is there, or owns something else than before. */
export interface ViewChange {
  readonly kind: "bid" | "fact" | "gone";
  readonly node: NodeId;
}

interface Entry {
  bid: Bid;
  seen: number;
  charged: Resources;
  /** Leases sent there since its last bid. */
  sent: number;
  /** The bid with all that taken off, once somebody has asked for it. */
  left?: Bid | undefined;
}

/** How many removed nodes are remembered, so that a late bid does not bring one back. */
const REMEMBERED = 4096;

/** The other nodes, as known here. Optimistic charges stand for what was just sent to a node until its next bid. */
export class ClusterView {
  readonly #entries = new Map<NodeId, Entry>();
  readonly #facts = new FactBook();
  /** Strangers to which something was sent. */
  readonly #guesses = new Map<NodeId, Entry>();
  /** The sequence of guesses: below that of any bid, and growing. */
  #guessed = -1e9;
  readonly #gone = new Map<NodeId, number>();
  readonly #listeners = new Set<(change: ViewChange) => void>();
  /** Grows whenever facts change. */
  factsVersion = 0;

  /** Takes in a bid. False when it is older than what is known. `now` in milliseconds. */
  update(bid: Bid, now: number): boolean {
    const last = this.#entries.get(bid.node)?.bid.sequence ?? this.#gone.get(bid.node) ?? -1;
    if (bid.sequence <= last) return false;
    this.#gone.delete(bid.node);
    this.#entries.set(bid.node, { bid, seen: now, charged: Resources.none, sent: 0 });
    this.#guesses.delete(bid.node);
    this.#tell({ kind: "bid", node: bid.node });
    return true;
  }

  /** Takes in who a node is. The same again changes nothing. */
  fact(facts: NodeFacts): void {
    if (!this.#facts.set(facts)) return;
    this.#gone.delete(facts.node);
    this.factsVersion++;
    this.#tell({ kind: "fact", node: facts.node });
  }

  /** All nodes that are known to exist, this one too where it was told so. */
  facts(): NodeFacts[] {
    return this.#facts.all();
  }

  /** How many nodes are known to exist. */
  get size(): number {
    return this.#facts.size;
  }

  /** How many nodes own some of a resource class and take work. */
  owners(resourceClass: string): number {
    return this.#facts.owners(resourceClass);
  }

  /** Who a node is; undefined where it is not known to exist. */
  factOf(node: NodeId): NodeFacts | undefined {
    return this.#facts.get(node);
  }

  /** Whether the node owns some of a resource class and takes work. */
  owns(node: NodeId, resourceClass: string): boolean {
    return this.#facts.owns(node, resourceClass);
  }

  /** Whether a bid of the node is known. */
  has(node: NodeId): boolean {
    return this.#entries.has(node);
  }

  /** How many nodes exist, this one (`own`) apart, of which no bid is known. */
  unheard(own: NodeId): number {
    let heard = 0;
    for (const node of this.#entries.keys()) if (node !== own && this.#facts.has(node)) heard++;
    return this.#facts.size - (this.#facts.has(own) ? 1 : 0) - heard;
  }

  /**
   * As `observe` of a node that said nothing else: what is known of it besides stays, or is taken from the facts.
   */
  observeFree(node: NodeId, available: Record<string, number>, now: number): void {
    const known = this.#entries.get(node)?.bid ?? this.guess(node);
    if (known !== undefined)
      this.observe({ ...known, available, sequence: Math.max(0, known.sequence) }, now);
  }

  /** All bids that are known, and of the other nodes but `own` what they have in all, as if it were free. */
  candidates(own: NodeId): Bid[] {
    const bids = this.nodes();
    for (const node of this.#facts.nodes()) {
      const guess = node === own ? undefined : this.guess(node);
      if (guess !== undefined) bids.push(guess);
    }
    return bids;
  }

  /** Of a node of which no bid is known: as if all of it were free, but for what was sent there. */
  guess(node: NodeId): Bid | undefined {
    const facts = this.#facts.get(node);
    if (facts === undefined || this.#entries.has(node)) return undefined;
    const guess = this.#guesses.get(node);
    if (guess !== undefined) return charged(guess);
    return { ...facts, available: facts.total, queued: 0, idleWorkers: 0, sequence: this.#guessed };
  }

  /** Forgets what a node had free, not that it is there: nothing more is heard of it, so it may be otherwise now. */
  forgetBid(node: NodeId): void {
    this.#entries.delete(node);
    // Whoever refused as a stranger before may be asked again.
    this.#guessed = Math.min(-1, this.#guessed + 1);
  }

  /** The node is dead or has left. A bid that it sent before has no effect any more. */
  remove(node: NodeId): void {
    const entry = this.#entries.get(node);
    const known = entry !== undefined || this.#facts.has(node);
    if (this.#facts.delete(node)) this.factsVersion++;
    this.#guesses.delete(node);
    this.#entries.delete(node);
    this.#gone.set(node, entry?.bid.sequence ?? this.#gone.get(node) ?? -1);
    for (const oldest of this.#gone.keys()) {
      if (this.#gone.size <= REMEMBERED) break;
      this.#gone.delete(oldest);
    }
    if (known) this.#tell({ kind: "gone", node });
  }

  /** Counts what was just sent to a node against it until its next bid, in the user's units. */
  charge(node: NodeId, resources: Record<string, number> | Resources): void {
    let entry = this.#entries.get(node);
    if (entry === undefined) {
      const bid = this.guess(node);
      if (bid === undefined) return;
      entry = this.#guesses.get(node) ?? { bid, seen: 0, charged: Resources.none, sent: 0 };
      this.#guesses.set(node, entry);
    }
    const amount = resources instanceof Resources ? resources : Resources.from(resources);
    entry.charged = entry.charged.add(amount);
    entry.sent += 1;
    entry.left = undefined;
  }

  /** The node itself answered what it has free now: fresher than its bid and our charges. Tells nobody. */
  observe(bid: Bid, now: number): void {
    const known = this.#entries.get(bid.node)?.bid.sequence ?? this.#gone.get(bid.node) ?? -1;
    if (bid.sequence < known || this.#gone.has(bid.node)) return;
    this.#entries.set(bid.node, { bid, seen: now, charged: Resources.none, sent: 0 });
    this.#guesses.delete(bid.node);
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

  /** Forgets bids that are older than `ageMs` of nodes that are not `followed`. */
  expire(now: number, ageMs: number, followed: (node: NodeId) => boolean): void {
    for (const [node, { seen }] of this.#entries) {
      if (now - seen > ageMs && !followed(node)) this.forgetBid(node);
    }
    this.#guesses.clear();
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
  if (entry.left !== undefined) return entry.left;
  const available = { ...entry.bid.available };
  for (const [name, units] of entry.charged.entries()) {
    available[name] = Math.max(0, (available[name] ?? 0) - units / UNITS);
  }
  entry.left = { ...entry.bid, available, queued: entry.bid.queued + entry.sent };
  return entry.left;
}
