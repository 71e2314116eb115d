/** The rounds in which everything that is asked for is served: in whose turn, from where, and at whose cost. */
import { UnschedulableError, toError, type NodeId, type ProcessId } from "@stingray/protocol";
import type { ResourceAccount } from "./account.js";
import type { Ask } from "./ask.js";
import type { BundleBook } from "./bundle-book.js";
import { Calls } from "./calls.js";
import { Claims } from "./claims.js";
import { FairQueue } from "./fair-queue.js";
import type { GroupLookup } from "./group-route.js";
import { LeaseBook } from "./lease-book.js";
import { tellWaiting } from "./notices.js";
import { Offers } from "./offers.js";
import { leasesToRevoke } from "./revoker.js";
import { Router, type Route } from "./router.js";
import { starving } from "./starvation.js";
import type { LeaseEffects, LeaseLimits } from "./types.js";
import type { ClusterView, ViewChange } from "./view.js";
import { Waker } from "./waker.js";

export interface EngineParts {
  node: NodeId;
  labels: Record<string, string>;
  account: ResourceAccount;
  bundles: BundleBook;
  groups: GroupLookup;
  view: ClusterView;
  effects: LeaseEffects;
  limits: LeaseLimits;
}

const nameOf = (process: ProcessId, key: string): string => `${process}/${key}`;

/** Owns the asks and the leases. `run` after anything changed; it is cheap when nothing can be done. */
export class Engine {
  readonly book: LeaseBook;
  readonly router: Router;
  readonly claims: Claims;
  readonly asks: FairQueue;
  readonly #demands = new Map<string, Ask>();
  readonly #offers: Offers;
  readonly #calls: Calls;
  readonly #waker: Waker;
  #waiting: ReadonlySet<string> = new Set();
  #running = false;
  #again = false;
  #stopped = false;

  constructor(private readonly parts: EngineParts) {
    const { node, view, effects, limits } = parts;
    const run = (): void => this.run();
    this.book = new LeaseBook(node, effects, limits, run);
    this.#calls = new Calls(node, view, effects, limits, run);
    this.router = new Router({
      ...parts,
      book: this.book,
      yields: (ask) => this.#yields(ask),
      mayCall: (ask) => this.#calls.hasRoom(ask),
    });
    this.asks = new FairQueue(this.book.shares);
    this.claims = new Claims(limits.claimMs, limits.claimRoomMs);
    this.#offers = new Offers(node, view, effects, limits, run);
    this.#waker = new Waker(effects, run);
  }

  demandOf(process: ProcessId, key: string): Ask | undefined {
    return this.#demands.get(nameOf(process, key));
  }

  /** The ask is served from the next run on. */
  add(ask: Ask): void {
    if (ask.process !== undefined) this.#demands.set(nameOf(ask.process, ask.key), ask);
    this.asks.add(ask);
  }

  /** Takes an ask out of the books and ends what was begun for it. What it was granted stays. */
  close(ask: Ask): void {
    if (ask.closed) return;
    ask.closed = true;
    if (ask.process !== undefined && this.demandOf(ask.process, ask.key) === ask) {
      this.#demands.delete(nameOf(ask.process, ask.key));
    }
    this.asks.delete(ask);
    this.book.trim(ask, 0);
  }

