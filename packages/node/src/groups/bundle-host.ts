/**
 * The bundles on this node, kept in step with the rows of their groups: what a row names is kept, what it does not is
 * given back, and what it names but is not here is reserved again or reported as lost.
 */
import type { Bundle, BundleBook } from "@stingray/scheduler";
import {
  UnschedulableError,
  encodeError,
  type BundleReservation,
  type NodeId,
  type ProcessId,
  type SchedulingSpec,
} from "@stingray/protocol";
import type { GroupBook, GroupEntry } from "./group-book.js";
import { describeGroup } from "./group-machine.js";

export interface BundleHostHooks {
  readonly agent: ProcessId;
  readonly node: NodeId;
  /** Nothing begins in these bundles any more, or, if not `forGood`, nothing here. Returns the workers to be ended. */
  close(concerns: (bundle: Bundle) => boolean, reason: string, forGood: boolean): ProcessId[];
  /** `forGood`: an actor on it does not come back elsewhere. */
  killWorker(worker: ProcessId, reason: string, forGood: boolean): void;
  /** Whether the worker is one of this job, whose end it has a time of its own for. */
  worksFor(worker: ProcessId, job: string): boolean;
  /** Another place is to be found for what was lost. */
  plan(entry: GroupEntry): void;
  /** What is free here has changed. */
  changed(): void;
  isOver(job: string): boolean;
  /** The node takes on nothing new: it is about to leave. */
  isDraining(): boolean;
  failed(what: string, error: unknown): void;
}

/** How often it is looked for bundles that nobody uses any more, while the node drains. Milliseconds. */
const DRAIN_LOOK_MS = 100;

export class BundleHost {
  private readonly timers = new Set<NodeJS.Timeout>();
  private draining: NodeJS.Timeout | undefined;
  /** Groups whose bundles are being given up. */
  private readonly leaving = new Set<string>();
  /** Rows that are being read because somebody wants to use the bundles. */
  private readonly looking = new Map<string, Promise<void>>();

  constructor(
    private readonly bundles: BundleBook,
    private readonly book: GroupBook,
    private readonly hooks: BundleHostHooks,
  ) {}

