/** The agent's scheduler: the face of it. Pure logic; the world is behind `LeaseEffects`. */
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
import type { Ask } from "./ask.js";
import { BadStarts } from "./bad-starts.js";
import { BundleBook, BundleLostError, type Bundle } from "./bundle-book.js";
import { Engine } from "./engine.js";
import type { GroupLookup } from "./group-route.js";
import type { Lease } from "./lease-book.js";
import { isMuchBetter, nodesWithRoom } from "./pass-on.js";
import { pendingReservation, type PendingReservation } from "./reservations.js";
import { leasesToShed } from "./shedding.js";
import { demandsOf, snapshotOf } from "./snapshot.js";
import { submitterAsk } from "./submitter-asks.js";
import {
  defaultLimits,
  type CallAnswer,
  type Demand,
  type LeaseEffects,
  type LeaseLimits,
  type LeaseSnapshot,
  type OfferAnswer,
  type OfferedDemand,
  type Reservation,
  type ReserveRequest,
} from "./types.js";
import type { Bid, ClusterView } from "./view.js";

/** More is never taken in at once: whoever wants more leases than that says so again. */
const MOST_WANTED = 1_000;

export interface LeaseSchedulerOptions {
  node: NodeId;
  labels: Record<string, string>;
  account: ResourceAccount;
  /** Bundles of placement groups on this node. Default: none, for good. */
  bundles?: BundleBook;
  /** What is known of placement groups. Default: nothing. */
  groups?: GroupLookup;
  view: ClusterView;
  effects: LeaseEffects;
  limits?: Partial<LeaseLimits>;
  /** This node's bid as it is told to others. Default: without its sequence, so that it is never taken for a newer one. */
  bid?: () => Bid;
}

/**
 * Serves demands for leases from this node's resources and, where these don't fit, from other nodes. Every method
 * may be called at any time, repeated and late messages have no effect, and none throws on what a submitter sent.
 */
export class LeaseScheduler {
  readonly #o: LeaseSchedulerOptions;
  readonly #engine: Engine;
  readonly #bundles: BundleBook;
  readonly #unsubscribe: () => void;
  /** Resources whose totals were changed since the start. Without such a change nothing is asked back for them. */
  readonly #changed = new Set<string>();
  readonly #badStarts = new BadStarts();
  #reservations = 0;

  constructor(o: LeaseSchedulerOptions) {
    this.#o = o;
    const limits = defaultLimits(o.account.total["CPU"] ?? 0, o.limits);
    this.#bundles = o.bundles ?? new BundleBook(o.account);
    const groups = o.groups ?? (() => ({ kind: "unknown" }) as const);
    this.#engine = new Engine({ ...o, bundles: this.#bundles, groups, limits });
    this.#unsubscribe = o.view.onChange((change) => this.#engine.viewChanged(change));
  }

