import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { StingrayError, TimeoutError } from "@stingray/protocol";
import type { Subject } from "../measure.js";
import type { Scale } from "../scale.js";

const START_TIMEOUT_MS = 90_000;
const COMMAND_TIMEOUT_MS = 120_000;
const QUIT_TIMEOUT_MS = 20_000;

interface Answer {
  ok: boolean;
  error?: string;
  value?: number;
}

/** Path of a Python program of the benchmark. */
export function rayProgram(name: string): string {
  return fileURLToPath(new URL(`../../../ray/${name}`, import.meta.url));
}

/** A running Ray that measures its side of a case, one round at a time, whenever it is asked to. */
export class RayPeer {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #directory: string;
  #broken: Error | undefined;

  private constructor(child: ChildProcess, answers: AsyncIterator<string>, directory: string) {
    this.#child = child;
    this.#answers = answers;
    this.#directory = directory;
  }

  /** Starts Ray with the given Python. Rejects with a StingrayError when it does not come up within 90 s. */
  static async start(python: string, scale: Scale): Promise<RayPeer> {
    // A directory and a process group of its own, so that nothing of it can be left behind.
    const directory = await mkdtemp(join(tmpdir(), "ray-"));
    const child = spawn(python, [rayProgram("ray_micro.py"), JSON.stringify(scale), directory], {
      stdio: ["pipe", "pipe", "ignore"],
      detached: true,
    });
    child.stdin.on("error", () => {}); // its end shows as a missing answer
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.on("error", () => child.stdout.destroy());
    try {
      const hello = await nextAnswer(answers, START_TIMEOUT_MS);
      if (!hello.ok) throw refused(hello);
      return new RayPeer(child, answers, directory);
    } catch (error) {
      killGroup(child);
      await removeDirectory(directory);
      throw error;
    }
  }

  /** The Ray side of a case. */
  subject(caseName: string): Subject {
    let opened = false;
    return {
      name: "ray",
      warmUp: async (seconds) => {
        await this.#ask({ op: "open", case: caseName });
        opened = true;
        await this.#ask({ op: "warm", seconds });
      },
      round: async (seconds) => {
        const { value } = await this.#ask({ op: "round", seconds });
        if (value === undefined) throw new StingrayError("Ray answered a round without a value");
        return value;
      },
      end: async () => {
        if (opened && !this.#broken) await this.#ask({ op: "close" });
      },
    };
  }

  /** Ends Ray with all its processes. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child.exitCode === null && child.signalCode === null) {
      const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      child.stdin?.end('{"op":"quit"}\n');
      const timer = setTimeout(() => killGroup(child), QUIT_TIMEOUT_MS);
      await exited;
      clearTimeout(timer);
    }
    killGroup(child); // what outlived its leader
    await removeDirectory(this.#directory);
  }

  async #ask(command: Record<string, unknown>): Promise<Answer> {
    if (this.#broken) throw this.#broken;
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
    let answer: Answer;
    try {
      answer = await nextAnswer(this.#answers, COMMAND_TIMEOUT_MS);
    } catch (error) {
      // An answer that is late would be taken for that of the next command, so there is no next command.
      this.#broken = error instanceof Error ? error : new StingrayError(String(error));
      killGroup(this.#child);
      throw error;
    }
    if (!answer.ok) throw refused(answer); // this case failed inside Ray; Ray itself goes on
    return answer;
  }
}

function refused(answer: Answer): StingrayError {
  return new StingrayError(answer.error ?? "Ray gave no reason");
}

async function nextAnswer(answers: AsyncIterator<string>, timeoutMs: number): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new TimeoutError(`Ray gave no answer within ${timeoutMs / 1000} s`)),
      timeoutMs,
    );
  });
  try {
    const line = await Promise.race([answers.next(), late]);
    if (line.done) throw new StingrayError("Ray's process ended without an answer");
    const answer: unknown = JSON.parse(line.value);
    if (!isAnswer(answer)) throw new StingrayError(`Ray answered what is no answer: ${line.value}`);
    return answer;
  } finally {
    clearTimeout(timer);
  }
}

function isAnswer(value: unknown): value is Answer {
  return typeof value === "object" && value !== null && "ok" in value && typeof value.ok === "boolean";
}

/** Daemons that are just being killed may still write, hence the retries. */
async function removeDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // nothing of the group is left
  }
}
