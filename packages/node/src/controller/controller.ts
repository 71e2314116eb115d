/**
 * The controller role: one agent at a time holds it by a lease, judges which nodes are dead and mends what they left.
 * It has no state that matters: whoever comes next goes on from the tables. Every judgement is a compare-and-set, so
 * two agents that both believe to hold the role do no harm.
 */
import type { JobRow, NodeRow, Row, Table, TableCache } from "@stingray/gcs-kv";
import {
  ActorDiedError,
  WorkerCrashedError,
  encodeError,
  isDriverId,
  keepsState,
  type ActorSpec,
  type JobId,
  type NodeId,
} from "@stingray/protocol";
import type { Round } from "../groups/group-mender.js";
import type { ActorBook, ActorEntry } from "./actor-book.js";
import { ActorCensus } from "./actor-census.js";
import { describe } from "./actor-directory.js";
import { overdue } from "./dead-rows.js";
import type { Liveness } from "./liveness.js";

export interface ControllerHooks {
  readonly agent: string;
  readonly node: NodeId;
  /** The broker is there and has been for a while. */
  connected(): boolean;
  announceNodeDeath(node: NodeId, reason: string): void;
  /** Looks for a place for a claim of this agent's. */
  place(entry: ActorEntry): void;
  /** Whether the actor (still) has the name that it wants; takes it if it is free. */
  ownsName(entry: ActorEntry): Promise<boolean>;
  endActor(actor: string, cause: ActorDiedError): Promise<void>;
  /** The process of an incarnation is gone with its node. */
  lost(actor: string, epoch: number, cause: ReturnType<typeof encodeError>): Promise<void>;
  /** It is DEAD: nothing of it is to be kept but its row. */
  ended(spec: ActorSpec): Promise<void>;
  /** Wakes those that sleep and have something in their mailboxes. */
  wakeSleepers(): Promise<void>;
  /** Looks after the placement groups. */
  mendGroups(round: Round): Promise<void>;
  endJob(job: JobId, why: string): Promise<void>;
  cleanUpJob(job: JobId): Promise<void>;
  failed(what: string, error: unknown): void;
}

export interface ControllerTimes {
  lookMs: number;
  /** A job whose home died: how long its driver may take to attach elsewhere. */
  orphanMs: number;
  /** How long rows of dead nodes and actors are kept for those who ask why. */
  keepDeadMs: number;
  /** Rows of more dead actors than these are not kept. */
  mostDead: number;
}
export const CONTROLLER_TIMES: ControllerTimes = {
  lookMs: 250,
  orphanMs: 10_000,
  keepDeadMs: 300_000,
  mostDead: 10_000,
};

/** Rows that are removed at the same time. */
const REMOVED_AT_ONCE = 100;

export class Controller {
  /** When this controller first saw a condition that must last before it acts, by a name of the condition. */
  private readonly since = new Map<string, number>();

  constructor(
    private readonly nodes: { table: Table<NodeRow>; cache: TableCache<NodeRow> },
    private readonly jobs: TableCache<JobRow>,
    private readonly actors: ActorBook,
    private readonly liveness: Liveness,
    private readonly hooks: ControllerHooks,
    private readonly times: ControllerTimes = CONTROLLER_TIMES,
  ) {}

  /** Judges and mends until the signal fires. */
  async reign(signal: AbortSignal): Promise<void> {
    this.since.clear();
    const census = new ActorCensus(this.actors);
    try {
      while (!signal.aborted) {
        await this.round(signal, census).catch((error: unknown) => {
          census.unfinished();
          // What was under way when it ended is the next one's.
          if (!signal.aborted) this.hooks.failed("look after the cluster", error);
        });
        await pause(this.times.lookMs, signal);
      }
    } finally {
      census.stop();
    }
  }

  private async round(signal: AbortSignal, census: ActorCensus): Promise<void> {
    if (!this.hooks.connected() || this.nodes.cache.stale) {
      census.unfinished();
      this.liveness.distrust();
      this.since.clear();
      return;
    }
    const kept = new Set<string>();
    const lasts = (condition: string, ms: number): boolean => {
      kept.add(condition);
      const first = this.since.get(condition) ?? performance.now();
      this.since.set(condition, first);
      return performance.now() - first >= ms;
    };
    const living = await this.judgeNodes(lasts, signal);
    for (const entry of census.take(this.circumstances(living))) {
      if (signal.aborted) return;
      if (this.actors.get(entry.key) !== entry) continue; // it has changed meanwhile: the next round's
      if (entry.value.state === "DEAD" || this.isWell(entry, living)) continue;
      census.back(entry);
      await this.mendActor(entry, living, lasts);
    }
    const { keepDeadMs: keepMs, mostDead: most } = this.times;
    const gone = overdue(census.dead, lasts, { keepMs, most });
    for (let i = 0; i < gone.length && !signal.aborted; i += REMOVED_AT_ONCE) {
      await Promise.all(gone.slice(i, i + REMOVED_AT_ONCE).map((entry) => this.forgetActor(entry)));
    }
    await this.hooks.wakeSleepers();
    await this.hooks.mendGroups({ living, lasts, signal });
    for (const row of this.jobs.entries()) {
      if (signal.aborted) return;
      await this.mendJob(row, living, census, lasts);
    }
    for (const condition of this.since.keys()) if (!kept.has(condition)) this.since.delete(condition);
  }

