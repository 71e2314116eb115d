/** Our directory of installed servers: `<cache>/nats-server/v<version>/nats-server`. */
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { ConnectionError } from "@stingray/protocol";
import { OLDEST_SERVER, isAtLeast } from "../connect/features.js";
import { runCommand } from "./install/command.js";
import type { Log, Source } from "./install/source.js";

export const binaryName = process.platform === "win32" ? "nats-server.exe" : "nats-server";

/** Age in milliseconds after which a working directory is taken for one that a killed installation left. */
const ABANDONED_MS = 3_600_000;

export function cacheDir(env: NodeJS.ProcessEnv): string {
  return join(baseDir(env), "nats-server");
}

function baseDir(env: NodeJS.ProcessEnv): string {
  if (env["STINGRAY_CACHE"]) return env["STINGRAY_CACHE"];
  if (env["XDG_CACHE_HOME"]) return join(env["XDG_CACHE_HOME"], "stingray");
  return join(env["HOME"] || homedir(), ".cache", "stingray");
}

/** Asks the binary itself. Rejects where it does not run or is something else. */
export async function versionOf(path: string): Promise<string> {
  const { stdout } = await runCommand(path, ["--version"], { timeoutMs: 10_000 });
  const match = /^nats-server: v(\S+)/.exec(stdout.trim());
  if (match === null) throw new ConnectionError(`${path} --version does not answer like a nats-server`);
  return match[1] as string;
}

/**
 * Installs from one source. The work is done in a directory of its own and appears in one step, so that neither a
 * second process nor a killed one leaves or sees half of it.
 */
export async function install(
  source: Source,
  dir: string,
  env: NodeJS.ProcessEnv,
  log: Log,
): Promise<{ path: string; version: string }> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await removeAbandoned(dir);
  const work = await mkdtemp(join(dir, ".work-"));
  try {
    const made = await source.get({ work, env, log });
    await chmod(made, 0o755);
    const version = await versionOf(made);
    if (!isAtLeast(version, OLDEST_SERVER))
      throw new ConnectionError(`it is version ${version}, and ${OLDEST_SERVER} or newer is needed`);
    const ready = join(work, "ready");
    await mkdir(ready);
    await rename(made, join(ready, binaryName));
    const home = join(dir, `v${version}`);
    const path = join(home, binaryName);
    try {
      await rename(ready, home);
    } catch (error) {
      // Another process was faster, or a broken one is in the way.
      if ((await versionOf(path).catch(() => "")) !== version) {
        await rm(home, { recursive: true, force: true });
        await rename(ready, home);
      } else if (!isExisting(error)) throw error;
    }
    return { path, version };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function isExisting(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ENOTEMPTY" || code === "EEXIST" || code === "EPERM";
}

async function removeAbandoned(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (!name.startsWith(".work-")) continue;
    const path = join(dir, name);
    const age = Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now());
    if (age > ABANDONED_MS) await rm(path, { recursive: true, force: true });
  }
}
