/**
 * Finds nodes for placement groups, in two phases: every chosen node reserves its bundles until a deadline, or refuses;
 * if all have, the row is written and what it names is the group's, else all is given back and planned again. A planner
 * that dies in between leaves reservations that end by their deadline, or a row that is true.
 */
import { planBundles, Resources, type Bid, type ClusterView } from "@stingray/scheduler";
import {
  UnschedulableError,
  encodeError,
  toError,
  type BundleReservation,
  type NodeId,
  type ProcessId,
} from "@stingray/protocol";
import type { GroupBook, GroupEntry } from "./group-book.js";
import { namesOf, planFor, requestOf, targetsOf, type Share, type Target } from "./group-plan.js";
import { GroupPause } from "./group-pause.js";

export interface Refusal {
  readonly reason: string;
  /** What the node has free, if it said so. */
  readonly available?: Record<string, number>;
}

export interface PlannerHooks {
  readonly agent: ProcessId;
  ownBid(): Bid;
  /** Undefined where it is reserved. Never rejects, and answers long before the reservation's deadline. */
  prepare(to: Target, reservation: BundleReservation): Promise<Refusal | undefined>;
  /** The row is written; have them look at it. */
  commit(to: Target, group: string, attempt: string): void;
  cancel(to: Target, group: string, attempt: string): void;
  failed(what: string, error: unknown): void;
}

/** Reservations end after this, in milliseconds; a row that would be written later than `COMMIT_WITHIN_MS` is not. */
const DEADLINE_MS = 5_000;
const COMMIT_WITHIN_MS = 3_500;
/** Between tries while nothing is heard that could change the outcome, in milliseconds; the first is the shortest of all. */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 500;
/** Whoever was refused rests at least so long at most, in milliseconds. */
const MOST_APART_MS = 200;
/** Of so many parts of an agent's time planning takes one: what else it has to do goes on. */
const PLANNING_SHARE = 10;
/** But no group rests longer than this for it, in milliseconds. */
const MOST_SHARE_MS = 5_000;
/** A wait shorter than this is not worth a write; reasons that change are written no more often than that. Milliseconds. */
const QUIET_MS = 200;
const RETELL_MS = 2_000;
/** New groups let those that lost bundles and could have them back go first, for so long. Milliseconds. */
const HEAD_START_MS = 1_500;

export class GroupPlanner {
  private readonly running = new Map<string, { entry: GroupEntry; abort: AbortController }>();
  /** Groups that have lost bundles, and since when there has been room for those. */
  private readonly mending = new Map<string, { since: number | undefined; lookAt: number }>();
  private attempts = 0;

  constructor(
    private readonly book: GroupBook,
    private readonly view: ClusterView,
    private readonly hooks: PlannerHooks,
  ) {}

  /** Begins to look for nodes, in the background. A later call for the same group replaces an earlier one. */
  plan(entry: GroupEntry): void {
    this.running.get(entry.key)?.abort.abort();
    const run = { entry, abort: new AbortController() };
    this.running.set(entry.key, run);
    this.search(entry.key, run.abort.signal)
      .catch((thrown: unknown) => this.hooks.failed(`find nodes for placement group ${entry.key}`, thrown))
      .finally(() => {
        run.abort.abort();
        if (this.running.get(entry.key) === run) this.running.delete(entry.key);
      });
  }

  isPlanning(group: string): boolean {
    return this.running.has(group);
  }

  rowChanged(group: string, now: GroupEntry | undefined): void {
    if (now?.value.state !== "RESCHEDULING") this.mending.delete(group);
    else if (!this.mending.has(group)) this.mending.set(group, { since: undefined, lookAt: 0 });
    const run = this.running.get(group);
    if (run !== undefined && !this.isMine(now)) run.abort.abort();
  }

  /** The job is over: no nodes are looked for any more but for its detached groups. */
  endJob(job: string): void {
    for (const { entry, abort } of this.running.values()) {
      if (entry.value.job === job && !entry.value.detached) abort.abort();
    }
  }

  stop(): void {
    for (const { abort } of this.running.values()) abort.abort();
  }

  private isMine(entry: GroupEntry | undefined): boolean {
    if (entry === undefined || entry.value.agent !== this.hooks.agent) return false;
    return entry.value.state === "PENDING" || entry.value.state === "RESCHEDULING";
  }

