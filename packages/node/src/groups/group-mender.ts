/** The part of the controller that looks after placement groups: lost bundles, dead planners, old rows. */
import type { JobRow, NodeRow, TableCache } from "@stingray/gcs-kv";
import { WorkerCrashedError, encodeError } from "@stingray/protocol";
import type { GroupBook, GroupEntry } from "./group-book.js";
import type { GroupDirectory } from "./group-directory.js";

export interface MenderHooks {
  readonly agent: string;
  plan(entry: GroupEntry): void;
  /** Go on with a group whose planner is gone. Never rejects. */
  adopt(entry: GroupEntry): Promise<void>;
}

/** What the controller knows in one of its rounds. */
export interface Round {
  /** Process ids of the agents that live. */
  readonly living: ReadonlySet<string>;
  /** Whether the condition of this name has been told for `ms` milliseconds, in every round. */
  lasts(condition: string, ms: number): boolean;
  readonly signal: AbortSignal;
}

/** A row that is not there may just not have reached us yet: so long it has to be missing, in milliseconds. */
const MISSING_MS = 5_000;
/** Removed groups are kept for those who ask why. Milliseconds. */
const KEEP_REMOVED_MS = 60_000;

export class GroupMender {
  constructor(
    private readonly book: GroupBook,
    private readonly directory: GroupDirectory,
    private readonly nodes: TableCache<NodeRow>,
    private readonly jobs: TableCache<JobRow>,
    private readonly hooks: MenderHooks,
  ) {}

  async round(round: Round): Promise<void> {
    for (const entry of this.book.entries()) {
      if (round.signal.aborted) return;
      await this.mend(entry, round);
    }
  }

  private async mend(entry: GroupEntry, round: Round): Promise<void> {
    const { key: group, value: row } = entry;
    const { agent } = this.hooks;
    if (row.state === "REMOVED") {
      if (round.lasts(`removed ${group}`, KEEP_REMOVED_MS)) await this.book.remove(entry);
      return;
    }
    // The home of the job cleans up; this is for homes that died over it.
    const running = this.jobs.get(row.job)?.value.state === "RUNNING";
    if (!row.detached && !running && round.lasts(`job of ${group}`, MISSING_MS)) {
      await this.directory.remove(group, `its job ${row.job} is over`);
      return;
    }
    const lost = new Set(row.nodes.filter((node) => node !== "" && this.isGone(node, group, round)));
    if (lost.size > 0) {
      const cause = encodeError(
        new WorkerCrashedError(`it lost bundles with node ${[...lost].join(", ")}, which died or left`),
      );
      const isLost = (node: string): boolean => lost.has(node);
      const after = await this.book.apply(group, { kind: "lost", agent, isLost, cause });
      if (after !== undefined) this.hooks.plan(after);
      return;
    }
    if (row.state === "CREATED" || round.living.has(row.agent)) return;
    if (!this.isDeadAgent(row.agent) && !round.lasts(`planner of ${group}: ${row.agent}`, MISSING_MS)) return;
    const claim = await this.book.apply(group, { kind: "claimed", agent });
    if (claim !== undefined) await this.hooks.adopt(claim);
  }

  private isGone(node: string, group: string, round: Round): boolean {
    const row = this.nodes.get(node);
    return row === undefined
      ? round.lasts(`node ${node} of ${group}`, MISSING_MS)
      : row.value.state === "DEAD";
  }

  private isDeadAgent(agent: string): boolean {
    for (const { value } of this.nodes.entries()) if (value.agent === agent) return value.state === "DEAD";
    return false;
  }
}
