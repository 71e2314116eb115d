/** One thing that is asked for: a demand of a submitter here, an offer of another node, or a reservation. */
import type { JobId, NodeId, PendingNotice, ProcessId, Shape, StingrayError } from "@stingray/protocol";
import { Resources } from "./amounts.js";
import { GivenLeases } from "./given.js";
import { LabelSelector } from "./labels.js";
import { callClass, classesNeeded } from "./classes.js";
import type { Lease } from "./lease-book.js";
import { Trail } from "./trail.js";

/** A busy node with its arguments is waited for no shorter, and no longer. Milliseconds. */
const LEAST_NEAR_MS = 100;
const MOST_NEAR_MS = 1_000;
/** Bytes that come from another node in a millisecond, as it is with many readers. */
const FETCHED_PER_MS = 200_000;
const RESERVATIONS = "reservations";

/** Who is told what became of it. */
export interface AskOwner {
  granted(lease: Lease): void;
  /** The lease has a place and will be granted (true), or won't after all (false). */
  coming?(lease: string, coming: boolean): void;
  failed(error: StingrayError): void;
}

export interface AskOptions {
  kind: "demand" | "offer" | "reserve";
  job: JobId;
  /** The submitting process; undefined for reservations, which share a lane per job. */
  process: ProcessId | undefined;
  key: string;
  shape: Shape;
  want: number;
  /** Leases of this key that had reached the submitter when it asked. Default 0. */
  got?: number | undefined;
  owner: AskOwner;
  /** Of reservations: whom it is for. */
  what?: string | undefined;
}

/**
 * The books of one ask. `want` is a level; of it, `starting` have resources here already and `offered` are being
 * asked of other nodes.
 */
export class Ask {
  readonly kind: AskOptions["kind"];
  readonly job: JobId;
  readonly process: ProcessId | undefined;
  /** Whose turn it takes: the process, or the lane of reservations. */
  readonly submitter: string;
  readonly key: string;
  readonly shape: Shape;
  readonly what: string | undefined;
  readonly owner: AskOwner;
  readonly need: Resources;
  readonly selector: LabelSelector;
  /** Job and runtime environment: workers of the same `env` can stand in for each other. */
  readonly env: string;
  readonly priority: number;
  /** The class by whose subject it can be called; undefined where no single subject reaches just the right nodes. */
  readonly callClass: string | undefined;
  /** The class whose news of room it listens to while it waits; undefined where it is bound to one node. */
  readonly waitClass: string | undefined;
  /** It can't go to any node that has room. */
  readonly isFixed: boolean;
  /** Nodes where its arguments lie, most bytes first. */
  readonly near: readonly { readonly node: string; readonly bytes: number }[];
  /** How long it waits for them when they are busy: about as long as fetching takes. Milliseconds. */
  readonly nearMs: number;
  want: number;
  starting = 0;
  offered = 0;
  closed = false;
  /** Since when something of it waits, in milliseconds. */
  waitingSince: number | undefined;
  /** Why it waits; `never`: no node could serve it, `workers`: there are too many. */
  waitsFor: "resources" | "workers" | "never" = "resources";
  reason = "";
  /** When and of what the submitter was last told. */
  told: { at: number; notice: PendingNotice; reason: string } | undefined;
  /** When it last asked a node that seemed full, and how often since something was granted. */
  knockedAt = -Infinity;
  /** The nodes at which it knocked since it did so at all of them. */
  readonly knocked = new Set<NodeId>();
  knocks = 0;
  /** Calls in a row that did not find all that was wanted; and before when none is to be made again. */
  callMisses = 0;
  callAfter = -Infinity;
  /** What the last call came back with. */
  callReason = "";
  readonly trail = new Trail();
  /** Bids of nodes that refused it: not asked again before their next one. */
  readonly refused = new Map<NodeId, number>();
  /** Nodes that have an offer of it. */
  readonly asking = new Set<NodeId>();
  readonly #given: GivenLeases;

