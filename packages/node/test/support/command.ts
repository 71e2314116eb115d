/** The `stingray` command as a process of its own, with a runtime directory that no other test sees. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { eventually } from "@stingray/protocol/testing";
import { runCommand } from "../../src/cli/main.js";

const BIN = fileURLToPath(new URL("../../../../stingray/bin/stingray.js", import.meta.url));

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A command that was started. Its output grows while it runs. */
export class RunningCommand {
  stdout = "";
  stderr = "";
  private readonly closed: Promise<unknown>;

  constructor(readonly child: ChildProcess) {
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.closed = once(child, "close");
  }

  async finished(): Promise<Finished> {
    await this.closed;
    return { code: this.child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }

  /** Resolves with the id of the node when the command says that it is up. */
  async up(): Promise<string> {
    await eventually(
      () => {
        if (this.child.exitCode !== null) throw new Error(`it ended: ${this.stderr}`);
        return this.stdout.includes("To end it");
      },
      { message: `the node is up (${this.stderr})`, timeoutMs: 15_000 },
    );
    return /Node (\w+) is up/.exec(this.stdout)?.[1] ?? "";
  }

  get address(): string {
    return /STINGRAY_ADDRESS='([^']+)'/.exec(this.stdout)?.[1] ?? "";
  }
}

/** Starts `stingray <args>`; nothing of our own environment's STINGRAY_ settings reaches it but the nats-server. */
export function stingray(
  runtimeDir: string,
  args: readonly string[],
  env: Record<string, string> = {},
): RunningCommand {
  const clean = Object.entries(process.env).filter(
    ([name]) => !name.startsWith("STINGRAY_") || name === "STINGRAY_NATS_SERVER" || name === "STINGRAY_CACHE",
  );
  return new RunningCommand(
    spawn(process.execPath, [BIN, ...args], {
      env: { ...Object.fromEntries(clean), ...env, STINGRAY_RUNTIME_DIR: runtimeDir },
      stdio: ["ignore", "pipe", "pipe"],
    }),
  );
}

/**
 * The same in this process, which is faster: for commands that look or end, and do not stay. Settings of the
 * environment are as for {@link stingray}.
 */
export async function stingrayHere(runtimeDir: string, args: readonly string[]): Promise<Finished> {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith("STINGRAY_")) delete process.env[name];
  process.env["STINGRAY_RUNTIME_DIR"] = runtimeDir;
  const finished: Finished = { code: null, stdout: "", stderr: "" };
  try {
    finished.code = await runCommand(args, {
      say: (text) => (finished.stdout += `${text}\n`),
      note: (text) => (finished.stderr += `${text}\n`),
    });
  } finally {
    Object.assign(process.env, before);
    if (before["STINGRAY_RUNTIME_DIR"] === undefined) delete process.env["STINGRAY_RUNTIME_DIR"];
  }
  return finished;
}