  /** Reserves all or nothing, until the deadline. Undefined where it did, else why not. */
  prepare(reservation: BundleReservation): string | undefined {
    const { group, job, detached, attempt, deadlineMs } = reservation;
    if (!detached && this.hooks.isOver(job)) return `job ${job} is over`;
    if (this.hooks.isDraining()) return "it is draining";
    const answer = this.bundles.prepare(reservation);
    if (!answer.reserved) return answer.reason;
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.expired(group, attempt).catch((thrown: unknown) =>
        this.hooks.failed(`look at placement group ${group}`, thrown),
      );
    }, deadlineMs).unref();
    this.timers.add(timer);
    this.hooks.changed();
    return undefined;
  }

  /** The row was written, its planner says. Whether it names this node, the row tells. */
  async commit(group: string): Promise<void> {
    await this.book.fetch(group);
    // What was fetched may be older by now than what the watch has told.
    const newest = this.book.get(group);
    if (newest !== undefined) this.rowChanged(group, newest);
  }

  /**
   * Before something begins in a group's bundles. Where some are only prepared, whoever sends work for them has seen a
   * row that we have not: it is looked at first. Undefined where nothing has to be awaited. Never rejects.
   */
  beforeUse(scheduling: SchedulingSpec | undefined): Promise<void> | undefined {
    if (scheduling?.kind !== "group") return undefined;
    const { group } = scheduling;
    if (!this.bundles.of(group).some(({ state }) => state === "prepared")) return undefined;
    let looking = this.looking.get(group);
    if (looking === undefined) {
      looking = this.look(group).finally(() => this.looking.delete(group));
      this.looking.set(group, looking);
    }
    return looking;
  }

  /** What was only prepared by this attempt is given back. */
  cancel(group: string, attempt: string): void {
    this.close(
      (bundle) => bundle.group === group && bundle.attempt === attempt && bundle.state === "prepared",
      "the reservation was cancelled",
    );
  }

  /** The newest row of a group; undefined: it was removed. */
  rowChanged(group: string, now: GroupEntry | undefined): void {
    const row = now?.value;
    if (row === undefined || row.state === "REMOVED") {
      const why = row?.cause?.message ?? "its row is gone, as when its job is over";
      this.close(
        (bundle) => bundle.group === group && (row !== undefined || bundle.state === "committed"),
        `placement group ${group} was removed: ${why}`,
        true,
      );
      return;
    }
    const { node } = this.hooks;
    for (const bundle of this.bundles.of(group)) {
      if (row.nodes[bundle.index] === node) this.bundles.commit(group, bundle.attempt);
    }
    this.close(
      (bundle) => bundle.group === group && bundle.state === "committed" && row.nodes[bundle.index] !== node,
      `its bundle of ${describeGroup(row)} was given up here`,
    );
    const missing = row.nodes.flatMap((at, index) =>
      at === node && this.bundles.find(group, index) === undefined ? [index] : [],
    );
    if (missing.length > 0 && now !== undefined) this.restore(now, missing);
  }

  /** The node is leaving: bundles are given up as soon as nothing runs in them, so that they come back elsewhere. */
  drain(): void {
    this.draining ??= setInterval(() => this.giveUpIdle(), DRAIN_LOOK_MS).unref();
  }

  /** The job is over: its bundles go, unless their group is detached. */
  endJob(job: string): void {
    this.close(
      (bundle) => bundle.job === job && !bundle.detached,
      `its placement group ended with job ${job}`,
      true,
      (worker) => this.hooks.worksFor(worker, job),
    );
  }

  stop(): void {
    clearInterval(this.draining);
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }

  /** The row says that these are here, and they are not: their reservation was too old when it was written. */
  private restore({ key: group, value }: GroupEntry, missing: readonly number[]): void {
    const { node, agent } = this.hooks;
    if (!value.detached && this.hooks.isOver(value.job)) return;
    const attempt = `${agent}.restored.${missing.join(".")}`;
    const reserved = this.bundles.prepare({
      group,
      job: value.job,
      detached: value.detached,
      attempt,
      bundles: missing.map((index) => ({ index, resources: value.bundles[index] ?? {} })),
      deadlineMs: 0,
    });
    if (reserved.reserved) {
      this.bundles.commit(group, attempt);
      this.hooks.changed();
      return;
    }
    void this.lose(group, missing, `node ${node} no longer has room for its bundles: ${reserved.reason}`);
  }

  private giveUpIdle(): void {
    const groups = new Set(this.bundles.all().map(({ group }) => group));
    for (const group of groups) {
      const row = this.book.get(group)?.value;
      const here = this.bundles.of(group).filter(({ state }) => state === "committed");
      const idle = here.filter(({ account }) => !account.inUse);
      // What must be on one node goes as a whole.
      if (idle.length === 0 || (row?.strategy === "STRICT_PACK" && idle.length < here.length)) continue;
      if (this.leaving.has(group)) continue;
      this.leaving.add(group);
      const indices = idle.map(({ index }) => index);
      void this.lose(group, indices, `node ${this.hooks.node}, where its bundles were, is draining`).finally(
        () => this.leaving.delete(group),
      );
    }
  }

  /** Writes down that these bundles have no place here, and has another one found. Never rejects. */
  private async lose(group: string, indices: readonly number[], why: string): Promise<void> {
    const { node, agent } = this.hooks;
    const cause = encodeError(new UnschedulableError(why));
    const isLost = (at: string, index: number): boolean => at === node && indices.includes(index);
    try {
      const entry = await this.book.apply(group, { kind: "lost", agent, isLost, cause });
      if (entry !== undefined) this.hooks.plan(entry);
    } catch (thrown) {
      this.hooks.failed(`write down what placement group ${group} has lost`, thrown);
    }
  }

  private async expired(group: string, attempt: string): Promise<void> {
    if (!this.bundles.of(group).some((b) => b.attempt === attempt && b.state === "prepared")) return;
    // Its planner may be dead, and have written the row before.
    await this.look(group);
    this.cancel(group, attempt);
  }

  private look(group: string): Promise<void> {
    return this.commit(group).catch((thrown: unknown) =>
      this.hooks.failed(`read the row of placement group ${group}`, thrown),
    );
  }

  private close(
    concerns: (bundle: Bundle) => boolean,
    reason: string,
    forGood = false,
    isSpared: (worker: ProcessId) => boolean = () => false,
  ): void {
    if (!this.bundles.all().some((bundle) => bundle.state !== "closing" && concerns(bundle))) return;
    for (const worker of this.hooks.close(concerns, reason, forGood)) {
      if (!isSpared(worker)) this.hooks.killWorker(worker, reason, forGood);
    }
    this.hooks.changed();
  }
}
