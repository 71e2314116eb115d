/** What the lease scheduler asks of its agent, and what it is asked for. */
import type {
  ExitReport,
  JobId,
  NodeId,
  PendingNotice,
  ProcessId,
  Shape,
  StingrayError,
} from "@stingray/protocol";
import type { Allocation } from "./account.js";
import type { LeaseState } from "./lease-state.js";
import type { TrailEntry } from "./trail.js";
import type { Bid } from "./view.js";

/** Someone could use `want` more leases of a shape. `key` is the submitter's own name of the shape. */
export interface Demand {
  submitter: ProcessId;
  submitterNode?: NodeId | undefined;
  job: JobId;
  key: string;
  shape: Shape;
  want: number;
  /** How many leases of this key had reached the submitter when it said so. Default: all that were given. */
  got?: number | undefined;
}

/** A demand that another agent could not serve itself: `count` leases, to be granted now or refused. */
export interface OfferedDemand extends Omit<Demand, "want" | "got"> {
  count: number;
  /** Whose offer it is; it need not be told of itself. */
  askerNode?: NodeId | undefined;
}

/** The answer to an offer. */
export interface OfferAnswer {
  granted: number;
  /** What was granted, where the shape is to be spread. */
  leases?: string[] | undefined;
  reason?: string | undefined;
  /** Of the node that answers, after what it granted. */
  bid: Bid;
}

/** The answer to a call, of the one agent that heard it. */
export interface CallAnswer extends OfferAnswer {
  /** What another node granted to which it was passed on. */
  passed?: { node: NodeId; granted: number; leases?: string[] | undefined } | undefined;
  /** Nodes to try next. */
  others?: Bid[] | undefined;
}

/**
 * What becomes of a worker without leases.
 *
 * - `reuse`: it may serve others
 * - `retire`: it had GPUs, or has run as many calls as it may; it ends when nothing would be lost with it
 * - `end`: its holder says that it is of no use any more
 * - `kill`: nobody wants what it runs
 */
export type WorkerFate = "reuse" | "retire" | "end" | "kill";

/**
 * What the scheduler does to the world. None of them may throw, except `acquireWorker` and `offer`, which reject.
 * Only `submitter`s of demands and offers are ever named; reservations are answered through their promise.
 */
export interface LeaseEffects {
  /** An idle or new worker, bound to job and environment. Rejects with a StingrayError, and must settle in the end. */
  acquireWorker(q: { job: JobId; shape: Shape }): Promise<ProcessId>;
  /** The worker holds no lease any more. */
  releaseWorker(worker: ProcessId, fate: WorkerFate): void;
  /** How many processes without a lease stay for objects that they own. Default: none. */
  keptWorkers?(): number;
  /** Tells the worker of a lease on it, before the grant goes out. */
  assign(
    worker: ProcessId,
    lease: string,
    submitter: ProcessId,
    resources: Record<string, number>,
    gpus: number[],
  ): void;
  grant(g: { submitter: ProcessId; key: string; lease: string; worker: ProcessId }): void;
  /**
   * Only for shapes that are to be spread, at the node of the demand: a lease, here or elsewhere, will be granted when
   * it has a worker; or (`coming` false) won't after all. While a node is asked, a made up name stands for the lease.
   * For all shapes, with `promised`, at another node: one that was promised to the agent of the submitter won't come.
   */
  coming(c: {
    submitter: ProcessId;
    key: string;
    lease: string;
    coming: boolean;
    promised?: boolean | undefined;
  }): void;
  revoke(submitter: ProcessId, lease: string): void;
  /**
   * No worker of this shape can be had; the demand is dropped. With `part`: just not here, where so many leases were
   * promised to another node, whose demand stays.
   */
  fail(submitter: ProcessId, key: string, error: StingrayError, part?: number): void;
  /** Still waiting, and why; `notice` says whether the user should hear of it. */
  pending(submitter: ProcessId, key: string, reason: string, notice: PendingNotice): void;
  /** The worker of a granted lease ended. */
  lost(submitter: ProcessId, lease: string, worker: ProcessId, report: ExitReport): void;
  /** Asks another node to grant `count` leases straight to the submitter. A rejection counts as a refusal. */
  offer(to: { node: NodeId; agent: ProcessId }, demand: Demand, count: number): Promise<OfferAnswer>;
  /**
   * Asks whoever has some of a resource class free; `nobody` where nobody has. A rejection counts as a refusal.
   * Without it other nodes are only found by their bids.
   */
  call?(resourceClass: string, demand: Demand, count: number): Promise<CallAnswer | "nobody">;
  /** The resource classes that demands wait for have changed. */
  waiting?(classes: ReadonlySet<string>): void;
  /** The books may have changed: what is free, what waits. */
  settled?(): void;
  /** Milliseconds; never goes back. */
  now(): number;
  /** Calls `fn` once after `ms`; returns what cancels it. */
  defer(ms: number, fn: () => void): () => void;
  /** From 0 (inclusive) to 1 (exclusive). */
  random(): number;
}

