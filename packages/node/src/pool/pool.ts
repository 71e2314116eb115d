/**
 * The worker processes of a node. It starts, binds, reuses and ends them; who gets one, and how many there may be, is
 * the scheduler's business.
 */
import {
  newWorkerId,
  RuntimeEnvError,
  StingrayError,
  type ExitReport,
  type JobId,
  type JobSpec,
  type ProcessId,
  type Shape,
} from "@stingray/protocol";
import type { WorkerFate } from "@stingray/scheduler";
import { captureOutput, type StreamNumber } from "../logs/mod.js";
import type { WorkerConfig } from "../worker-config.js";
import { fitsUnbound, inheritable, workerEnv, type WorkerEnv } from "./env.js";
import { IdleWorkers } from "./idle.js";
import { spawnWorker } from "./spawn.js";
import { StartFailures } from "./start-failures.js";
import { WorkerProcess, type WorkerTimes } from "./worker-process.js";

export interface PoolOptions {
  /** What every worker is told, but its own id. */
  config: Omit<WorkerConfig, "worker" | "version">;
  /** Unbound workers kept ready for the next job. */
  prestart: number;
  /** Arguments of `node` for unbound workers. @defaultValue none */
  execArgv?: readonly string[] | undefined;
  /** Directory of the workers' log files; without it none are written. */
  logDir?: string | undefined;
  /** Another main program, for tests. */
  workerMain?: string | undefined;
  /** An idle worker ends after this many milliseconds. @defaultValue 60_000 */
  idleMs?: number | undefined;
  /** Idle workers of other jobs and environments that may stay when a new one is started. @defaultValue 4 */
  maxIdleOthers?: number | undefined;
  times?: Partial<WorkerTimes> | undefined;
}

export interface PoolHooks {
  bind(worker: ProcessId, env: WorkerEnv): Promise<void>;
  askToEnd(worker: ProcessId, reason: string): void;
  /** Whether nothing would be lost with an idle worker. Undefined: it does not answer. */
  mayEnd(worker: ProcessId): Promise<boolean | undefined>;
  /** A worker that had GPUs can't end yet: something would be lost with it. */
  kept(worker: ProcessId): void;
  /** What else can be found out about the end of a worker, to be added to the report. */
  exitFacts?(worker: ProcessId, report: ExitReport): Partial<ExitReport>;
  /** A worker is gone. Called once for each that was ever started. */
  exited(worker: ProcessId, report: ExitReport, job: JobId | undefined): void;
  /** It was started ahead and ended before it was up, though nobody had asked it to. Before `exited`. */
  neverStarted(worker: ProcessId, error: StingrayError): void;
  lines(worker: WorkerProcess, stream: StreamNumber, name: string, lines: string[]): void;
}

const TIMES: WorkerTimes = { startMs: 30_000, graceMs: 2_000 };
const IDLE_MS = 60_000;
const MAX_IDLE_OTHERS = 4;

export class WorkerPool {
  private readonly workers = new Map<ProcessId, WorkerProcess>();
  private stopping = false;
  private onlyJob = false;
  private readonly idle: IdleWorkers;
  private readonly failures = new StartFailures();

  constructor(
    private readonly options: PoolOptions,
    private readonly hooks: PoolHooks,
  ) {
    const { idleMs = IDLE_MS, maxIdleOthers = MAX_IDLE_OTHERS, prestart } = options;
    const limits = { idleMs, maxIdleOthers, keep: prestart };
    this.idle = new IdleWorkers(
      () => this.all(),
      (id) => hooks.mayEnd(id),
      (id) => hooks.kept(id),
      limits,
    );
  }

  /** Starts unbound workers until as many are there or coming as are to be kept ready. */
  prestart(): void {
    if (this.stopping) return;
    const unbound = this.all().filter((w) => w.usable && w.env === undefined).length;
    const execArgv = inheritable(this.options.execArgv ?? []);
    for (let i = unbound; i < this.options.prestart; i++) this.spawn(execArgv, {});
  }

  /** Starts as many workers of this job. For a node that is there for one job only: none is started when it ends. */
  prestartFor(job: JobSpec): void {
    this.onlyJob = true;
    const env = workerEnv(job, undefined);
    for (let i = 0; i < this.options.prestart; i++) {
      this.spawn(env.execArgv, env.envVars)
        .bind(env)
        .catch(() => undefined); // shows when one is acquired
    }
  }

  /** Makes unbound workers ready for this job before anybody asks. A failure shows when a worker is acquired. */
  bindAhead(job: JobSpec): void {
    const env = workerEnv(job, undefined);
    for (const worker of this.all()) {
      if (worker.env !== undefined || worker.taken || !fitsUnbound(env, worker.startedWith)) continue;
      if (worker.usable) worker.bind(env).catch(() => undefined);
    }
  }

  /**
   * A worker of this job and environment: an idle one, one that belongs to no job yet, or a new one.
   * @throws RuntimeEnvError if it could not be started or prepared
   */
  async acquire(job: JobSpec, shape: Shape): Promise<ProcessId> {
    if (this.stopping) throw new RuntimeEnvError("this node is stopping; the work goes to another node");
    const env = workerEnv(job, shape.runtimeEnv);
    const clean = (shape.resources["GPU"] ?? 0) > 0;
    const worker = this.findBound(env, clean) ?? this.findUnbound(env) ?? this.spawnFor(env);
    worker.take();
    const startedAt = performance.now();
    try {
      await worker.bind(env);
    } catch (thrown) {
      if (thrown instanceof StingrayError)
        this.failures.failed(env.key, thrown, startedAt, performance.now());
      throw thrown;
    }
    this.failures.succeeded(env.key);
    this.idle.watch();
    return worker.id;
  }

