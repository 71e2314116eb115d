/** Decides, for one unit of an ask: here, on another node, later, or never. Changes nothing but what it acquires. */
import { UnschedulableError, type NodeId, type ProcessId } from "@stingray/protocol";
import type { Allocation, ResourceAccount } from "./account.js";
import type { Ask } from "./ask.js";
import type { Resources } from "./amounts.js";
import type { BundleBook } from "./bundle-book.js";
import { routeInGroup, type GroupLookup } from "./group-route.js";
import type { LeaseBook } from "./lease-book.js";
import { rank, type Ranked } from "./strategy.js";
import { Strangers } from "./strangers.js";
import type { LeaseEffects, LeaseLimits } from "./types.js";
import type { Bid, ClusterView } from "./view.js";

export type Route =
  | { readonly to: "here"; readonly allocation: Allocation }
  | { readonly to: "node"; readonly node: NodeId; readonly agent: ProcessId }
  | { readonly to: "call"; readonly class: string }
  | { readonly to: "wait"; readonly for: Ask["waitsFor"]; readonly reason: string }
  | { readonly to: "fail"; readonly error: UnschedulableError };

/** An ask that has waited too long keeps others from taking what it lacks. */
export interface Holder {
  readonly ask: Ask;
  readonly lacks: readonly string[];
}

export interface RouterParts {
  node: NodeId;
  labels: Record<string, string>;
  account: ResourceAccount;
  bundles: BundleBook;
  groups: GroupLookup;
  view: ClusterView;
  book: LeaseBook;
  effects: LeaseEffects;
  limits: LeaseLimits;
  /** Whether what is free here is kept for somebody else who asked before. */
  yields: (ask: Ask) => boolean;
  /** Whether one more unit of the ask may be called for now. */
  mayCall: (ask: Ask) => boolean;
}

/** A demand knocks at full nodes only after it has waited this long, in milliseconds. */
const KNOCK_AFTER_MS = 100;
const MOST_REASONS = 4;
/** Of a node that is more than half full; see `rank`. */
const BUSY_SCORE = 1.5;
/** So many of the requests that would go to such a node look for one that is not heard of. */
const EXPLORED_SHARE = 0.25;
/** Nodes of which nothing is known but what they own are asked so many at a time. */
const MOST_PROBES = 3;

type Wait = Extract<Route, { to: "wait" }>;
const wait = (reason: string, why: Ask["waitsFor"] = "resources"): Wait => ({ to: "wait", for: why, reason });

export class Router {
  draining = false;
  holder: Holder | undefined;

  readonly #strangers: Strangers;

  constructor(private readonly parts: RouterParts) {
    this.#strangers = new Strangers(parts.node, parts.view, parts.effects);
  }

  /** Where one more unit of a demand goes now. Resources of this node are acquired if the answer is `here`. */
  route(ask: Ask): Route {
    if (ask.kind === "reserve") return this.local(ask);
    const scheduling = ask.shape.scheduling ?? { kind: "default" };
    if (scheduling.kind === "node") {
      const target = this.#affinity(ask, scheduling.node as NodeId, scheduling.soft);
      if (target !== undefined) return target;
    }
    if (scheduling.kind === "spread") return this.#spread(ask);
    if (scheduling.kind === "group") {
      const { node, view, groups, limits } = this.parts;
      return routeInGroup(ask, scheduling, {
        node,
        view,
        groups,
        unknownMs: limits.unknownNodeMs,
        local: (one) => this.local(one),
        waited: (one) => this.#waited(one),
        isRefused: (one, bid) => this.#isRefused(one, bid),
        knock: (one, bids) => this.#knock(one, bids),
      });
    }
    const near = this.#near(ask);
    if (near !== undefined) return near;
    const here = this.local(ask);
    return here.to === "wait" ? this.#remote(ask, here) : here;
  }

  /** This node only: acquires, or says why not. */
  local(ask: Ask): Extract<Route, { to: "here" | "wait" }> {
    const { bundles, book } = this.parts;
    const never = this.neverHere(ask);
    if (never !== undefined) return wait(never, "never");
    if (this.isHeldBack(ask)) return wait("lets a larger request, which has waited longer, go first");
    if (this.parts.yields(ask)) return wait("lets a request of another node, whose turn it is, go first");
    const crowded = book.crowded(ask);
    if (crowded !== undefined) return wait(crowded, "workers");
    const accounts = bundles.accountsFor(ask.shape.scheduling);
    for (const account of accounts) {
      const allocation = account.acquire(ask.need);
      if (allocation !== undefined) return { to: "here", allocation };
    }
    const missing = accounts[0]?.missing(ask.need) ?? "";
    return wait(missing || "needs GPUs of which enough are free, but not in one piece");
  }

  /** Whether `local` would find room, but for whose turn it is. Acquires nothing. */
  hasRoom(ask: Ask): boolean {
    const { bundles, book } = this.parts;
    if (!bundles.accountsFor(ask.shape.scheduling).some((one) => one.canAcquire(ask.need))) return false;
    return this.neverHere(ask) === undefined && !this.isHeldBack(ask) && book.crowded(ask) === undefined;
  }