/** Numbers to be tuned. Times in milliseconds. */
export interface LeaseLimits {
  /** Workers found or started at once. Default: CPUs, at least 1. */
  maxStarting: number;
  /** Workers with leases that are not blocked. Actors don't count. Default: 16 per CPU, at least 64. */
  maxWorkers: number;
  /** Workers beyond these, all of whose leases are blocked. Default: as `maxWorkers`. */
  maxBlockedWorkers: number;
  /**
   * Workers from which on a lease goes to a worker all of whose tasks wait, before another process is started. Such
   * tasks share an event loop and a fate with those that they wait for: a last resort for deep nesting.
   * Default: 4 per CPU, at least 8.
   */
  joinAbove: number;
  /**
   * The same for tasks that should have a process of their own (a time limit, `maxRetries: 0`, `maxCalls`), and for
   * joining them. Default: 8 per CPU, at least 16.
   */
  joinAloneAbove: number;
  /** A lease is left to its holder for so long before it may be revoked for others. Default 100. */
  revokeAfterMs: number;
  /** A demand waits for so long before leases are revoked for it. Default 50. */
  waitBeforeRevokeMs: number;
  /** After this a demand's submitter is told why it waits, for those who ask it. Default 250. */
  noteMs: number;
  /** When a demand that no node can ever serve is reported. Default 3,000. */
  infeasibleNoticeMs: number;
  /** When, and how often, a demand that waits for busy nodes is reported. Default 30,000. */
  busyNoticeMs: number;
  /** How long soft affinity waits for its node while that is busy. Default 1,000. */
  softAffinityMs: number;
  /** How long hard affinity waits for a node nobody has heard of. Default 2,000. */
  unknownNodeMs: number;
  /** After this a waiting demand may keep smaller ones from taking what it needs, for growing intervals. Default 500. */
  starvationMs: number;
  /** How long an offer may go unanswered. Default 10,000. */
  offerTimeoutMs: number;
  /** How often a waiting demand asks a node that seems full. Default 1,000. */
  knockMs: number;
  /** A demand that goes on waiting knocks ever more rarely, at least so often. Default 5,000. */
  mostKnockMs: number;
  /** How long a node remembers a refused offer, and revokes leases for it. Default 3,000. */
  claimMs: number;
  /** How long what is free is kept for such a node, so that it may ask again. Default 300. */
  claimRoomMs: number;
  /** How long a remote grant may take to reach the submitter; if the node dies before, it is asked for again. Default 35,000. */
  promiseMs: number;
}

/** The limits for a node with so many CPUs. */
export function defaultLimits(cpus: number, given: Partial<LeaseLimits> = {}): LeaseLimits {
  const whole = Math.max(1, Math.ceil(cpus));
  const maxWorkers = given.maxWorkers ?? Math.max(64, 16 * whole);
  return {
    maxStarting: whole,
    maxBlockedWorkers: maxWorkers,
    joinAbove: Math.min(maxWorkers, Math.max(8, 4 * whole)),
    joinAloneAbove: Math.min(maxWorkers, Math.max(16, 8 * whole)),
    revokeAfterMs: 100,
    waitBeforeRevokeMs: 50,
    noteMs: 250,
    infeasibleNoticeMs: 3_000,
    busyNoticeMs: 30_000,
    softAffinityMs: 1_000,
    unknownNodeMs: 2_000,
    starvationMs: 500,
    offerTimeoutMs: 10_000,
    knockMs: 1_000,
    mostKnockMs: 5_000,
    claimMs: 3_000,
    claimRoomMs: 300,
    promiseMs: 35_000,
    ...given,
    maxWorkers,
  };
}

/** What an actor is to be hosted with. */
export interface ReserveRequest {
  job: JobId;
  shape: Shape;
  /** For people, in errors: `actor Counter (a1…)`. */
  what: string;
  signal?: AbortSignal | undefined;
}

/** Resources of this node and a worker of one's own. */
export interface Reservation {
  /** Its name in `blocked` and `unblocked`. */
  readonly lease: string;
  readonly worker: ProcessId;
  readonly allocation: Allocation;
  /** Gives all back. `usable` (default false): the worker may serve others. A second time changes nothing. */
  release(usable?: boolean): void;
  /** Keeps only these resources. @throws InvalidArgumentError when that is more than there is. */
  shrinkTo(resources: Record<string, number>): void;
}

/** The state of the scheduler, for people and tests. */
export interface LeaseSnapshot {
  draining: boolean;
  leases: {
    lease: string;
    kind: "task" | "reservation";
    job: JobId;
    submitter: string;
    key: string;
    worker: ProcessId | undefined;
    state: LeaseState["name"];
    resources: Record<string, number>;
    gpus: number[];
  }[];
  /** Workers without a lease that keep what they have until they are gone. */
  ending: { worker: ProcessId; resources: Record<string, number>; cpuYielded: boolean }[];
  /** Demands and reservations that are not served in full. */
  demands: {
    submitter: string;
    key: string;
    job: JobId;
    shape: Shape;
    want: number;
    waitingMs: number;
    reason: string;
    /** What has to come: resources that are in use, fewer workers, or (`never`) another node. Undefined: it is under way. */
    waitsFor: "resources" | "workers" | "never" | undefined;
    /** Of reservations: whom it is for, as in `ReserveRequest.what`. */
    what: string | undefined;
    /** What was tried last, oldest first. */
    trail: TrailEntry[];
  }[];
  workers: { busy: number; blocked: number; reserved: number; starting: number };
}
