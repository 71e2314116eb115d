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

export class IdleWorkers {
  private sweeper: NodeJS.Timeout | undefined;
  private readonly asked = new Set<WorkerProcess>();
  private readonly later = new Set<NodeJS.Timeout>();
  private stopped = false;

  /** @param mayEnd whether nothing would be lost with a worker; one that does not answer says no */
  constructor(
    private readonly all: () => WorkerProcess[],
    private readonly mayEnd: (worker: ProcessId) => Promise<boolean>,
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

  /** Memory for a new process comes from those that idle for somebody else: the one idle for longest goes. */
  makeRoom(env: WorkerEnv): void {
    const others = this.all().filter((w) => w.idle && w.env?.key !== env.key);
    if (others.length < this.limits.maxIdleOthers) return;
    const [oldest] = others.sort((a, b) => idleSince(a) - idleSince(b));
    if (oldest !== undefined) void this.end(oldest, "makes room for another environment");
  }

  /** The worker, which is taken for good, ends as soon as it owns nothing that others need. */
  endRetired(worker: WorkerProcess, reason: string, wait = ASK_AGAIN_MS): void {
    void this.mayEnd(worker.id).then((may) => {
      if (this.stopped || !worker.usable) return;
      if (may) {
        worker.end(reason);
        return;
      }
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
  }

  /** Ends an idle worker unless it says that something would be lost with it, or it got work meanwhile. */
  private async end(worker: WorkerProcess, reason: string): Promise<void> {
    if (this.asked.has(worker)) return;
    this.asked.add(worker);
    try {
      if ((await this.mayEnd(worker.id)) && worker.idle && !worker.taken) worker.end(reason);
    } finally {
      this.asked.delete(worker);
    }
  }
}

function idleSince(worker: WorkerProcess): number {
  return worker.state.kind === "bound" ? (worker.state.since ?? Infinity) : Infinity;
}
