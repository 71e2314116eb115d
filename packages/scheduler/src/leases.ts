/** The agent's scheduler: who asks for what, and who gets it next. Pure logic; the world is behind `LeaseEffects`. */
import {
  StingrayError,
  UnschedulableError,
  toError,
  type ExitReport,
  type JobId,
  type NodeId,
  type ProcessId,
} from "@stingray/protocol";
import type { ResourceAccount } from "./account.js";
import { Ask, type AskOwner } from "./ask.js";
import { Claims } from "./claims.js";
import { FairQueue } from "./fair-queue.js";
import { LeaseBook, type Lease } from "./lease-book.js";
import { tellWaiting } from "./notices.js";
import { Offers } from "./offers.js";
import { pendingReservation } from "./reservations.js";
import { leasesToRevoke } from "./revoker.js";
import { Router } from "./router.js";
import { snapshotOf } from "./snapshot.js";
import { starving } from "./starvation.js";
import {
  defaultLimits,
  type Demand,
  type LeaseEffects,
  type LeaseLimits,
  type LeaseSnapshot,
  type OfferAnswer,
  type OfferedDemand,
  type Reservation,
  type ReserveRequest,
} from "./types.js";
import type { ClusterView } from "./view.js";
import { Waker } from "./waker.js";

export interface LeaseSchedulerOptions {
  node: NodeId;
  labels: Record<string, string>;
  account: ResourceAccount;
  view: ClusterView;
  effects: LeaseEffects;
  limits?: Partial<LeaseLimits>;
}

/**
 * Serves demands for leases from this node's resources and, where these don't fit, from other nodes. Every method
 * may be called at any time, repeated and late messages have no effect, and none throws on what a submitter sent.
 */
export class LeaseScheduler {
  readonly #o: LeaseSchedulerOptions;
  readonly #limits: LeaseLimits;
  readonly #demands = new Map<string, Ask>();
  readonly #queue = new FairQueue();
  readonly #book: LeaseBook;
  readonly #router: Router;
  readonly #offers: Offers;
  readonly #claims: Claims;
  readonly #waker: Waker;
  readonly #unsubscribe: () => void;
  #running = false;
  #again = false;
  #closed = false;
  #reservations = 0;

