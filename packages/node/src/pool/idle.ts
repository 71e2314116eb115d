/** Workers that nobody uses: which of them end, and when. */
import type { ProcessId } from "@stingray/protocol";
import type { WorkerEnv } from "./env.js";
import type { WorkerProcess } from "./worker-process.js";

export interface IdleLimits {
  /** An idle worker ends after this many milliseconds. */
  readonly idleMs: number;
  /** As many may stay however long they are idle. */
  readonly keep: number;
  /** Idle workers of other jobs and environments that may stay when a new one is started. */
  readonly maxIdleOthers: number;
}

/** A retired worker that others still need something of is asked again after so long, in milliseconds; it doubles. */
const ASK_AGAIN_MS = 500;
const MAX_ASK_AGAIN_MS = 2_000;
/** A worker that had GPUs has so long to say whether it may end, in milliseconds. */
const GPU_ANSWER_MS = 5_000;

export class IdleWorkers {
  private sweeper: NodeJS.Timeout | undefined;
  private readonly asked = new Set<WorkerProcess>();
  private readonly later = new Set<NodeJS.Timeout>();
  private stopped = false;

  /**
   * @param mayEnd whether nothing would be lost with a worker; undefined where it does not answer
   * @param kept told of workers with GPUs that must stay
   */
  constructor(
    private readonly all: () => WorkerProcess[],
    private readonly mayEnd: (worker: ProcessId) => Promise<boolean | undefined>,
    private readonly kept: (worker: ProcessId) => void,
    private readonly limits: IdleLimits,
  ) {}

  /** Runs only once there is something that may become idle. */
  watch(): void {
    const { idleMs } = this.limits;
    this.sweeper ??= setInterval(() => this.shrink(), Math.max(50, idleMs / 6)).unref();
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.sweeper);
    for (const timer of this.later) clearTimeout(timer);
  }

  /** Processes that nobody uses and that stay for what they own. */
  get keptCount(): number {
    return this.all().filter((w) => w.kept && w.usable).length;
  }

  /** Memory for a new process comes from those that idle for somebody else: those idle for longest go. */
  makeRoom(env: WorkerEnv): void {
    const others = this.all().filter((w) => w.idle && w.env?.key !== env.key);
    const surplus = others.length + 1 - this.limits.maxIdleOthers;
    if (surplus <= 0) return;
    others.sort((a, b) => idleSince(a) - idleSince(b));
    void this.endSome(others, surplus);
  }

  /** Who can't end is passed over, and asked again when the next ones are to go. */
  private async endSome(workers: readonly WorkerProcess[], count: number): Promise<void> {
    let left = count;
    for (const worker of workers) {
      if (left <= 0 || this.stopped) return;
      if (!worker.idle || (await this.end(worker, "makes room for another environment"))) left--;
    }
  }

  /** The worker, which is taken for good, ends as soon as it owns nothing that others need. */
  endRetired(worker: WorkerProcess, reason: string, wait = ASK_AGAIN_MS): void {
    const { hadGpus } = worker;
    const answer = this.mayEnd(worker.id);
    void (hadGpus ? Promise.race([answer, silence(GPU_ANSWER_MS)]) : answer).then((may) => {
      if (this.stopped || !worker.usable) return;
      // Others wait for the GPUs of one that does not answer, and would get them while it may compute.
      if (may === true || (may === undefined && hadGpus)) {
        worker.end(reason);
        return;
      }
      worker.kept = true;
      if (hadGpus) this.kept(worker.id);
      const timer = setTimeout(() => {
        this.later.delete(timer);
        this.endRetired(worker, reason, Math.min(2 * wait, MAX_ASK_AGAIN_MS));
      }, wait).unref();
      this.later.add(timer);
    });
  }

  private shrink(): void {
    const free = this.all().filter((w) => w.usable && !w.taken);
    let surplus = free.length - this.limits.keep;
    const now = performance.now();
    for (const worker of free.filter((w) => w.idle).sort((a, b) => idleSince(a) - idleSince(b))) {
      if (surplus <= 0 || now - idleSince(worker) < this.limits.idleMs) break;
      void this.end(worker, "idle");
      surplus--;
    }
    // They were to go before, and may now.
    for (const worker of free)
      if (worker.kept && worker.idle) void this.end(worker, "is not needed any more");
  }

  /** Ends an idle worker unless it says that something would be lost with it, or it got work meanwhile. True if it is not idle any more, or asked already. */
  private async end(worker: WorkerProcess, reason: string): Promise<boolean> {
    if (this.asked.has(worker)) return true;
    this.asked.add(worker);
    try {
      const may = await this.mayEnd(worker.id);
      if (!worker.idle) return true;
      worker.kept = may !== true;
      if (may === true) worker.end(reason);
      return may === true;
    } finally {
      this.asked.delete(worker);
    }
  }
}

function silence(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms).unref());
}

function idleSince(worker: WorkerProcess): number {
  return worker.state.kind === "bound" ? (worker.state.since ?? Infinity) : Infinity;
}
