/** One worker process: its start, its binding to a job, its end and the report of it. */
import type { ChildProcess } from "node:child_process";
import {
  ConnectionError,
  RuntimeEnvError,
  TimeoutError,
  toError,
  type ExitReport,
  type MemoryEnd,
  type ProcessId,
  type StingrayError,
} from "@stingray/protocol";
import type { OutputCapture } from "../logs/mod.js";
import type { WorkerEnv } from "./env.js";
import { startError } from "./start-error.js";
import { nextWorkerState, type WorkerEvent, type WorkerState } from "./worker-state.js";

export interface WorkerTimes {
  /** Until `worker.ready`, and again until the bind is answered, in milliseconds. */
  startMs: number;
  /** From the polite request to SIGTERM, and again to SIGKILL, in milliseconds. */
  graceMs: number;
}

export interface WorkerHooks {
  /** Sends `worker.bind`; rejects with what the worker answered, or when its channel closed. */
  bind(worker: WorkerProcess, env: WorkerEnv): Promise<void>;
  /** Sends WorkerExit. */
  askToEnd(worker: WorkerProcess, reason: string): void;
  /** What else can be found out about its end. */
  exitFacts?(worker: WorkerProcess, report: ExitReport): Partial<ExitReport>;
  /** Once, when the process is gone. */
  exited(worker: WorkerProcess, report: ExitReport): void;
}

/** How long a process whose channel broke has to end by itself, in milliseconds. */
const EXIT_WAIT_MS = 1_000;
/** How long the last lines of standard error are waited for after the process ended. */
const STDERR_WAIT_MS = 100;

export class WorkerProcess {
  private current: WorkerState = { kind: "starting" };
  private readonly timers = new Set<NodeJS.Timeout>();
  private readonly up = settleable();
  private readonly gone = settleable();
  /** Why it will never be up, as it was told to those who waited for that. */
  private neverUp: StingrayError | undefined;
  private binding: Promise<void> | undefined;
  private startFailed = false;
  /** Of which job and environment, from the moment that it was chosen for it. */
  env: WorkerEnv | undefined;
  /** Somebody uses it, or waits for it: nobody else may. */
  taken = false;
  /** How often it was taken. */
  uses = 0;
  /** Had GPUs: its libraries remember them, so it is not used again. */
  hadGpus = false;
  /** When it was last asked to end, something would have been lost with it. */
  kept = false;
  /** It was killed for want of memory. */
  memoryEnd: MemoryEnd | undefined;
  /** Why it is to be replaced: it has run as many calls as it may. */
  retired: string | undefined;

  constructor(
    readonly id: ProcessId,
    private readonly child: ChildProcess,
    private readonly capture: OutputCapture,
    readonly startedWith: readonly string[],
    private readonly hooks: WorkerHooks,
    private readonly times: WorkerTimes,
  ) {
    this.up.promise.catch(() => undefined); // whoever takes the worker learns of it
    child.once("exit", (code, signal) => void this.onExit(code, signal));
    child.once("error", (error) => {
      if (child.pid === undefined) void this.onExit(null, null, error);
    });
    this.after(times.startMs, () => {
      if (this.current.kind !== "starting") return;
      this.startFailed = true;
      this.kill(`did not start within ${times.startMs} ms`);
    });
  }

  get state(): WorkerState {
    return this.current;
  }
  get pid(): number {
    return this.child.pid ?? 0;
  }
  /** Neither ending nor gone. */
  get usable(): boolean {
    return this.current.kind !== "ending" && this.current.kind !== "exited";
  }
  /** Why it was never up, if that was not because it was to end; known once it is gone. */
  get neverStarted(): StingrayError | undefined {
    return this.startFailed ? this.neverUp : undefined;
  }
  /** Bound and in nobody's hands. */
  get idle(): boolean {
    return this.current.kind === "bound" && !this.taken;
  }

  /** `worker.ready` arrived. */
  ready(): void {
    if (this.current.kind !== "starting") return;
    this.step({ kind: "ready" });
    this.up.resolve();
  }

