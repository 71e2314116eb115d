/**
 * The jobs that this agent knows: those it is the home of, whose drivers it watches, and those whose workers it runs.
 * Ending a job is level-triggered: the row says that it is over, every agent cleans up when it sees that, and the
 * home asks each to do it now and waits for them.
 */
import type { JobRow, Table, TableCache } from "@stingray/gcs-kv";
import {
  InvalidArgumentError,
  type JobId,
  type JobSpec,
  type NodeId,
  type ProcessId,
} from "@stingray/protocol";

export interface JobHooks {
  readonly agent: ProcessId;
  readonly node: NodeId;
  /** The part of the clean-up on this node: workers, actors, objects; resolves when their output was sent. */
  cleanUpHere(job: JobId): Promise<void>;
  /** Asks every other live agent to do the same; each has a deadline of its own. */
  cleanUpElsewhere(job: JobId): Promise<void>;
  /** Removes the rows of the job. */
  removeRows(job: JobId): Promise<void>;
  /** Ends the actors that the driver created, if they are not detached. */
  creatorGone(process: ProcessId, reason: string): void;
  failed(what: string, error: unknown): void;
}

export type JobOutcome = "FINISHED" | "FAILED";

/** Ended jobs are remembered for as long as late messages about them may arrive. */
const REMEMBERED = 10_000;
const AGAIN_MS = 1_000;
/** Whoever ends a job waits so long for its rows to be removed, which goes on where there are very many. Milliseconds. */
const ROWS_MS = 8_000;

export class Jobs {
  private readonly specs = new Map<string, JobSpec>();
  private readonly ended = new Set<string>();
  private readonly ending = new Map<string, Promise<void>>();
  private readonly cleaning = new Map<string, Promise<void>>();
  private stopped = false;
  /** Drivers of the jobs that have their home here; with a timer while their channel is broken. */
  private readonly drivers = new Map<ProcessId, { job: JobId; timer?: NodeJS.Timeout }>();

  constructor(
    private readonly table: Table<JobRow>,
    private readonly cache: TableCache<JobRow>,
    private readonly driverGraceMs: number,
    private readonly hooks: JobHooks,
  ) {
    cache.onChange(({ key, row }) => {
      if (row === undefined || row.value.state !== "RUNNING") void this.cleanUp(key as JobId);
      else if (row.value.home !== hooks.agent) this.unwatch(row.value.spec.driver);
    });
  }

  /** A job that is about to start (embedded cluster): known without a row. */
  expect(spec: JobSpec): void {
    this.specs.set(spec.job, spec);
  }

  /** The driver attaches, for the first time or again, or from another home. @throws InvalidArgumentError if it is over */
  async start(spec: JobSpec): Promise<void> {
    const job = spec.job as JobId;
    const driver = spec.driver as ProcessId;
    for (;;) {
      const current = await this.table.get(job);
      if (this.ended.has(job) || (current !== undefined && current.value.state !== "RUNNING")) {
        throw new InvalidArgumentError(
          `job ${job} is over and can't be started again: its driver was away for too long or ended it. Start a new one`,
        );
      }
      const row: JobRow = {
        spec,
        home: this.hooks.agent,
        homeNode: this.hooks.node,
        state: "RUNNING",
        startedAt: current?.value.startedAt ?? Date.now(),
      };
      const written =
        current === undefined
          ? await this.table.create(job, row)
          : await this.table.update(job, row, current.revision);
      if (written.ok) break;
    }
    clearTimeout(this.drivers.get(driver)?.timer);
    this.drivers.set(driver, { job });
    this.specs.set(job, spec);
  }

  /** The spec of a job that runs. @throws InvalidArgumentError if it is over or unknown */
  async spec(job: string): Promise<JobSpec> {
    const known = this.specs.get(job);
    if (known !== undefined) return known;
    const row = this.cache.get(job) ?? (await this.table.get(job));
    if (row === undefined) {
      throw new InvalidArgumentError(`job ${job} is over or was never started: there is no row of it`);
    }
    // A detached actor may need a worker after its job's end; its row stays for that.
    if (row.value.state === "RUNNING") this.specs.set(job, row.value.spec);
    return row.value.spec;
  }
  known(job: string): JobSpec | undefined {
    return this.specs.get(job) ?? this.cache.get(job)?.value.spec;
  }
  async runs(job: string): Promise<boolean> {
    if (this.ended.has(job)) return false;
    if (this.specs.has(job)) return true;
    const row = this.cache.get(job) ?? (await this.table.get(job));
    return row?.value.state === "RUNNING";
  }
  isOver(job: string): boolean {
    return this.ended.has(job);
  }

