/**
 * Looks at every worker of the node each second: what memory it has, whether its event loop turns, and what it is at. What
 * there is to see lies in shared memory and in /proc, so workers are not asked, and idle ones not woken.
 */
import type { ExitReport, NodeVitals, ProcessNews, WorkerVitals } from "@stingray/protocol";
import { monotonicMs, type PageView } from "@stingray/task/internal";
import { blockedNow, withState } from "./judge.js";
import { privateMemory, processState, type MachineMemory, type MemoryFiles } from "./memory-files.js";
import { pageOf, postMortem } from "./post-mortem.js";

/** Idle workers are looked at each time out of so many. */
const IDLE_EVERY = 10;
/** What lasts is told again after so long, in milliseconds. */
const AGAIN_MS = 5_000;
/** A constructor that takes longer is told of, in milliseconds. */
const CONSTRUCTING_AFTER_MS = 1_000;
/** The user is told, once, of a loop that stands still for so long. Milliseconds. */
const SAY_AFTER_MS = 10_000;
const MOST_ACTORS = 1_000;

/** A worker as the pool and the scheduler know it. */
export interface WatchedWorker {
  readonly id: string;
  readonly pid: number;
  readonly taken: boolean;
  readonly job: string | undefined;
  /** Bytes, as declared by what it runs. */
  readonly declared: number | undefined;
  /** The actors that live in it: the first of them, and how many. */
  readonly actor: string | undefined;
  readonly className: string | undefined;
  readonly actors: number;
  /** Those that are being made in it, and what of that goes on since when (monotonic). */
  readonly constructing: readonly { actor: string; what: string; since: number }[];
}

export interface WatchHooks {
  workers(): WatchedWorker[];
  /** Tells all agents, this one included. */
  tell(news: ProcessNews): void;
  /** A line for the user, as if the worker had printed it. */
  say(worker: string, line: string): void;
  /** After each look. */
  looked(machine: MachineMemory | undefined): void;
}

interface Seen {
  page: PageView | undefined;
  memory: number;
  told: { news: ProcessNews; at: number } | undefined;
  said: boolean;
}

export class WorkerWatch {
  private readonly seen = new Map<string, Seen>();
  private timer: NodeJS.Timeout | undefined;
  private round = 0;
  private machine: MachineMemory | undefined;
  private kills = 0;
  ended = 0;

  constructor(
    private readonly node: string,
    private readonly storeDir: string,
    private readonly everyMs: number,
    private readonly hooks: WatchHooks,
    private readonly memory: MemoryFiles,
  ) {}

  start(): void {
    this.kills = this.memory.kills();
    this.timer = setInterval(() => this.look(), this.everyMs).unref();
  }
  stop(): void {
    clearInterval(this.timer);
  }

  /** Own resident memory of a worker at the last look, in bytes. */
  memoryOf(worker: string): number {
    return this.seen.get(worker)?.memory ?? 0;
  }

  private look(): void {
    this.round++;
    const now = monotonicMs();
    this.kills = this.memory.kills();
    this.machine = this.memory.machine();
    const there = new Set<string>();
    for (const worker of this.hooks.workers()) {
      there.add(worker.id);
      if (worker.taken || !this.seen.has(worker.id) || this.round % IDLE_EVERY === 0)
        this.lookAt(worker, now);
    }
    for (const [id, seen] of this.seen) {
      if (there.has(id)) continue;
      this.seen.delete(id);
      this.over(seen);
    }
    this.hooks.looked(this.machine);
  }

