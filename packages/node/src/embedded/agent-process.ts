/**
 * An agent as a child process. It is started before anything is known that it needs, so that it loads its modules
 * while the broker starts; it ends when its channel to us closes, however that comes about.
 */
import { fork, type ChildProcess } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  ConnectionError,
  ProtocolError,
  decodeError,
  isNodeId,
  isProcessId,
  mapOf,
  number,
  record,
  shape,
  text,
  wireErrorCheck,
  type NodeId,
  type ProcessId,
  type StingrayError,
} from "@stingray/protocol";
import type { AgentOptions } from "../agent/options.js";
import { captureOutput, type OutputCapture } from "../logs/mod.js";
import { removeRemains } from "../sweep.js";

/** What an agent says of itself when it is ready. */
export interface AgentReady {
  node: NodeId;
  agent: ProcessId;
  socketDir: string;
  secret: string;
  storeDir: string;
  /** What it offers, GPUs that it found included. */
  total: Readonly<Record<string, number>>;
  labels: Readonly<Record<string, string>>;
}

/**
 * - `forked`: loads its modules, waits for its options or starts.
 * - `ready`: is part of the cluster.
 * - `failed`: said that it could not start.
 * - `exited`: the process is gone.
 */
export type AgentState =
  | { kind: "forked" }
  | { kind: "ready"; ready: AgentReady }
  | { kind: "failed"; error: StingrayError }
  | { kind: "exited"; code: number | null; signal: NodeJS.Signals | null; ready: AgentReady | undefined };
type AgentEvent =
  | { kind: "ready"; ready: AgentReady }
  | { kind: "failed"; error: StingrayError }
  | { kind: "exit"; code: number | null; signal: NodeJS.Signals | null };

/** The one transition function. What comes after the end, or twice, changes nothing. */
export function nextAgentState(state: AgentState, event: AgentEvent): AgentState {
  if (state.kind === "exited") return state;
  if (event.kind === "exit") {
    return {
      kind: "exited",
      code: event.code,
      signal: event.signal,
      ready: state.kind === "ready" ? state.ready : undefined,
    };
  }
  return state.kind === "forked" ? event : state;
}

const AGENT_MAIN = fileURLToPath(new URL("../agent/main.js", import.meta.url));

const checkReady = record<AgentReady>({
  node: shape(isNodeId, "a node id"),
  agent: shape(isProcessId, "a process id"),
  socketDir: text,
  secret: text,
  storeDir: text,
  total: mapOf(number),
  labels: mapOf(text),
});
const checkFailed = wireErrorCheck();

export interface AgentProcessOptions {
  /** What it prints, line by line. */
  log?: ((line: string) => void) | undefined;
  /** Another main program, for tests. */
  main?: string | undefined;
  /** @defaultValue this process's */
  env?: NodeJS.ProcessEnv | undefined;
}

export class AgentProcess {
  private current: AgentState = { kind: "forked" };
  private readonly capture: OutputCapture;
  private readonly lastLines: string[] = [];
  private nodeDir: string | undefined;
  private readonly changed = new Set<() => void>();

  private constructor(
    readonly child: ChildProcess,
    log: ((line: string) => void) | undefined,
  ) {
    this.capture = captureOutput(child, {
      worker: "agent",
      pid: child.pid ?? 0,
      onLines: (_stream, _name, lines) => {
        this.lastLines.push(...lines);
        this.lastLines.splice(0, this.lastLines.length - LAST_LINES);
        for (const line of lines) log?.(`node agent (pid ${child.pid}): ${line}`);
      },
    });
    child.on("message", (message) => this.onMessage(message));
    child.once("exit", (code, signal) => this.step({ kind: "exit", code, signal }));
    child.once("error", () => {
      // Without a pid it never ran and there is no exit to come.
      if (child.pid === undefined) this.step({ kind: "exit", code: null, signal: null });
    });
  }

  /** Starts the process. It does nothing but load its modules before {@link begin}. */
  static fork(options: AgentProcessOptions = {}): AgentProcess {
    const child = fork(options.main ?? AGENT_MAIN, [], {
      // The driver's own (loaders, inspectors) are for workers, not for the agent.
      execArgv: [],
      ...(options.env && { env: options.env }),
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      // Ctrl-C goes to a terminal's whole process group; the driver decides when its cluster ends.
      detached: true,
    });
    return new AgentProcess(child, options.log);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }
  get state(): AgentState {
    return this.current;
  }