  /** Sets the level of a demand. The same level again changes nothing; 0 withdraws it. */
  demand(said: Demand): void {
    const d = { ...said, want: Math.min(said.want, MOST_WANTED) };
    const known = this.#engine.demandOf(d.submitter, d.key);
    this.#engine.batch(() => {
      if (d.want > 0 && known !== undefined && known.job === d.job && known.sameShape(d.shape)) {
        known.level(d.want, d.got);
        this.#engine.book.trim(known, known.want);
      } else {
        if (known !== undefined) this.#engine.close(known);
        if (d.want > 0) this.#open(d);
      }
    });
  }

  /** An offer of another agent: grants what can be granted from free resources now, which are reserved at once. */
  offered(d: OfferedDemand): OfferAnswer {
    const { effects } = this.#o;
    const refuse = (reason: string): OfferAnswer => ({ granted: 0, reason, bid: this.#bid() });
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
    const bad = ask.isFixed ? undefined : this.#badStarts.reason(ask.env, effects.now());
    if (bad !== undefined) return refuse(bad);
    const leases: string[] = [];
    const most = Math.min(d.count, MOST_WANTED);
    let reason: string | undefined;
    while (leases.length < most) {
      const route = this.#engine.router.local(ask);
      if (route.to === "wait") {
        reason = route.reason;
        if (leases.length === 0 && route.for !== "never") this.#engine.refused(ask, route.for, d.askerNode);
        break;
      }
      leases.push(this.#engine.book.begin(ask, route.allocation));
    }
    const granted = leases.length;
    if (granted > 0) {
      this.#engine.claims.served(ask, effects.now());
      this.#engine.asks.noteServed(ask);
    }
    this.#engine.schedule();
    return {
      granted,
      ...(scheduling?.kind === "spread" ? { leases } : {}),
      ...(reason === undefined ? {} : { reason }),
      bid: this.#bid(),
    };
  }

  /**
   * A call that came here because this node has some of what it needs: grants what it can; of the rest, names the
   * nodes that have room by their bids, best first (`better`: all of it should go to the first of them).
   */
  called(d: OfferedDemand): { answer: CallAnswer; better: Bid[] } {
    const better = nodesWithRoom(d, this.#o);
    const keep = !isMuchBetter(d, this.#engine.router.bid(), better[0], this.#o.effects);
    const answer = keep ? this.offered(d) : this.offered({ ...d, count: 0 });
    return { answer, better };
  }

  /** A node says that it has room: something that waits may be asked of it. True if something is. */
  roomAt(bid: Bid): boolean {
    this.#o.view.observe(bid, this.#o.effects.now());
    return this.#engine.roomAt(bid.node);
  }

  /** Nodes that were refused for want of room, and for which there is some now. Each is named once per refusal. */
  invitations(): Set<NodeId> {
    return this.draining ? new Set() : this.#engine.invitations();
  }

  /** Whoever waits for this class calls again at once. */
  callAgain(resourceClass: string): void {
    this.#engine.callAgain(resourceClass);
  }

  /**
   * Resources and a worker of this node for an actor; waits its turn among the demands, for as long as `signal` lets.
   * @throws UnschedulableError when this node can never hold it or is draining, InvalidOptionError for a bad shape,
   *   what `acquireWorker` rejected with, and the reason of `signal`.
   */
  async reserve(q: ReserveRequest): Promise<Reservation> {
    q.signal?.throwIfAborted();
    const { ask, wait } = this.#reservation(q);
    const never = this.#engine.router.neverHere(ask);
    if (never !== undefined) throw this.#unplaceable(q.what, never);
    const promise = wait();
    this.#engine.add(ask);
    this.#engine.run();
    return promise;
  }

  /** As `reserve` if there is room at once, else undefined. */
  reserveNow(q: ReserveRequest): Promise<Reservation> | undefined {
    if (q.signal?.aborted === true) return undefined;
    const { ask, wait } = this.#reservation(q);
    const route = this.#engine.router.local(ask);
    if (route.to === "wait") return undefined;
    const promise = wait();
    this.#engine.book.begin(ask, route.allocation);
    this.#engine.schedule();
    return promise;
  }

  /** The holder gives a lease back. `usable`: its worker may serve others. Unknown leases are no error. */
  returned(lease: string, usable: boolean): void {
    const known = this.#engine.book.get(lease);
    if (known !== undefined && known.ask.kind !== "reserve") this.#engine.book.end(known, "returned", usable);
  }

  /** Every task of the lease awaits `get`: its CPUs are lent out. Also for reservations. */
  blocked(lease: string): void {
    const known = this.#engine.book.get(lease);
    if (known !== undefined) this.#engine.book.block(known);
  }

  /** The lease goes on; its CPUs are its own again at once. */
  unblocked(lease: string): void {
    const known = this.#engine.book.get(lease);
    if (known !== undefined) this.#engine.book.unblock(known);
  }

  /** The worker has run as many calls as it may: it gets no new leases, and ends when those that it has are over. */
  workerRetired(worker: ProcessId): void {
    this.#engine.book.retire(worker);
  }

  /** A worker that was to end stays for a while: others need what it owns. What it had of GPUs goes to others. */
  workerKept(worker: ProcessId): void {
    this.#engine.book.kept(worker);
  }

  /** The process of a worker has ended: its leases are lost, and their holders told. */
  workerExited(worker: ProcessId, report: ExitReport): void {
    this.#engine.batch(() => {
      for (const lease of this.#engine.book.exited(worker)) {
        const { process } = lease.ask;
        if (!this.#engine.book.end(lease, "lost", false) || process === undefined) continue;
        this.#o.effects.lost(process, lease.id, worker, report);
      }
    });
  }

  /** A submitter is dead: its demands are dropped and its leases end with their workers, which may be in mid-task. */
  submitterGone(process: ProcessId): void {
    this.#drop((ask) => ask.process === process);
  }

  /** As `submitterGone` for all of a job. Reservations stay: their actors may be detached, and have an owner here. */
  jobEnded(job: JobId): void {
    this.#drop((ask) => ask.job === job && ask.kind !== "reserve");
  }

  /**
   * Resources were added to the account or taken from it.
   * @param name of the one whose total was changed: what is in use beyond it is asked back
   */
  capacityChanged(name?: string): void {
    const { book } = this.#engine;
    if (name !== undefined) {
      this.#changed.add(name);
      for (const lease of leasesToShed([...book.all()], this.#o.account, name)) book.takeBack(lease);
    }
    this.#engine.run();
  }

  /**
   * Gives up bundles: nothing begins in them any more, leases without a worker end, and their resources return when the
   * last worker in them is gone. Returns the workers that are to be ended.
   * @param forGood whether the bundles end everywhere; else reservations fail with a `BundleLostError`
   */
  closeBundles(concerns: (bundle: Bundle) => boolean, why: string, forGood = true): ProcessId[] {
    const accounts = new Set(this.#bundles.close(concerns).map(({ account }) => account));
    const workers = new Set<ProcessId>();
    this.#engine.batch(() => {
      for (const lease of this.#engine.book.all()) {
        if (!accounts.has(lease.allocation.account)) continue;
        if (lease.worker !== undefined) workers.add(lease.worker);
        else {
          if (lease.ask.kind === "reserve") {
            const error = this.#unplaceable(lease.ask.key, why);
            const { message, detail } = error;
            lease.ask.owner.failed(forGood ? error : new BundleLostError(message, { detail }));
          }
          this.#engine.book.end(lease, "withdrawn", true);
        }
      }
    });
    return [...workers];
  }

  /** Whether it grants nothing here any more. */
  get draining(): boolean {
    return this.#engine.router.draining;
  }

  /** Demands and reservations that are not served in full. */
  get waiting(): number {
    return this.#engine.asks.size;
  }

  /** Grants nothing here any more, asks all leases back, and serves demands from other nodes only. */
  drain(): void {
    this.#engine.router.draining = true;
    this.#engine.book.leaving = true;
    this.#engine.batch(() => {
      for (const ask of this.#engine.asks) {
        if (ask.kind !== "reserve") this.#engine.book.trim(ask, 0);
        else ask.owner.failed(this.#unplaceable(ask.key, "this node is draining"));
      }
      for (const lease of this.#engine.book.all()) this.#engine.book.revoke(lease);
    });
  }

  /** Stops all timers, listens to nothing any more and fails the reservations that wait. For the end of the agent. */
  close(): void {
    for (const ask of this.#engine.asks) {
      if (ask.kind === "reserve") ask.owner.failed(this.#unplaceable(ask.key, "its agent is stopping"));
    }
    this.#unsubscribe();
    this.#engine.stop();
  }

  snapshot(): LeaseSnapshot {
    const draining = this.#engine.router.draining;
    return snapshotOf(draining, this.#engine.book, this.#engine.asks, this.#o.effects.now());
  }

  /** What waits, as in `snapshot()`, but without the rest of it. */
  pending(): LeaseSnapshot["demands"] {
    return demandsOf(this.#engine.asks, this.#o.effects.now());
  }

  /** It began before the node had less, and its worker came after. */
  #isTooMuch(lease: Lease): boolean {
    const { account } = this.#o;
    return [...this.#changed].some((name) => leasesToShed([lease], account, name).length > 0);
  }

  #bid(): Bid {
    return this.#o.bid?.() ?? this.#engine.router.bid();
  }

  #open(d: Demand): void {
    let ask: Ask;
    try {
      ask = this.#askOf("demand", d, d.want, d.got);
    } catch (thrown) {
      const cause = toError(thrown);
      const error = cause instanceof StingrayError ? cause : new StingrayError(cause.message, { cause });
      this.#o.effects.fail(d.submitter, d.key, error);
      return;
    }
    this.#engine.add(ask);
  }

  #askOf(kind: "demand" | "offer", d: Omit<Demand, "want" | "got">, want: number, got?: number): Ask {
    return submitterAsk(
      kind,
      d,
      { want, got },
      {
        effects: this.#o.effects,
        badStarts: this.#badStarts,
        close: (ask) => this.#engine.close(ask),
        // It was promised before; whoever has it now asks for another.
        granted: (lease) => {
          if (this.draining || this.#isTooMuch(lease)) this.#engine.book.revoke(lease);
        },
      },
    );
  }

  #reservation(q: ReserveRequest): PendingReservation {
    const key = `${q.what} #${++this.#reservations}`;
    return pendingReservation(q, key, this.#engine.book, (ask) => this.#engine.close(ask));
  }

  #unplaceable(what: string, why: string): UnschedulableError {
    return new UnschedulableError(
      `node ${this.#o.node} can't host ${what}: ${why}; place it on another node`,
      { detail: { node: this.#o.node } },
    );
  }

  #drop(concerns: (ask: Ask) => boolean): void {
    this.#engine.batch(() => {
      for (const ask of this.#engine.asks) if (concerns(ask)) this.#engine.close(ask);
      this.#engine.claims.drop(concerns);
      for (const lease of this.#engine.book.all()) {
        if (concerns(lease.ask)) this.#engine.book.end(lease, "gone", false);
      }
    });
  }
}