  /**
   * Binds it to a job and environment, once; later calls wait for the same outcome.
   * @throws RuntimeEnvError with the last lines of its standard error; the process is ended then
   */
  bind(env: WorkerEnv): Promise<void> {
    this.env = env;
    this.binding ??= this.bindOnce(env);
    return this.binding;
  }

  private async bindOnce(env: WorkerEnv): Promise<void> {
    try {
      await this.up.promise;
      this.step({ kind: "bind" });
      await this.hooks.bind(this, env);
      if (!this.usable) throw new RuntimeEnvError("the worker ended while it was prepared");
      this.step({ kind: "bindDone" });
      if (!this.taken) this.step({ kind: "givenBack", at: performance.now() });
    } catch (thrown) {
      const error = toError(thrown);
      // Its channel breaks a moment before its end is known, which says more.
      if (error instanceof ConnectionError) await Promise.race([this.gone.promise, this.pause(EXIT_WAIT_MS)]);
      const late = error instanceof TimeoutError && this.usable;
      this.kill(late ? "did not end its preparation in time" : "could not be prepared");
      await Promise.race([this.gone.promise, this.pause(2_000)]);
      throw this.startError(error);
    }
  }

  take(): void {
    this.taken = true;
    this.kept = false;
    this.uses++;
    this.step({ kind: "taken" });
  }
  giveBack(): void {
    this.taken = false;
    this.step({ kind: "givenBack", at: performance.now() });
  }

  /** Asks it to end, then SIGTERM, then SIGKILL, a grace time apart. */
  end(reason: string, graceMs = this.times.graceMs): void {
    if (!this.usable) return;
    const polite = this.current.kind !== "starting";
    this.step({ kind: "end", reason });
    if (!polite) {
      this.signal("SIGKILL");
      return;
    }
    this.hooks.askToEnd(this, reason);
    this.after(graceMs, () => this.signal("SIGTERM"));
    this.after(graceMs * 2, () => this.signal("SIGKILL"));
  }

  /** SIGKILL at once. The first reason given is the one reported. */
  kill(reason: string): void {
    if (this.current.kind === "exited") return;
    this.step({ kind: "end", reason });
    this.signal("SIGKILL");
  }

  /** Resolves when the process is gone and its report was handed on. */
  whenGone(): Promise<void> {
    return this.gone.promise;
  }
  /** Resolves when all that it printed was handed on. Never rejects. */
  drained(): Promise<void> {
    return this.capture.drained();
  }

  private signal(signal: NodeJS.Signals): void {
    if (this.current.kind !== "exited") this.child.kill(signal);
  }

  private async onExit(code: number | null, signal: string | null, error?: Error): Promise<void> {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    const reason = this.current.kind === "ending" ? this.current.reason : undefined;
    this.startFailed ||= this.current.kind === "starting";
    this.step({ kind: "end", reason: "exited" });
    await Promise.race([this.capture.drained(), this.pause(STDERR_WAIT_MS)]);
    const report: ExitReport = { pid: this.pid, stderr: this.capture.stderrTail() };
    if (code !== null) report.exitCode = code;
    if (signal !== null) report.signal = signal;
    if (reason !== undefined) report.reason = reason;
    else if (error !== undefined) report.reason = `could not be started: ${error.message}`;
    if (this.memoryEnd !== undefined) report.memory = this.memoryEnd;
    Object.assign(report, this.hooks.exitFacts?.(this, report));
    this.step({ kind: "exit", report });
    this.neverUp = this.startError(error);
    this.up.reject(this.neverUp);
    this.hooks.exited(this, report);
    this.gone.resolve();
  }

  private startError(cause: Error | undefined): StingrayError {
    if (cause !== undefined && cause === this.neverUp) return this.neverUp;
    const report = this.current.kind === "exited" ? this.current.report : undefined;
    return startError(this.pid, cause, report, this.capture.stderrTail());
  }

  private step(event: WorkerEvent): void {
    this.current = nextWorkerState(this.current, event);
  }

  private after(ms: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      then();
    }, ms);
    timer.unref();
    this.timers.add(timer);
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }
}

interface Settleable {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}
function settleable(): Settleable {
  let resolve!: () => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