  /** Tells it what to be. A process that is gone already shows in {@link ready}. */
  begin(options: AgentOptions): void {
    if (options.runtimeDir !== undefined && options.node !== undefined) {
      this.nodeDir = join(options.runtimeDir, options.node);
    }
    if (this.child.connected) this.child.send(options, () => undefined);
  }

  /**
   * Resolves when it is part of the cluster.
   * @throws what it said, or ConnectionError with its last output where it ended, or took longer than `timeoutMs`
   */
  async ready(timeoutMs: number): Promise<AgentReady> {
    await this.until((state) => state.kind !== "forked", timeoutMs);
    const state = this.current;
    if (state.kind === "ready") return state.ready;
    if (state.kind === "failed") throw state.error;
    if (state.kind === "exited") {
      await Promise.race([this.capture.drained(), pause(OUTPUT_WAIT_MS)]);
      throw this.startError(`ended (${howItEnded(state)}) before it was ready`);
    }
    throw this.startError(`was not ready within ${timeoutMs} ms`);
  }

  /** Resolves when the process has ended, at once if it has. */
  async exited(): Promise<void> {
    await this.until(isExited);
  }

  /** Asks it to take on nothing new, to have what is there end or move, and then to end; it knows its deadline. */
  drain(): void {
    this.child.kill("SIGTERM");
  }

  /**
   * Ends it: politely by closing its channel, after `timeoutMs` with SIGKILL; then removes what it left. Idempotent.
   * @returns false if it had to be killed
   */
  async stop(timeoutMs: number): Promise<boolean> {
    this.keepAlive(true);
    const readyBefore = readyOf(this.current);
    if (this.child.connected) this.child.disconnect();
    // One that never became ready has nothing to put in order.
    const polite = readyBefore !== undefined && (await this.until(isExited, timeoutMs));
    if (!isExited(this.current)) {
      this.child.kill("SIGKILL");
      await this.until(isExited, KILL_WAIT_MS);
    }
    if (readyBefore !== undefined) await removeRemains(readyBefore);
    // One that was killed while it started has told nothing of what it made.
    if (this.nodeDir !== undefined) await rm(this.nodeDir, { recursive: true, force: true });
    return polite;
  }

  /** Whether this process goes on only because the agent lives. After the start: no. */
  keepAlive(yes: boolean): void {
    const handles: unknown[] = [this.child, this.child.channel, this.child.stdout, this.child.stderr];
    for (const handle of handles) {
      const refs = handle as { ref?: () => void; unref?: () => void } | null | undefined;
      if (yes) refs?.ref?.();
      else refs?.unref?.();
    }
  }

  private onMessage(message: unknown): void {
    try {
      const body = message as { ready?: unknown; failed?: unknown } | null;
      if (body?.ready !== undefined) {
        this.step({ kind: "ready", ready: checkReady(body.ready, "agent.ready") });
      } else if (body?.failed !== undefined) {
        this.step({ kind: "failed", error: decodeError(checkFailed(body.failed, "agent.failed")) });
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.step({ kind: "failed", error });
    }
  }

  private step(event: AgentEvent): void {
    const next = nextAgentState(this.current, event);
    if (next === this.current) return;
    this.current = next;
    for (const look of this.changed) look();
  }

  /** Resolves true when the state is as wanted, false after the time. */
  private until(wanted: (state: AgentState) => boolean, timeoutMs?: number): Promise<boolean> {
    if (wanted(this.current)) return Promise.resolve(true);
    return new Promise((resolve) => {
      const done = (outcome: boolean): void => {
        clearTimeout(timer);
        this.changed.delete(look);
        resolve(outcome);
      };
      const look = (): void => {
        if (wanted(this.current)) done(true);
      };
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => done(false), timeoutMs);
      this.changed.add(look);
    });
  }

  private startError(what: string): ConnectionError {
    const output =
      this.lastLines.length === 0 ? "It printed nothing." : `Its last output:\n${this.lastLines.join("\n")}`;
    return new ConnectionError(`the node agent (pid ${this.pid}) ${what}. ${output}`, {
      detail: { pid: this.pid, output: this.lastLines },
    });
  }
}

const LAST_LINES = 20;
const OUTPUT_WAIT_MS = 200;
const KILL_WAIT_MS = 2_000;

const isExited = (state: AgentState): boolean => state.kind === "exited";

function readyOf(state: AgentState): AgentReady | undefined {
  return state.kind === "ready" || state.kind === "exited" ? state.ready : undefined;
}

function howItEnded({ code, signal }: { code: number | null; signal: NodeJS.Signals | null }): string {
  return signal ?? (code === null ? "could not be started" : `exit code ${code}`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