  /** Why this node will not take it however long it waits. */
  neverHere(ask: Ask): string | undefined {
    const { bundles, labels } = this.parts;
    const { scheduling } = ask.shape;
    if (this.draining) return "this node is draining";
    const mismatch = ask.selector.mismatch(labels);
    if (mismatch !== undefined) return mismatch;
    const accounts = bundles.accountsFor(scheduling);
    if (accounts.some((account) => account.canEver(ask.need))) return undefined;
    if (scheduling?.kind === "group" && accounts.length === 0) {
      return `has no such bundle of placement group ${scheduling.group}`;
    }
    return accounts[0]?.missing(ask.need);
  }

  isHeldBack(ask: Ask): boolean {
    const { holder } = this;
    // In a bundle there is nothing that anybody else could wait for.
    if (ask.bound) return false;
    if (holder === undefined || holder.ask === ask || ask.priority > holder.ask.priority) return false;
    return holder.lacks.some((name) => ask.need.units(name) > 0);
  }

  /** This node's own bid, as others see it. */
  bid(): Bid {
    const { node, account, labels } = this.parts;
    const { available, total } = account;
    return {
      node,
      // Nobody is sent a message by it.
      agent: "" as ProcessId,
      available,
      total,
      labels,
      queued: 0,
      idleWorkers: 0,
      draining: this.draining,
      sequence: 0,
    };
  }

  /** Undefined: the affinity is soft and does not bind (any more). */
  #affinity(ask: Ask, target: NodeId, soft: boolean): Route | undefined {
    const { node, view, limits } = this.parts;
    const waited = this.#waited(ask);
    const fail = (why: string): Route | undefined =>
      soft
        ? undefined
        : {
            to: "fail",
            error: new UnschedulableError(
              `the request is bound to node ${target}, which ${why}; choose a node from nodes(), or use { node, soft: true }`,
              { detail: { node: target } },
            ),
          };
    if (target === node) {
      const here = this.local(ask);
      if (here.to === "wait" && here.for === "never") return fail(`can't take it: ${here.reason}`);
      return here.to === "here" || !soft || waited < limits.softAffinityMs ? here : undefined;
    }
    const bid = view.get(target) ?? this.#strangers.get(target);
    if (bid === undefined) {
      if (soft || view.isGone(target)) return fail("is dead");
      if (waited >= limits.unknownNodeMs) return fail("is not known in this cluster");
      return wait(`nothing was heard of node ${target} yet`);
    }
    const [ranked] = rank(ask.shape, [bid], this.parts.effects);
    if (ranked === undefined || ranked.fit === "never") return fail(`can't take it: ${ranked?.reason ?? ""}`);
    if (ranked.fit === "now" && !this.#isRefused(ask, bid)) return { to: "node", ...ranked };
    if (soft && waited >= limits.softAffinityMs) return undefined;
    return this.#knock(ask, [ranked]) ?? wait(`node ${target} ${ranked.reason}`);
  }

