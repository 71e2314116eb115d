import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { StingrayError } from "@stingray/protocol";

const run = promisify(execFile);
const VENV_TIMEOUT_MS = 120_000;
const PIP_TIMEOUT_MS = 900_000;

/** Where the virtual environment of Ray lies: below STINGRAY_CACHE, else the user's cache directory. */
export function rayEnvironment(env: NodeJS.ProcessEnv = process.env): string {
  const cache = env.STINGRAY_CACHE ?? join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "stingray");
  return join(cache, "ray-venv");
}

/** Ray as it lies in its environment. */
export interface RayInstallation {
  /** The Python to run it with. */
  python: string;
  version: string;
}

/**
 * Finds Ray or installs it from PyPI. Rejects with a StingrayError that names
 * the step that failed.
 */
export async function installRay(log: (line: string) => void): Promise<RayInstallation> {
  const venv = rayEnvironment();
  const python = join(venv, "bin", "python");
  const complete = join(venv, ".complete");
  const done = await readFile(complete, "utf8").catch(() => undefined);
  if (done) return { python, version: done.trim() };
  // A half-made environment is not worth repairing. One without the mark may also be whole: then pip has little to do.
  const usable = await run(python, ["--version"], { timeout: 10_000 }).then(
    () => true,
    () => false,
  );
  if (!usable) {
    log(`making a Python environment in ${venv}`);
    await rm(venv, { recursive: true, force: true });
    await mkdir(join(venv, ".."), { recursive: true });
    await step("python3 -m venv", "python3", ["-m", "venv", venv], VENV_TIMEOUT_MS);
  }
  log("installing Ray from PyPI, some minutes the first time");
  const packages = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "ray", "numpy"];
  await step("pip install ray numpy", python, packages, PIP_TIMEOUT_MS);
  const probe = ["-c", "import ray, numpy; print(ray.__version__)"];
  const version = (await step("import ray", python, probe, VENV_TIMEOUT_MS)).trim();
  await writeFile(complete, `${version}\n`);
  return { python, version };
}

async function step(what: string, file: string, args: string[], timeoutMs: number): Promise<string> {
  try {
    return (await run(file, args, { timeout: timeoutMs, killSignal: "SIGKILL" })).stdout;
  } catch (cause) {
    throw new StingrayError(
      `${what} failed (${lastLine(cause)}); Ray needs Python 3 with venv, and PyPI or a mirror of it`,
      { cause },
    );
  }
}

function lastLine(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const stderr = "stderr" in cause && typeof cause.stderr === "string" ? cause.stderr : "";
  return stderr.trim().split("\n").at(-1) || cause.message;
}
