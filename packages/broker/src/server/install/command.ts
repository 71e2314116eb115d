/** Running a program to its end, with a deadline and what it said in the error. */
import { spawn } from "node:child_process";
import { ConnectionError } from "@stingray/protocol";

export interface CommandOptions {
  timeoutMs: number;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}

/** Output kept of each stream, in characters. */
const KEPT = 20_000;

/** @throws ConnectionError where it can't be started, fails, or takes longer than `timeoutMs` (it is killed then) */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<{ stdout: string; stderr: string }> {
  const shown = [command, ...args].join(" ");
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      cwd: options.cwd,
      env: options.env,
      // Its own group, so that what it started ends with it.
      detached: true,
    });
    const out = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8");
      child[name].on("data", (chunk: string) => (out[name] = (out[name] + chunk).slice(-KEPT)));
    }
    let late = false;
    const killGroup = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // It ended meanwhile.
      }
    };
    const timer = setTimeout(() => {
      late = true;
      killGroup();
    }, options.timeoutMs);
    // A group of its own gets no Ctrl-C from the terminal: it must not outlive us for that.
    process.once("exit", killGroup);
    const finish = (error?: ConnectionError): void => {
      clearTimeout(timer);
      process.removeListener("exit", killGroup);
      if (error) reject(error);
      else resolve(out);
    };
    child.once("error", (error) =>
      finish(new ConnectionError(`${command} can't be run (${error.message})`, { cause: error })),
    );
    child.once("close", (code, signal) => {
      if (code === 0) return finish();
      const said = (out.stderr || out.stdout).trim().split("\n").slice(-3).join(" / ");
      const how = late
        ? `took longer than ${options.timeoutMs} ms`
        : `ended with ${signal ?? `status ${code}`}`;
      finish(new ConnectionError(`${shown} ${how}${said === "" ? "" : `: ${said}`}`));
    });
  });
}