  /** Where its arguments lie, if there is room now or may be before they could have been fetched. */
  #near(ask: Ask): Route | undefined {
    if (ask.near.length === 0) return undefined;
    const { node, view } = this.parts;
    const busy: Ranked[] = [];
    for (const { node: target } of ask.near) {
      if (target === node) {
        const here = this.local(ask);
        if (here.to === "here") return here;
        continue;
      }
      const bid = view.get(target as NodeId) ?? this.#strangers.get(target as NodeId);
      const [ranked] = bid === undefined ? [] : rank(softened(ask), [bid], this.parts.effects);
      if (bid === undefined || ranked === undefined || ranked.fit === "never") continue;
      if (ranked.fit === "now" && !this.#isRefused(ask, bid)) return { to: "node", ...ranked };
      busy.push(ranked);
    }
    if (busy.length === 0 || this.#waited(ask) >= ask.nearMs) return undefined;
    return (
      this.#knock(ask, busy) ?? wait(`waits a moment for the nodes with its arguments: ${reasons(busy)}`)
    );
  }

  #spread(ask: Ask): Route {
    const here = this.bid();
    const ranked = rank(ask.shape, [here, ...this.#others()], this.parts.effects);
    let reason: Wait | undefined;
    for (const candidate of ranked) {
      if (candidate.fit !== "now") break;
      if (candidate.node !== here.node) {
        if (!this.#isRefusedAt(ask, candidate.node)) return { to: "node", ...candidate };
        continue;
      }
      const local = this.local(ask);
      if (local.to === "here") return local;
      reason = local;
    }
    return this.#unseen(ask) ?? this.#later(ask, ranked, reason);
  }

  #remote(ask: Ask, here: Wait): Route {
    const nodes = this.#others();
    if (nodes.length === 0 && !this.#strangers.some())
      return here.for === "never" ? wait(`no node can run it: ${here.reason}`, "never") : here;
    const { effects } = this.parts;
    const options = { random: () => effects.random(), localBytes: (at: NodeId) => ask.bytesAt(at) };
    const ranked = rank(softened(ask), nodes, options);
    const best = ranked.find((r) => r.fit === "now" && !this.#isRefusedAt(ask, r.node));
    if (best === undefined) return this.#unseen(ask) ?? this.#later(ask, ranked, here);
    // Where all that are heard of are busy, others may be less so; else the same few would be filled to the brim.
    const busy = best.score > BUSY_SCORE && ask.bytesAt(best.node) === 0;
    const other = busy && effects.random() < EXPLORED_SHARE ? this.#unseen(ask) : undefined;
    return other ?? { to: "node", node: best.node, agent: best.agent };
  }

  /** Nodes whose bids are not known here: by a call where one subject reaches just the right ones, else one by one. */
  #unseen(ask: Ask): Route | undefined {
    const { effects } = this.parts;
    if (!this.#strangers.some()) return undefined;
    const name = ask.callClass;
    if (name !== undefined && effects.call !== undefined) {
      const possible = this.#strangers.mayOwn(name);
      const due = effects.now() >= ask.callAfter && this.parts.mayCall(ask);
      return possible && due ? { to: "call", class: name } : undefined;
    }
    if (ask.asking.size >= MOST_PROBES) return undefined;
    const stranger = this.#strangers.pick(ask);
    return stranger && { to: "node", node: stranger.node, agent: stranger.agent };
  }

  #later(ask: Ask, ranked: Ranked[], here: Wait | undefined): Route {
    const possible = ranked.filter((r) => r.fit !== "never" && r.node !== this.parts.node);
    const knock = this.#knock(ask, possible);
    if (knock !== undefined) return knock;
    if (here !== undefined && here.for !== "never") return here;
    const unseen = this.#strangers.able(ask);
    if (possible.length > 0 || unseen > 0) {
      const busy = possible.length === 0 ? "" : reasons(possible);
      const others =
        unseen === 0
          ? ""
          : `${unseen} ${busy === "" ? "" : "more "}can run it: ${ask.callReason || "asked in turn"}`;
      return wait(`the nodes that can run it are busy: ${[busy, others].filter(Boolean).join("; ")}`);
    }
    const own = here === undefined ? "" : `node ${this.parts.node} ${here.reason}; `;
    return wait(`no node can run it: ${own}${reasons(ranked)}`.replace(/; $/, ""), "never");
  }

  /**
   * Asks a node that seems full, now and then: its bid may be old, and it learns that somebody waits. Where many nodes
   * are not heard of, one of them, ever more rarely: their news of room come by themselves.
   */
  #knock(ask: Ask, possible: readonly { node: NodeId; agent: ProcessId }[]): Route | undefined {
    const now = this.parts.effects.now();
    const { knockMs, mostKnockMs } = this.parts.limits;
    if (this.#waited(ask) < KNOCK_AFTER_MS || now - ask.knockedAt < knockMs) return undefined;
    const known = ask.nextOf(possible);
    const rare = Math.min(mostKnockMs, knockMs * 2 ** Math.min(ask.knocks, 10));
    const target = known ?? (now - ask.knockedAt < rare ? undefined : this.#strangers.pick(ask, true));
    if (target === undefined) return undefined;
    ask.knockedAt = now;
    if (known === undefined) ask.knocks++;
    else ask.knocked.add(known.node);
    return { to: "node", node: target.node, agent: target.agent };
  }

  /** This node may hear its own heartbeats. */
  #others(): Bid[] {
    return this.parts.view.nodes().filter((bid) => bid.node !== this.parts.node);
  }

  #isRefusedAt(ask: Ask, node: NodeId): boolean {
    if (!ask.refused.has(node)) return false;
    const bid = this.parts.view.get(node);
    return bid !== undefined && this.#isRefused(ask, bid);
  }

  #isRefused(ask: Ask, bid: Bid): boolean {
    return ask.isRefusedBy(bid.node, bid.sequence);
  }

  #waited(ask: Ask): number {
    return ask.waitingSince === undefined ? 0 : this.parts.effects.now() - ask.waitingSince;
  }
}

/** How much of a node's total is not held by reservations, which nobody can revoke. */
export function reachable(account: ResourceAccount, need: Resources, book: LeaseBook): boolean {
  const room = account.room();
  for (const lease of book.all()) {
    if (lease.ask.kind === "reserve" || lease.state.name === "blocked") continue;
    if (lease.allocation.account !== account) continue;
    room.add(lease.ask.need, lease.allocation.gpus);
  }
  return room.fits(need);
}

/** Soft affinity that does not bind any more is no affinity. */
function softened(ask: Ask): Ask["shape"] {
  return ask.shape.scheduling?.kind === "node" ? { ...ask.shape, scheduling: undefined } : ask.shape;
}

function reasons(ranked: readonly Ranked[]): string {
  const some = ranked.slice(0, MOST_REASONS).map((r) => `node ${r.node} ${r.reason}`);
  const more = ranked.length - some.length;
  return some.join("; ") + (more > 0 ? `; and ${more} more` : "");
}