  /** @throws InvalidOptionError for bad amounts or selectors. */
  constructor(o: AskOptions) {
    this.kind = o.kind;
    this.job = o.job;
    this.process = o.process;
    this.submitter = o.process ?? RESERVATIONS;
    this.key = o.key;
    this.shape = o.shape;
    this.what = o.what;
    this.owner = o.owner;
    this.want = o.want;
    this.#given = new GivenLeases(o.got ?? 0);
    this.need = Resources.from(o.shape.resources);
    this.selector = new LabelSelector(o.shape.labels);
    this.env = envKey(o.job, o.shape);
    this.priority = o.shape.priority ?? 0;
    this.callClass = callClass(o.shape);
    // The rarest, where there are several: custom resources, then GPUs.
    const needed = classesNeeded(o.shape);
    const place = o.shape.scheduling;
    this.isFixed = place?.kind === "group" || (place?.kind === "node" && !place.soft);
    this.waitClass = this.isFixed ? undefined : (needed.find((name) => name.startsWith("r:")) ?? needed[0]);
    this.near = Object.entries(o.shape.near ?? {})
      .map(([node, bytes]) => ({ node, bytes }))
      .toSorted((a, b) => b.bytes - a.bytes);
    const most = this.near[0]?.bytes ?? 0;
    this.nearMs = Math.max(LEAST_NEAR_MS, Math.min(MOST_NEAR_MS, most / FETCHED_PER_MS));
  }

  /** A node promised some of it: those that waited long may be asked soon again. */
  moved(): void {
    this.knocks = this.callMisses = 0;
    this.callAfter = -Infinity;
  }

  /** Bound to a placement group: it takes from a bundle of that, and nothing else of a node. */
  get bound(): boolean {
    return this.group !== undefined;
  }

  /** The placement group that it is bound to. */
  get group(): string | undefined {
    const { scheduling } = this.shape;
    return scheduling?.kind === "group" ? scheduling.group : undefined;
  }

  /** How many are neither granted nor under way. */
  get open(): number {
    return this.closed ? 0 : Math.max(0, this.want - this.starting - this.offered);
  }

  /** The submitter said its level again, and how many leases of this key have reached it; what it can't know is off. */
  level(want: number, got: number | undefined): void {
    this.#given.seen(got, this.offered);
    this.want = Math.max(0, want - this.#given.unseen);
  }

  /** One of it was granted here. */
  granted(now: number): void {
    this.want = Math.max(0, this.want - 1);
    if (this.kind === "demand") this.#given.here(now);
  }

  /** Another node will grant so many of it straight to the submitter. */
  promised(node: NodeId, count: number, now: number, leases: readonly string[] = []): void {
    this.want = Math.max(0, this.want - this.#given.elsewhere(node, count, now, leases));
    this.waitingSince = undefined;
    this.moved();
    this.told = undefined;
    for (const lease of leases) this.owner.coming?.(lease, true);
  }

  /** The node is dead: what it promised and may not have granted is wanted again. */
  nodeGone(node: NodeId): void {
    this.refused.delete(node);
    const { again, leases } = this.#given.nodeGone(node);
    this.want += again;
    for (const lease of leases) this.owner.coming?.(lease, false);
  }

  /**
   * Whether the node has refused it since it bid this (`sequence`). Guesses of what a node has are numbered below zero:
   * what it said while its bids were known says nothing of a time when they are not.
   */
  isRefusedBy(node: NodeId, sequence: number): boolean {
    const at = this.refused.get(node);
    return at !== undefined && at >= sequence && (at < 0 || sequence >= 0);
  }

  /** Bytes of its arguments that lie at a node. */
  bytesAt(node: NodeId): number {
    return this.shape.near?.[node] ?? 0;
  }

  /** Where to knock: at each in turn, so that all learn that it waits. */
  nextOf<T extends { node: NodeId }>(nodes: readonly T[]): T | undefined {
    const next = nodes.find(({ node }) => !this.knocked.has(node));
    if (next === undefined) this.knocked.clear();
    return next ?? nodes[0];
  }

  /** Forgets promises that must have arrived. True while some are left. */
  prune(now: number, promiseMs: number): boolean {
    return this.#given.prune(now, promiseMs);
  }

  /** Nothing of it is left to do, here or on its way from another node. */
  isServed(): boolean {
    return this.want === 0 && this.starting === 0 && this.offered === 0 && !this.#given.isRemote;
  }

  /** The same shape for all purposes? */
  sameShape(shape: Shape): boolean {
    return this.shape === shape || JSON.stringify(this.shape) === JSON.stringify(shape);
  }
}

function envKey(job: JobId, shape: Shape): string {
  const env = shape.runtimeEnv;
  if (env === undefined) return job;
  const vars = Object.entries(env.envVars ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([job, vars, env.workingDir, env.execArgv, env.setup]);
}