  constructor(o: LeaseSchedulerOptions) {
    this.#o = o;
    const { node, account, view, effects } = o;
    const limits = defaultLimits(account.total["CPU"] ?? 0, o.limits);
    this.#limits = limits;
    const run = (): void => this.#run();
    this.#book = new LeaseBook(node, account, effects, limits, run);
    this.#router = new Router({ ...o, book: this.#book, limits });
    this.#offers = new Offers(node, view, effects, limits, run);
    this.#claims = new Claims(limits.claimMs);
    this.#waker = new Waker(effects, run);
    this.#unsubscribe = view.onChange((change) => {
      if (change.kind === "gone") {
        for (const ask of this.#demands.values()) ask.nodeGone(change.node);
        this.#offers.nodeGone(change.node);
      }
      this.#run();
    });
  }

  /** Sets the level of a demand. The same level again changes nothing; 0 withdraws it. */
  demand(d: Demand): void {
    const name = `${d.submitter}/${d.key}`;
    const known = this.#demands.get(name);
    if (d.want > 0 && known !== undefined && known.job === d.job && known.sameShape(d.shape)) {
      known.level(d.want);
      this.#book.trim(known, known.want);
    } else {
      if (known !== undefined) this.#close(known);
      if (d.want > 0) this.#open(name, d);
    }
    this.#run();
  }

  /** An offer of another agent: grants what can be granted from free resources now, which are reserved at once. */
  offered(d: OfferedDemand): OfferAnswer {
    const { account, effects } = this.#o;
    const refuse = (reason: string): OfferAnswer => ({ granted: 0, reason, available: account.available });
    let ask: Ask;
    try {
      ask = this.#askOf("offer", d, d.count);
    } catch (thrown) {
      return refuse(toError(thrown).message);
    }
    const scheduling = d.shape.scheduling;
    if (scheduling?.kind === "node" && !scheduling.soft && scheduling.node !== this.#o.node) {
      return refuse(`wants node ${scheduling.node}, this is ${this.#o.node}`);
    }
    let granted = 0;
    let reason: string | undefined;
    while (granted < d.count) {
      const route = this.#router.local(ask);
      if (route.to === "wait") {
        reason = route.reason;
        if (granted === 0 && route.for !== "never") this.#claims.refused(ask, route.for, effects.now());
        break;
      }
      granted++;
      this.#book.begin(ask, route.allocation);
    }
    if (granted > 0) this.#claims.served(ask);
    this.#schedule();
    return { granted, ...(reason === undefined ? {} : { reason }), available: account.available };
  }

  /**
   * Resources and a worker of this node for an actor; waits its turn among the demands, for as long as `signal` lets.
   * @throws UnschedulableError when this node can never hold it or is draining, InvalidOptionError for a bad shape,
   *   what `acquireWorker` rejected with, and the reason of `signal`.
   */
  async reserve(q: ReserveRequest): Promise<Reservation> {
    q.signal?.throwIfAborted();
    const { ask, promise } = this.#reservation(q);
    const never = this.#router.neverHere(ask);
    if (never !== undefined) throw this.#unplaceable(q.what, never);
    this.#queue.add(ask);
    this.#run();
    return promise;
  }

  /** As `reserve` if there is room at once, else undefined. */
  reserveNow(q: ReserveRequest): Promise<Reservation> | undefined {
    if (q.signal?.aborted === true) return undefined;
    const { ask, promise } = this.#reservation(q);
    const route = this.#router.local(ask);
    if (route.to === "wait") return undefined;
    this.#book.begin(ask, route.allocation);
    this.#schedule();
    return promise;
  }

  /** The holder gives a lease back. `usable`: its worker may serve others. Unknown leases are no error. */
  returned(lease: string, usable: boolean): void {
    const known = this.#book.get(lease);
    if (known !== undefined && known.ask.kind !== "reserve") this.#book.end(known, "returned", usable);
  }

  /** Every task of the lease awaits `get`: its CPUs are lent out. Also for reservations. */
  blocked(lease: string): void {
    const known = this.#book.get(lease);
    if (known !== undefined) this.#book.block(known);
  }

  /** The lease goes on; its CPUs are its own again at once. */
  unblocked(lease: string): void {
    const known = this.#book.get(lease);
    if (known !== undefined) this.#book.unblock(known);
  }

  /** The process of a worker has ended: its leases are lost, and their holders told. */
  workerExited(worker: ProcessId, report: ExitReport): void {
    for (const lease of this.#book.workers.exited(worker)) {
      const { kind, submitter } = lease.ask;
      if (!this.#book.end(lease, "lost", false) || kind === "reserve") continue;
      this.#o.effects.lost(submitter as ProcessId, lease.id, worker, report);
    }
    this.#run();
  }

  /** A submitter is dead: its demands are dropped and its leases end with their workers, which may be in mid-task. */
  submitterGone(process: ProcessId): void {
    this.#drop((ask) => ask.submitter === process);
  }

  /** As `submitterGone` for all of a job. Reservations stay: their actors may be detached, and have an owner here. */
  jobEnded(job: JobId): void {
    this.#drop((ask) => ask.job === job && ask.kind !== "reserve");
  }

  /** Resources were added or taken from the account. */
  capacityChanged(): void {
    this.#run();
  }

  /** Grants nothing here any more, asks all leases back, and serves demands from other nodes only. */
  drain(): void {
    this.#router.draining = true;
    for (const ask of this.#queue) {
      if (ask.kind !== "reserve") this.#book.trim(ask, 0);
      else ask.owner.failed(this.#unplaceable(ask.key, "this node is draining"));
    }
    for (const lease of this.#book.all()) this.#book.revoke(lease);
    this.#run();
  }

  /** Stops all timers and listens to nothing any more. For the end of the agent. */
  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#waker.stop();
  }

  snapshot(): LeaseSnapshot {
    const draining = this.#router.draining;
    return snapshotOf(draining, this.#book, this.#queue, this.#o.effects.now());
  }

  #open(name: string, d: Demand): void {
    let ask: Ask;
    try {
      ask = this.#askOf("demand", d, d.want);
    } catch (thrown) {
      const cause = toError(thrown);
      const error = cause instanceof StingrayError ? cause : new StingrayError(cause.message, { cause });
      this.#o.effects.fail(d.submitter, d.key, error);
      return;
    }
    this.#demands.set(name, ask);
    this.#queue.add(ask);
  }

  #askOf(kind: "demand" | "offer", d: Omit<Demand, "want">, want: number): Ask {
    const { submitter, job, key, shape } = d;
    const { effects } = this.#o;
    const owner: AskOwner = {
      granted: (lease) => {
        const { worker, allocation } = lease;
        if (worker === undefined) return;
        effects.assign(worker, lease.id, submitter, allocation.resources, [...allocation.gpus]);
        effects.grant({ submitter, key, lease: lease.id, worker });
      },
      failed: (error) => {
        this.#close(ask);
        effects.fail(submitter, key, error);
      },
    };
    const ask = new Ask({ kind, job, submitter, key, shape, want, owner });
    return ask;
  }

  #reservation(q: ReserveRequest): ReturnType<typeof pendingReservation> {
    const key = `${q.what} #${++this.#reservations}`;
    return pendingReservation(q, key, this.#o.account, this.#book, (ask) => this.#close(ask));
  }

  #unplaceable(what: string, why: string): UnschedulableError {
    return new UnschedulableError(
      `node ${this.#o.node} can't host ${what}: ${why}; place it on another node`,
      { detail: { node: this.#o.node } },
    );
  }

  /** Takes an ask out of the books and ends what was begun for it. What it was granted stays. */
  #close(ask: Ask): void {
    if (ask.closed) return;
    ask.closed = true;
    const name = `${ask.submitter}/${ask.key}`;
    if (this.#demands.get(name) === ask) this.#demands.delete(name);
    this.#queue.delete(ask);
    this.#book.trim(ask, 0);
  }

  #drop(concerns: (ask: Ask) => boolean): void {
    for (const ask of this.#demands.values()) if (concerns(ask)) this.#close(ask);
    this.#claims.drop(concerns);
    for (const lease of [...this.#book.all()]) {
      if (concerns(lease.ask)) this.#book.end(lease, "gone", false);
    }
    this.#run();
  }

  #isOpen(ask: Ask): boolean {
    return ask.open(this.#o.effects.now(), this.#limits.promiseHoldMs) > 0;
  }

  /** Serves what can be served. What arises meanwhile is served by the same run. */
  #run(): void {
    this.#again = true;
    if (this.#running || this.#closed) return;
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
    this.#schedule();
  }

  #round(): void {
    const { account } = this.#o;
    const now = this.#o.effects.now();
    const isOpen = (ask: Ask): boolean => this.#isOpen(ask);
    const holder = starving(
      this.#queue,
      isOpen,
      now,
      this.#limits.starvationMs,
      account,
      this.#book,
      (ask) => this.#router.neverHere(ask) === undefined,
    );
    this.#router.holder = holder && { ask: holder, lacks: account.free.lacks(holder.need) };
    if (holder !== undefined) this.#serve(holder);
    this.#queue.serve(isOpen, (ask) => this.#serve(ask));
    const waiting: Ask[] = [];
    for (const ask of this.#queue) {
      if (isOpen(ask)) {
        ask.waitingSince ??= now;
        waiting.push(ask);
      } else if (ask.want <= ask.starting) {
        ask.waitingSince = undefined;
      }
    }
    tellWaiting(waiting, now, this.#limits, this.#o.effects);
    this.#revoke(waiting, now);
  }

  /** One unit of an ask. False when it has to wait. */
  #serve(ask: Ask): boolean {
    const route = this.#router.route(ask);
    switch (route.to) {
      case "here":
        ask.waitingSince = undefined;
        ask.told = undefined;
        this.#book.begin(ask, route.allocation);
        return true;
      case "node":
        this.#offers.add(ask, route.node, route.agent);
        return true;
      case "fail":
        ask.owner.failed(route.error);
        return false;
      case "wait":
        ask.waitsFor = route.for;
        ask.reason = route.reason;
        return false;
    }
  }

  #revoke(waiting: readonly Ask[], now: number): void {
    const { revokeAfterMs, waitBeforeRevokeMs } = this.#limits;
    const long = [...waiting, ...this.#claims.live(now)].filter(
      (ask) =>
        ask.waitingSince !== undefined &&
        now - ask.waitingSince >= waitBeforeRevokeMs &&
        this.#router.neverHere(ask) === undefined,
    );
    if (long.length === 0) return;
    long.sort((a, b) => b.priority - a.priority || (a.waitingSince ?? 0) - (b.waitingSince ?? 0));
    const leases = leasesToRevoke({
      waiting: long,
      leases: this.#book.all(),
      free: this.#o.account.free,
      now,
      minAgeMs: revokeAfterMs,
    });
    for (const lease of leases) this.#book.revoke(lease);
  }

  /** Sets the timer for what only time can change. */
  #schedule(): void {
    if (this.#closed) return;
    const now = this.#o.effects.now();
    let waits = this.#claims.live(now).length > 0;
    let promises = false;
    for (const ask of this.#queue) {
      if (ask.prune(now, this.#limits.promiseMs)) promises = true;
      if (ask.want > ask.starting + ask.offered) waits = true;
    }
    this.#forgetServed();
    this.#waker.set(waits ? (this.#hasHeld() ? "soon" : "later") : promises ? "someday" : "never");
  }

  #hasHeld(): boolean {
    for (const lease of this.#book.all()) if (isHeld(lease)) return true;
    return false;
  }

  /** A demand that was served in full stays while grants of other nodes are on their way, then goes. */
  #forgetServed(): void {
    for (const ask of this.#demands.values()) if (ask.isServed()) this.#close(ask);
  }
}

const isHeld = (lease: Lease): boolean => lease.state.name === "held" && lease.ask.kind !== "reserve";