  viewChanged(change: ViewChange): void {
    if (change.kind === "gone") {
      for (const ask of this.asks) ask.nodeGone(change.node);
      this.#offers.nodeGone(change.node);
    }
    // Most of what is heard of other nodes is of no use: nothing is waiting to go there.
    if (change.kind === "gone" || this.#isAnyOpen()) this.run();
  }

  /** Serves what can be served. What arises meanwhile is served by the same run. */
  run(): void {
    this.#again = true;
    if (this.#running || this.#stopped) return;
    this.#running = true;
    try {
      while (this.#again) {
        this.#again = false;
        this.#round();
      }
    } finally {
      this.#running = false;
    }
    this.#offers.flush();
    this.#calls.flush();
    this.schedule();
  }

  /** Many changes, and one run after them. */
  batch(change: () => void): void {
    if (this.#running) {
      this.#again = true;
      return change();
    }
    this.#running = true;
    try {
      change();
    } finally {
      this.#running = false;
    }
    this.run();
  }

  /** Sets the timer for what only time can change, and forgets demands that are served in full. */
  schedule(): void {
    if (this.#stopped) return;
    const now = this.parts.effects.now();
    let waits = this.claims.live(now).length > 0;
    let promises = false;
    for (const ask of this.asks) {
      if (ask.prune(now, this.parts.limits.promiseMs)) promises = true;
      if (ask.want > ask.starting + ask.offered) waits = true;
      else if (ask.isServed()) this.close(ask);
    }
    this.#tellWaiting();
    this.parts.effects.settled?.();
    this.#waker.set(waits ? (this.book.hasHeld() ? "soon" : "later") : promises ? "someday" : "never");
  }

  /** Room was found at a node. True if something is asked of it now. */
  roomAt(node: NodeId): boolean {
    this.run();
    return this.#offers.lastSentTo.has(node);
  }

  /** Calls for the class again, also where the last one found nobody. */
  callAgain(resourceClass: string): void {
    for (const ask of this.asks) if (ask.callClass === resourceClass) ask.callAfter = -Infinity;
    this.run();
  }

  #isAnyOpen(): boolean {
    for (const ask of this.asks) if (ask.open > 0) return true;
    return false;
  }

  #tellWaiting(): void {
    if (this.parts.effects.waiting === undefined) return;
    const classes = new Set<string>();
    for (const ask of this.asks) {
      if (ask.kind === "demand" && ask.waitingSince !== undefined && ask.waitClass !== undefined)
        classes.add(ask.waitClass);
    }
    if (classes.size === this.#waiting.size && [...classes].every((name) => this.#waiting.has(name))) return;
    this.#waiting = classes;
    this.parts.effects.waiting(classes);
  }

  stop(): void {
    this.#stopped = true;
    this.#waker.stop();
  }

  #round(): void {
    const now = this.parts.effects.now();
    this.parts.bundles.settle();
    const isOpen = (ask: Ask): boolean => ask.open > 0;
    this.#chooseHolder(isOpen, now);
    this.asks.serve(isOpen, (ask) => this.#serve(ask));
    const waiting: Ask[] = [];
    for (const ask of this.asks) {
      if (isOpen(ask)) {
        ask.waitingSince ??= now;
        waiting.push(ask);
      } else if (ask.want <= ask.starting) {
        ask.waitingSince = undefined;
      }
    }
    tellWaiting(waiting, now, this.parts.limits, this.parts.effects);
    this.#revoke(waiting, now);
  }

  /** Who has starved goes first, and what it lacks is kept for it. */
  #chooseHolder(isOpen: (ask: Ask) => boolean, now: number): void {
    const { account, limits } = this.parts;
    const candidates = [...this.asks].filter(
      (ask) => isOpen(ask) && !ask.bound && this.router.neverHere(ask) === undefined,
    );
    const ask = starving(candidates, now, limits.starvationMs, account, this.book);
    this.router.holder = ask && { ask, lacks: account.room().lacks(ask.need) };
    if (ask !== undefined) this.#serve(ask);
  }

  /** What is free is kept for a claim of another node that comes first by priority or share. */
  #yields(ask: Ask): boolean {
    if (ask.bound || this.claims.size === 0) return false;
    return this.claims.precedes(ask, {
      fits: (claim) => this.router.hasRoom(claim),
      now: this.parts.effects.now(),
      goesFirst: (claim, other) => this.asks.goesFirst(claim, other),
    });
  }

  /** An offer was refused for want of room. */
  refused(ask: Ask, waitsFor: Ask["waitsFor"], from: NodeId | undefined): void {
    const { account, effects } = this.parts;
    this.claims.refused(ask, { waitsFor, now: effects.now(), free: account.free, from });
  }

  /** Nodes that were refused and may ask again, in the order in which they would be served. */
  invitations(): Set<NodeId> {
    const { account, effects } = this.parts;
    return this.claims.invite({
      free: account.free,
      fits: (claim) => this.router.hasRoom(claim),
      now: effects.now(),
      goesFirst: (a, b) => this.asks.goesFirst(a, b),
    });
  }

  /** One unit of an ask. False when it has to wait. What can't be dealt with fails alone: the others are served. */
  #serve(ask: Ask): boolean {
    let route: Route;
    try {
      route = this.router.route(ask);
    } catch (thrown) {
      const cause = toError(thrown);
      const error = new UnschedulableError(`no place could be chosen for the request: ${cause.message}`, {
        cause,
      });
      route = { to: "fail", error };
    }
    if (route.to === "here") {
      ask.waitingSince = undefined;
      ask.told = undefined;
      ask.trail.add(this.parts.effects.now(), "local", "has room");
      this.book.begin(ask, route.allocation);
      return true;
    }
    if (route.to === "node") {
      this.#offers.add(ask, route.node, route.agent);
      return true;
    }
    if (route.to === "call") {
      this.#calls.add(ask, route.class);
      return true;
    }
    if (route.to === "fail") {
      ask.owner.failed(route.error);
      return false;
    }
    ask.waitsFor = route.for;
    ask.reason = route.reason;
    ask.trail.add(this.parts.effects.now(), "local", route.reason);
    return false;
  }

  #revoke(waiting: readonly Ask[], now: number): void {
    const { bundles, limits } = this.parts;
    const long = [...waiting, ...this.claims.live(now)].filter(
      (ask) =>
        ask.waitingSince !== undefined &&
        now - ask.waitingSince >= limits.waitBeforeRevokeMs &&
        this.router.neverHere(ask) === undefined,
    );
    if (long.length === 0) return;
    long.sort((a, b) => b.priority - a.priority || (a.waitingSince ?? 0) - (b.waitingSince ?? 0));
    const pools = new Map<string, Ask[]>();
    for (const ask of long) pools.set(poolOf(ask), [...(pools.get(poolOf(ask)) ?? []), ask]);
    for (const asks of pools.values()) {
      const accounts = bundles.accountsFor(asks[0]?.shape.scheduling);
      // Of workers there are too many on the node, whatever they run in.
      const all = asks.some((ask) => ask.waitsFor === "workers");
      const leases = leasesToRevoke({
        waiting: asks,
        leases: [...this.book.all()].filter(({ allocation }) => all || accounts.includes(allocation.account)),
        accounts,
        now,
        minAgeMs: limits.revokeAfterMs,
      });
      for (const lease of leases) this.book.revoke(lease);
    }
  }
}

/** Those that compete for the same resources of this node. */
function poolOf({ shape: { scheduling } }: Ask): string {
  return scheduling?.kind === "group" ? `${scheduling.group}/${scheduling.bundle}` : "";
}
