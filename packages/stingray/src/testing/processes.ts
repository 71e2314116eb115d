/** Processes of a test's cluster: found by a mark that they inherit, killed, paused and let go on. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { InvalidArgumentError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";

/** Every process that a cluster starts inherits it, so that none can hide. */
const MARK = "STINGRAY_TEST_MARK";
const END_MS = 10_000;
/**
 * Continues a paused process when the pipe to us closes, however we end: what stands still can't notice that its
 * parent is gone, and would stand there for ever.
 */
const GUARD = `trap '' INT TERM HUP; read -r _; kill -CONT "$1" 2>/dev/null`;

/** Whether a process runs; one that ended and was not yet collected does not. */
export function isRunning(pid: number): boolean {
  return stateOf(pid) !== undefined;
}

/** The letter of its state; undefined where it is gone, or where only its record is left. */
function stateOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const state = stat.slice(stat.lastIndexOf(")") + 2)[0];
    return state === "Z" || state === "X" ? undefined : state;
  } catch {
    return process.platform !== "linux" && answers(pid) ? "?" : undefined;
  }
}

function answers(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** A process of the cluster. */
export class TestProcess {
  private guard: ChildProcess | undefined;

  /** @internal Made by the cluster. */
  constructor(
    readonly pid: number,
    /** For messages. */
    readonly name: string,
  ) {}

  get running(): boolean {
    return isRunning(this.pid);
  }

  get paused(): boolean {
    return this.guard !== undefined;
  }

  /** Kills it as `kill -9` does. Resolves when it is gone. @throws Error where it is not within 10 s */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    this.letGo();
    await this.ended();
  }

  /** Resolves when it has ended, by whatever. @throws Error after the time. @defaultValue 10000 ms */
  async ended(o: { timeoutMs?: number | undefined } = {}): Promise<void> {
    const message = `the end of ${this.name} (pid ${this.pid})`;
    await eventually(() => !this.running, { message, timeoutMs: o.timeoutMs ?? END_MS, intervalMs: 5 });
  }

  /** Stops it in its tracks (SIGSTOP), until {@link resume}. @throws InvalidArgumentError where it does not run */
  async pause(): Promise<void> {
    if (!this.running)
      throw new InvalidArgumentError(`${this.name} (pid ${this.pid}) can't be paused: it has ended`);
    if (this.guard === undefined) {
      const guard = spawn("/bin/sh", ["-c", GUARD, "stingray-pause", String(this.pid)], {
        stdio: ["pipe", "ignore", "ignore"],
        detached: true,
      });
      guard.stdin.on("error", () => undefined); // it was killed: then there is nothing to continue with
      guard.unref();
      (guard.stdin as unknown as { unref?: () => void }).unref?.();
      this.guard = guard;
    }
    this.signal("SIGSTOP");
    await eventually(() => [undefined, "T", "t", "?"].includes(stateOf(this.pid)), {
      message: `${this.name} (pid ${this.pid}) stands still`,
      intervalMs: 2,
    });
  }

  /** Lets it go on. One that is not paused is left alone. */
  async resume(): Promise<void> {
    if (this.guard === undefined) return;
    this.signal("SIGCONT");
    this.letGo();
  }

  private letGo(): void {
    this.guard?.stdin?.end();
    this.guard = undefined;
  }

  private signal(signal: NodeJS.Signals): void {
    try {
      process.kill(this.pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** Processes that were started with a mark in their environment, and all that these have started. */
export class MarkedProcesses {
  private readonly mark = randomUUID();
  private readonly known = new Map<number, TestProcess>();

  /** What they must inherit. */
  get environment(): Record<string, string> {
    return { [MARK]: this.mark };
  }

  of(pid: number, name: string): TestProcess {
    let found = this.known.get(pid);
    if (found === undefined) this.known.set(pid, (found = new TestProcess(pid, name)));
    return found;
  }

  /** Those that run now. Empty where the system has no /proc. */
  running(): { pid: number; command: string }[] {
    const found: { pid: number; command: string }[] = [];
    for (const name of list("/proc")) {
      const pid = Number(name);
      if (!Number.isInteger(pid) || pid === process.pid || !isRunning(pid)) continue;
      try {
        if (!readFileSync(`/proc/${pid}/environ`, "latin1").includes(`${MARK}=${this.mark}`)) continue;
        const command = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ").trim();
        found.push({ pid, command });
      } catch {
        // It ended meanwhile.
      }
    }
    return found;
  }

  async resumeAll(): Promise<void> {
    await Promise.all([...this.known.values()].map((one) => one.resume()));
  }

  killAll(): void {
    for (const { pid } of this.running())
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended meanwhile.
      }
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