  /** The worker is in nobody's hands any more. */
  release(id: ProcessId, fate: WorkerFate): void {
    const worker = this.workers.get(id);
    if (worker === undefined) return;
    if (fate === "kill") worker.kill("nobody wants what it runs any more");
    else if (worker.retired !== undefined) this.idle.endRetired(worker, worker.retired);
    else if (fate === "end") worker.end("not to be used again");
    else if (fate === "retire" || worker.hadGpus) this.idle.endRetired(worker, "had GPUs");
    else worker.giveBack();
  }

  /** Nobody is given it any more. It ends when it is free and nothing would be lost with it. */
  retire(id: ProcessId, reason: string): void {
    const worker = this.workers.get(id);
    if (worker === undefined || worker.retired !== undefined) return;
    worker.retired = reason;
    if (worker.taken) return; // once it is given back
    worker.take();
    this.idle.endRetired(worker, reason);
  }

  /** @param grace milliseconds; default as configured */
  end(id: ProcessId, reason: string, grace?: number): void {
    this.workers.get(id)?.end(reason, grace);
  }
  kill(id: ProcessId, reason: string): void {
    this.workers.get(id)?.kill(reason);
  }
  get(id: ProcessId): WorkerProcess | undefined {
    return this.workers.get(id);
  }
  all(): WorkerProcess[] {
    return [...this.workers.values()];
  }
  get idleCount(): number {
    return this.all().filter((w) => w.usable && !w.taken).length;
  }
  /** Those that nobody uses and that stay for what they own. */
  get keptCount(): number {
    return this.idle.keptCount;
  }
  get size(): number {
    return this.workers.size;
  }

  /** Kills the workers of a job but those to be spared; resolves when they are gone and their output was handed on. */
  async endJob(job: string, spare: (id: ProcessId) => boolean, reason: string): Promise<void> {
    const doomed = this.all().filter((w) => w.env?.job.job === job && !spare(w.id));
    for (const worker of doomed) worker.kill(reason);
    await Promise.all(doomed.map(async (w) => Promise.all([w.whenGone(), w.drained()])));
    if (!this.onlyJob) this.prestart();
  }

  /** Ends every worker; resolves when all are gone and their output was handed on. */
  async stop(reason: string, graceMs: number): Promise<void> {
    this.stopping = true;
    this.idle.stop();
    const all = this.all();
    for (const worker of all) {
      if (graceMs > 0 && worker.taken) worker.end(reason, graceMs / 2);
      else worker.kill(reason);
    }
    await Promise.all(all.map(async (w) => Promise.all([w.whenGone(), w.drained()])));
  }

  private findBound(env: WorkerEnv, clean: boolean): WorkerProcess | undefined {
    let coming: WorkerProcess | undefined;
    for (const worker of this.workers.values()) {
      if (worker.taken || !worker.usable || worker.env?.key !== env.key) continue;
      if (worker.hadGpus || (clean && worker.uses > 0)) continue;
      if (worker.idle) return worker;
      coming ??= worker;
    }
    return coming;
  }

  private findUnbound(env: WorkerEnv): WorkerProcess | undefined {
    let coming: WorkerProcess | undefined;
    for (const worker of this.workers.values()) {
      if (worker.taken || !worker.usable || worker.env !== undefined) continue;
      if (!fitsUnbound(env, worker.startedWith)) continue;
      if (worker.state.kind === "unbound") return worker;
      coming ??= worker;
    }
    return coming;
  }

  /** @throws RuntimeEnvError while others like it have just failed again and again */
  private spawnFor(env: WorkerEnv): WorkerProcess {
    const refusal = this.failures.refusal(env.key, performance.now());
    if (refusal !== undefined) throw refusal;
    this.idle.makeRoom(env);
    return this.spawn(env.execArgv, env.envVars);
  }

  private spawn(execArgv: readonly string[], envVars: Readonly<Record<string, string>>): WorkerProcess {
    const id = newWorkerId();
    const child = spawnWorker({
      config: { ...this.options.config, worker: id },
      execArgv,
      envVars,
      main: this.options.workerMain,
    });
    const capture = captureOutput(child, {
      worker: id,
      pid: child.pid ?? 0,
      onLines: (stream, name, lines) => this.hooks.lines(worker, stream, name, lines),
      ...(this.options.logDir === undefined ? {} : { logDir: this.options.logDir }),
    });
    const worker: WorkerProcess = new WorkerProcess(
      id,
      child,
      capture,
      execArgv,
      {
        bind: (w, env) => this.hooks.bind(w.id, env),
        askToEnd: (w, reason) => this.hooks.askToEnd(w.id, reason),
        exitFacts: (w, report) => this.hooks.exitFacts?.(w.id, report) ?? {},
        exited: (w, report) => {
          this.workers.delete(w.id);
          // Whoever waits for it is told.
          if (w.neverStarted !== undefined && !w.taken) this.hooks.neverStarted(w.id, w.neverStarted);
          this.hooks.exited(w.id, report, w.env?.job.job as JobId | undefined);
        },
      },
      { ...TIMES, ...this.options.times },
    );
    this.workers.set(id, worker);
    return worker;
  }
}