  /** The channel to a process broke. If it is a driver of ours and does not attach again in time, its job ends. */
  processGone(process: ProcessId, reason: string): void {
    const driver = this.drivers.get(process);
    if (driver === undefined || driver.timer !== undefined) return;
    driver.timer = setTimeout(() => {
      this.hooks.creatorGone(process, reason);
      this.endAtLast(process, driver);
    }, this.driverGraceMs);
  }
  /** A broker that is away only puts it off. */
  private endAtLast(process: ProcessId, driver: { job: JobId; timer?: NodeJS.Timeout }): void {
    this.end(driver.job, "FAILED").catch((error: unknown) => {
      this.hooks.failed(`end job ${driver.job} (it is tried again)`, error);
      if (this.stopped) return;
      driver.timer = setTimeout(() => this.endAtLast(process, driver), AGAIN_MS);
      this.drivers.set(process, driver);
    });
  }

  /** The job of a driver that has its home here. */
  jobOfDriver(process: ProcessId): string | undefined {
    return this.drivers.get(process)?.job;
  }
  /** The drivers whose life this agent watches. */
  watched(): ProcessId[] {
    return [...this.drivers.keys()];
  }

  /**
   * Ends the job on all nodes and removes its rows. Later calls wait for the first.
   * @param last the cluster ends with it, and so do its rows
   */
  end(job: JobId, outcome: JobOutcome, last = false): Promise<void> {
    let running = this.ending.get(job);
    if (running === undefined) {
      running = this.endOnce(job, outcome, last)
        .catch((error: unknown) => {
          // This agent ends itself, and its tables are closed: those that are left end the job, or nothing is left.
          if (!this.stopped) throw error;
        })
        .finally(() => this.ending.delete(job));
      this.ending.set(job, running);
    }
    return running;
  }

  private async endOnce(job: JobId, outcome: JobOutcome, last: boolean): Promise<void> {
    await this.close(job, outcome);
    await Promise.all([this.cleanUp(job), this.hooks.cleanUpElsewhere(job)]);
    if (last) return;
    const removed = this.hooks.removeRows(job);
    removed.catch((error: unknown) => this.hooks.failed(`remove the rows of job ${job}`, error));
    const late = AbortSignal.timeout(ROWS_MS);
    await Promise.race([
      removed,
      new Promise<void>((go) => late.addEventListener("abort", () => go(), { once: true })),
    ]);
  }

  private async close(job: JobId, outcome: JobOutcome): Promise<void> {
    for (;;) {
      const row = await this.table.get(job);
      if (row === undefined || row.value.state !== "RUNNING") return;
      const over: JobRow = { ...row.value, state: outcome, endedAt: Date.now() };
      if ((await this.table.update(job, over, row.revision)).ok) return;
    }
  }

  /** Cleans up on this node, once. Never rejects: what fails is reported. */
  cleanUp(job: JobId): Promise<void> {
    const done = this.cleaning.get(job);
    if (done !== undefined) return done;
    this.remember(job);
    const spec = this.specs.get(job);
    this.specs.delete(job);
    if (spec !== undefined) this.unwatch(spec.driver);
    const cleaning = this.hooks.cleanUpHere(job).catch((error: unknown) => {
      this.hooks.failed(`clean up after job ${job}`, error);
    });
    this.cleaning.set(job, cleaning);
    return cleaning;
  }

  stop(): void {
    this.stopped = true;
    for (const { timer } of this.drivers.values()) clearTimeout(timer);
    this.drivers.clear();
  }

  private unwatch(driver: string): void {
    clearTimeout(this.drivers.get(driver as ProcessId)?.timer);
    this.drivers.delete(driver as ProcessId);
  }

  private remember(job: JobId): void {
    this.ended.add(job);
    if (this.ended.size <= REMEMBERED) return;
    const oldest = this.ended.values().next().value as string;
    this.ended.delete(oldest);
    this.cleaning.delete(oldest);
  }
}
