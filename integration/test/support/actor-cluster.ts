/** A cluster inside the tests' process, with a check that nothing of it stays. */
import { randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { init, shutdown, type Cluster, type InitOptions } from "stingray";

setFlagsFromString("--expose-gc");
/** A full garbage collection. */
export const collectGarbage = runInNewContext("gc") as () => void;

/** Every process of a cluster inherits it, so that none can hide. */
const MARK = "STINGRAY_ACTOR_TEST";
const REMAINS_MS = 5_000;

/** Resolves when `check` returns something true; fails with the last reason after `timeoutMs`. */
export async function eventually<T>(
  check: () => T | Promise<T>,
  what: string,
  timeoutMs = 10_000,
): Promise<Exclude<T, false | 0 | "" | null | undefined>> {
  const deadline = performance.now() + timeoutMs;
  let reason: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value) return value as Exclude<T, false | 0 | "" | null | undefined>;
      reason = value;
    } catch (error) {
      reason = error;
    }
    if (performance.now() > deadline)
      throw new Error(`${what}: not within ${timeoutMs} ms`, { cause: reason });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What a promise rejects with; fails if it does not. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  return promise.then(
    (value) => {
      throw new Error(`resolved with ${String(value)} instead of rejecting`);
    },
    (error: unknown) => error as Error & { code?: string },
  );
}

/** Whether a process runs; one that ended and was not yet collected does not. */
export function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX] /s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

export class TestCluster implements AsyncDisposable {
  private constructor(
    readonly cluster: Cluster,
    /** For files that actors write; removed in the end. */
    readonly directory: string,
    private readonly mark: string,
    private readonly memoryBefore: readonly string[],
  ) {}

  static async start(options: InitOptions = {}): Promise<TestCluster> {
    const directory = mkdtempSync(join(tmpdir(), "st-actors-"));
    const mark = randomUUID();
    const before = sharedMemory();
    process.env[MARK] = mark;
    const cluster = await init({
      cpus: 2,
      gpus: 0,
      logToDriver: false,
      objectStoreMemory: 64 << 20,
      ...options,
    });
    return new TestCluster(cluster, directory, mark, before);
  }

  file(name: string): string {
    return join(this.directory, name);
  }

  /** Ends it. @throws Error naming the processes and shared memory that are still there a while later */
  async end(): Promise<void> {
    await shutdown();
    delete process.env[MARK];
    rmSync(this.directory, { recursive: true, force: true });
    await eventually(
      () => {
        const left = [
          ...processesOf(this.mark),
          ...sharedMemory().filter((f) => !this.memoryBefore.includes(f)),
        ];
        if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
        return true;
      },
      "everything of the cluster goes with it",
      REMAINS_MS,
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}

function processesOf(mark: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      return (
        readFileSync(`/proc/${pid}/environ`, "utf8").includes(`${MARK}=${mark}`) && isRunning(Number(pid))
      );
    } catch {
      return false;
    }
  });
}

function sharedMemory(): string[] {
  try {
    return readdirSync("/dev/shm").filter((name) => name.startsWith("stingray"));
  } catch {
    return [];
  }
}

/** The lines of a file; none while it is not there. */
export function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "utf8")
      .trimEnd()
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return [];
  }
}