  private lookAt(worker: WatchedWorker, now: number): void {
    let seen = this.seen.get(worker.id);
    if (seen === undefined)
      this.seen.set(worker.id, (seen = { page: undefined, memory: 0, told: undefined, said: false }));
    seen.memory = privateMemory(worker.pid) ?? seen.memory;
    const before = seen.page;
    seen.page = pageOf(this.storeDir, worker.id);
    const news = this.newsOf(worker, seen.page, before, now);
    if (news === undefined) {
      this.over(seen);
      return;
    }
    const isNews = seen.told?.news.kind !== news.kind || seen.told.news.what !== news.what;
    if (isNews || now - (seen.told?.at ?? 0) >= AGAIN_MS) {
      seen.told = { news, at: now };
      this.hooks.tell(news);
    }
    if (news.kind !== "blocked" || news.ms < SAY_AFTER_MS || seen.said) return;
    seen.said = true;
    this.hooks.say(
      worker.id,
      `the event loop of this process has not turned for ${Math.round(news.ms / 1000)} s, ${news.what}: nothing else ` +
        `in it can run until it does`,
    );
  }

  private newsOf(
    worker: WatchedWorker,
    page: PageView | undefined,
    before: PageView | undefined,
    now: number,
  ): ProcessNews | undefined {
    const blocked = page === undefined ? undefined : blockedNow(page, before, now);
    const first = worker.constructing[0];
    const about = {
      process: worker.id,
      pid: worker.pid,
      node: this.node,
      actors: worker.constructing.slice(0, MOST_ACTORS).map(({ actor }) => actor),
      over: false,
    };
    if (blocked !== undefined) {
      const others = worker.actors > 1 ? { others: worker.actors - 1 } : {};
      const what = withState(blocked.what, processState(worker.pid), worker.pid);
      return { kind: "blocked", ms: blocked.ms, what, ...about, ...others };
    }
    if (first === undefined || now - first.since < CONSTRUCTING_AFTER_MS) return undefined;
    // The page tells whether that is the constructor or onActivate; of several actors it tells of whatever was last.
    const what = (worker.actors > 1 ? undefined : page?.last) ?? first.what;
    return { kind: "constructing", ms: now - first.since, what, ...about };
  }

  private over(seen: Seen): void {
    seen.said = false;
    const { told } = seen;
    seen.told = undefined;
    if (told !== undefined) this.hooks.tell({ ...told.news, over: true });
  }

  /** What is to be added to the report of its end. */
  exited(worker: string, report: ExitReport): Partial<ExitReport> {
    const used = this.memoryOf(worker);
    const short = this.memory.kills() > this.kills;
    const figures = this.memory.machine();
    const kernel = short ? { ...figures } : undefined;
    const found = postMortem(this.storeDir, worker, report, { used, kernel });
    if ((report.memory ?? found.memory) !== undefined) this.ended++;
    return found;
  }

  /** Those with trouble first, then by memory; at most `limit` of them. */
  vitals(limit: number): NodeVitals {
    const workers = this.hooks.workers().map((worker): WorkerVitals => this.vitalsOf(worker));
    workers.sort(
      (a, b) => Number(b.trouble !== undefined) - Number(a.trouble !== undefined) || b.memory - a.memory,
    );
    return { ...this.machine, workers: workers.slice(0, limit), ended: this.ended };
  }

  private vitalsOf(worker: WatchedWorker): WorkerVitals {
    const { id, pid, job, declared, actor, className, actors } = worker;
    const seen = this.seen.get(id);
    const page = pageOf(this.storeDir, id);
    const vitals: WorkerVitals = { process: id, pid, memory: privateMemory(pid) ?? 0, actors };
    if (job !== undefined) vitals.job = job;
    if (declared !== undefined) vitals.declared = declared;
    if (actor !== undefined) vitals.actor = actor;
    if (className !== undefined) vitals.className = className;
    if (page !== undefined) {
      const { heapUsed, heapLimit, open: running, queued } = page;
      Object.assign(vitals, { heapUsed, heapLimit, running, queued });
    }
    if (seen?.told !== undefined) {
      const { kind, ms, what, node, others } = seen.told.news;
      const age = ms + monotonicMs() - seen.told.at;
      vitals.trouble = { kind, ms: age, what, pid, node, ...(others === undefined ? {} : { others }) };
    }
    return vitals;
  }
}