  /** The process ids of the agents that live. */
  private async judgeNodes(
    lasts: (condition: string, ms: number) => boolean,
    signal: AbortSignal,
  ): Promise<Set<string>> {
    const living = new Set<string>([this.hooks.agent]);
    for (const row of this.nodes.cache.entries()) {
      if (signal.aborted) break;
      const node = row.value.node as NodeId;
      if (row.value.state === "DEAD") {
        if (lasts(`dead ${node}`, this.times.keepDeadMs))
          await this.nodes.table.delete(row.key, row.revision);
      } else if (node !== this.hooks.node && this.liveness.isDead(node)) await this.declareDead(row);
      else living.add(row.value.agent);
    }
    return living;
  }

  /** What else than its own row says whether an actor is well. */
  private circumstances(living: ReadonlySet<string>): string {
    const dead: string[] = [];
    for (const { key, value } of this.nodes.cache.entries()) if (value.state === "DEAD") dead.push(key);
    return `${[...living].toSorted().join()} ${dead.toSorted().join()}`;
  }

  private async declareDead(row: Row<NodeRow>): Promise<void> {
    const node = row.value.node as NodeId;
    const ms = Math.round(this.liveness.silence(node) ?? 0);
    const reason = ms === 0 ? "it was never heard" : `no heartbeat for ${ms} ms`;
    const written = await this.nodes.table.update(
      row.key,
      { ...row.value, state: "DEAD", reason },
      row.revision,
    );
    if (written.ok) this.hooks.announceNodeDeath(node, reason);
  }

  /** Nearly all are: there may be very many, so nothing is awaited to see it. */
  private isWell({ value }: ActorEntry, living: ReadonlySet<string>): boolean {
    if (this.diedWithCreator(value.spec)) return false;
    return value.state === "PASSIVE" || (value.agent !== undefined && living.has(value.agent));
  }

  /** A driver does not die with the agent of its machine; the end of its job tells of it. */
  private diedWithCreator({ detached, creator, creatorNode }: ActorSpec): boolean {
    return !detached && creatorNode !== undefined && !isDriverId(creator) && this.isDeadNode(creatorNode);
  }

  private async forgetActor(entry: ActorEntry): Promise<void> {
    const { spec } = entry.value;
    // Whoever wrote that it is dead may have ended before the rest was done.
    if (keepsState(spec)) await this.hooks.ended(spec);
    await this.actors.remove(entry);
  }

  private async mendActor(
    entry: ActorEntry,
    living: ReadonlySet<string>,
    lasts: (condition: string, ms: number) => boolean,
  ): Promise<void> {
    const row = entry.value;
    const { actor } = row.spec;
    if (this.diedWithCreator(row.spec)) {
      const why = `node ${row.spec.creatorNode} died, and with it the process that created ${describe(row.spec)}`;
      await this.hooks.endActor(
        actor,
        new ActorDiedError(`${why}. Make it detached if it is to live longer`),
      );
      return;
    }
    if (row.state === "PASSIVE" || (row.agent !== undefined && living.has(row.agent))) return;
    // An agent that is not in the table yet may just be new: its own row can reach us after the actor's.
    if (!this.isDeadAgent(row.agent) && !lasts(`agent of ${actor}: ${row.agent}`, 5_000)) return;
    if (row.state === "ALIVE") {
      const cause = new WorkerCrashedError(
        `${describe(row.spec)} was lost with its node ${row.node ?? "(unknown)"}, which died or left`,
        { detail: { node: row.node ?? null } },
      );
      await this.hooks.lost(actor, row.epoch, encodeError(cause));
      return;
    }
    const claim = await this.actors.apply(actor, { kind: "claimed", agent: this.hooks.agent });
    if (claim === undefined) return;
    if (await this.hooks.ownsName(claim)) this.hooks.place(claim);
    else
      await this.hooks.endActor(
        actor,
        new ActorDiedError(`${describe(row.spec)} lost its name to another before it was placed`),
      );
  }

  private async mendJob(
    row: Row<JobRow>,
    living: ReadonlySet<string>,
    census: ActorCensus,
    lasts: (condition: string, ms: number) => boolean,
  ): Promise<void> {
    const job = row.key as JobId;
    if (row.value.state !== "RUNNING") {
      // Its home cleans up; this is for homes that died over it, and for detached actors that ended later.
      if (!census.lasts(job) && lasts(`rows of ${job}`, 5_000)) await this.hooks.cleanUpJob(job);
    } else if (
      !living.has(row.value.home) &&
      lasts(`home of ${job}: ${row.value.home}`, this.times.orphanMs)
    ) {
      await this.hooks.endJob(
        job,
        `its home ${row.value.homeNode} died and the driver did not attach elsewhere`,
      );
    }
  }

  private isDeadNode(node: string): boolean {
    return this.nodes.cache.get(node)?.value.state === "DEAD";
  }
  private isDeadAgent(agent: string | undefined): boolean {
    if (agent === undefined) return true;
    for (const { value } of this.nodes.cache.entries())
      if (value.agent === agent) return value.state === "DEAD";
    return false;
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms).unref();
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}
