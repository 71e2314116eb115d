import { spawn } from "node:child_process";
import { StingrayError, TimeoutError } from "@stingray/protocol";

const TIMEOUT_MS = 60_000;

/**
 * Starts a program and resolves to the seconds until it printed its result line. The program is waited for to its end,
 * which is not part of the figure, so that two runs never overlap.
 */
export async function timeToFirstResult(file: string, args: readonly string[]): Promise<number> {
  const env = { ...process.env };
  delete env.STINGRAY_ADDRESS;
  const start = performance.now();
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "ignore"], env, detached: true });
  return new Promise<number>((resolve, reject) => {
    let output = "";
    let seconds: number | undefined;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      killGroup(child.pid);
    }, TIMEOUT_MS);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (/^result 42$/m.test(output)) seconds ??= (performance.now() - start) / 1000;
    });
    child.once("error", (cause) => {
      clearTimeout(timer);
      reject(new StingrayError(`${file} could not be started`, { cause }));
    });
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      if (late)
        reject(new TimeoutError(`${file} ${args.join(" ")} did not end within ${TIMEOUT_MS / 1000} s`));
      else if (seconds === undefined) {
        reject(new StingrayError(`${file} ${args.join(" ")} ended without a result (${signal ?? code})`));
      } else resolve(seconds);
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // it has ended meanwhile
  }
}