  private async search(group: string, signal: AbortSignal): Promise<void> {
    const began = performance.now();
    /** Nodes that refused, by the bid that they refused with. */
    const refused = new Map<NodeId, number>();
    let tellAt = began + QUIET_MS;
    let pause = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      const entry = this.book.get(group);
      if (entry === undefined || !this.isMine(entry)) return;
      const bids = this.bids();
      const own = (): Bid => this.hooks.ownBid();
      const rest = new GroupPause(this.view, { bids, names: namesOf(entry), refused, own });
      try {
        const { planned, reason } = await this.tryOnce(entry, bids, refused, signal);
        if (reason === undefined) {
          // All that was missing then is reserved; more may have been lost since.
          pause = FIRST_PAUSE_MS;
          continue;
        }
        if (performance.now() >= tellAt && !signal.aborted) {
          tellAt = performance.now() + RETELL_MS;
          const cause = encodeError(new UnschedulableError(reason));
          await this.book.apply(group, { kind: "waits", agent: this.hooks.agent, cause });
        }
        // Who was refused was in the way of others, as they were in its: they part by pauses that nothing shortens.
        const least = planned.asked ? Math.min(pause, MOST_APART_MS) : FIRST_PAUSE_MS;
        const share = Math.min(planned.ms * this.running.size * PLANNING_SHARE, MOST_SHARE_MS);
        const random = 0.5 + Math.random();
        await rest.over(Math.max(least, share) * random, Math.max(pause, share) * random, signal);
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      } finally {
        rest.close();
      }
    }
  }

  /** One try: why it was in vain, what it took of the agent's time, and whether nodes were asked. */
  private async tryOnce(
    entry: GroupEntry,
    bids: readonly Bid[],
    refused: Map<NodeId, number>,
    signal: AbortSignal,
  ): Promise<{ reason: string | undefined; planned: { ms: number; asked: boolean } }> {
    const began = performance.now();
    const waits = this.mustWait(entry, bids);
    const plan = waits === undefined ? planFor(entry, bids, refused) : { reason: waits };
    const ms = performance.now() - began;
    if ("reason" in plan) return { reason: plan.reason, planned: { ms, asked: false } };
    const reason = await this.reserve(entry, plan.nodes, bids, refused, signal);
    return { reason, planned: { ms, asked: true } };
  }

  /** Resources are scarce where nodes have died: who lost some was there first. */
  private mustWait({ value }: GroupEntry, bids: readonly Bid[]): string | undefined {
    if (value.state !== "PENDING") return undefined;
    let reason: string | undefined;
    for (const [group, before] of this.mending) {
      const now = performance.now();
      let { since } = before;
      // Each new group asks; for all of them it is looked at once in a while.
      if (now >= before.lookAt) {
        const lost = this.book.get(group)?.value;
        const hasRoom = lost !== undefined && planBundles(requestOf(lost), bids).kind === "placed";
        since = hasRoom ? (since ?? now) : undefined;
        const tookMs = performance.now() - now;
        const lookAt = now + Math.max(FIRST_PAUSE_MS, tookMs * this.mending.size * PLANNING_SHARE);
        this.mending.set(group, { since, lookAt });
      }
      if (since !== undefined && performance.now() - since < HEAD_START_MS) {
        reason = `it lets placement group ${group}, which lost bundles, go first`;
      }
    }
    return reason;
  }

  private bids(): Bid[] {
    const own = this.hooks.ownBid();
    return [own, ...this.view.candidates(own.node)];
  }

  /** Undefined when what was missing is reserved and written down, else why not. */
  private async reserve(
    { key: group, value }: GroupEntry,
    nodes: readonly NodeId[],
    bids: readonly Bid[],
    refused: Map<NodeId, number>,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const chosen = new Map<number, NodeId>();
    for (const [index, node] of nodes.entries()) if (value.nodes[index] === "") chosen.set(index, node);
    const attempt = `${this.hooks.agent}.${++this.attempts}`;
    const targets = targetsOf(chosen, bids);
    const started = performance.now();
    const refusals = await this.prepareAll(value, attempt, targets);
    for (const [node, sequence] of refusals.nodes) refused.set(node, sequence);
    const late = performance.now() - started > COMMIT_WITHIN_MS;
    let written = false;
    try {
      if (refusals.reason !== undefined) return refusals.reason;
      if (signal.aborted) return "it was given up";
      if (late) return "the nodes took too long to answer";
      const event = { kind: "placed", agent: this.hooks.agent, nodes: chosen } as const;
      written = (await this.book.apply(group, event)) !== undefined;
      return written ? undefined : "its row has changed";
    } finally {
      for (const { to } of targets) {
        if (written) this.hooks.commit(to, group, attempt);
        else this.hooks.cancel(to, group, attempt);
      }
    }
  }

  /** Asks all nodes at the same time. */
  private async prepareAll(
    { group, job, detached, bundles }: GroupEntry["value"],
    attempt: string,
    targets: readonly Share[],
  ): Promise<{ nodes: Map<NodeId, number>; reason: string | undefined }> {
    const nodes = new Map<NodeId, number>();
    let reason: string | undefined;
    const ask = async ({ to, sequence, indices }: Share): Promise<void> => {
      const wanted = indices.map((index) => ({ index, resources: bundles[index] ?? {} }));
      for (const { resources } of wanted) this.view.charge(to.node, Resources.from(resources));
      const reservation = { group, job, detached, attempt, bundles: wanted, deadlineMs: DEADLINE_MS };
      const refusal = await this.hooks
        .prepare(to, reservation)
        .catch((thrown: unknown): Refusal => ({ reason: toError(thrown).message }));
      if (refusal === undefined) return;
      nodes.set(to.node, sequence);
      reason ??= `node ${to.node} refused: ${refusal.reason}`;
      if (refusal.available !== undefined)
        this.view.observeFree(to.node, refusal.available, performance.now());
    };
    await Promise.all(targets.map(ask));
    return { nodes, reason };
  }
}
