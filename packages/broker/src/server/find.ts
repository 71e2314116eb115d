/** Finding a nats-server, or getting one, without asking for root and without leaving anything outside our cache. */
import { access, constants, readdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { ConnectionError, toError } from "@stingray/protocol";
import { OLDEST_SERVER, isAtLeast } from "../connect/features.js";
import { binaryName, cacheDir, install, versionOf } from "./cache.js";
import { fromDebian } from "./install/debian.js";
import { fromGo } from "./install/golang.js";
import { PINNED_VERSION, fromRelease } from "./install/release.js";
import type { Log, Source } from "./install/source.js";

export interface FindOptions {
  /** Told what is looked at and what an installation is doing. */
  log?: Log;
  /** Get one where there is none. @defaultValue true */
  install?: boolean;
  /** @defaultValue process.env */
  env?: NodeJS.ProcessEnv;
}
export interface FoundServer {
  path: string;
  /** For example `2.15.2`. */
  version: string;
  from: "STINGRAY_NATS_SERVER" | "PATH" | "cache" | Source["name"];
}

/** In this order: the official release, the distribution's package, a build from source. */
const SOURCES: readonly Source[] = [fromRelease, fromDebian, fromGo];

/**
 * Looks at STINGRAY_NATS_SERVER, on the PATH and in the cache (STINGRAY_CACHE, or `stingray` in XDG_CACHE_HOME, or
 * `~/.cache/stingray`); where there is none that is recent enough, installs one into the cache. Several processes may do so at once.
 *
 * @throws ConnectionError naming all that was tried, how it failed, and the command that mends it
 */
export async function findNatsServer(options: FindOptions = {}): Promise<FoundServer> {
  const env = options.env ?? process.env;
  const log = options.log ?? ((): void => undefined);
  const found = (await named(env)) ?? (await onPath(env, log)) ?? (await cached(env));
  if (found !== undefined) return found;
  const dir = cacheDir(env);
  if (options.install === false) throw missing(["installing was not asked for"]);
  const failures: string[] = [];
  for (const source of SOURCES) {
    const started = Date.now();
    log(`nats-server: ${source.what}`);
    try {
      const { path, version } = await install(source, dir, env, log);
      log(`nats-server: ${version} installed as ${path} in ${((Date.now() - started) / 1000).toFixed(1)} s`);
      return { path, version, from: source.name };
    } catch (error) {
      const why = toError(error).message;
      log(`nats-server: not so: ${why}`);
      failures.push(`${source.what}: ${why}`);
    }
  }
  throw missing(failures);
}

function missing(failures: readonly string[]): ConnectionError {
  return new ConnectionError(
    `there is no nats-server ${OLDEST_SERVER} or newer: not named by STINGRAY_NATS_SERVER, not on the PATH, not in the cache.\n` +
      failures.map((failure) => `  - ${failure}\n`).join("") +
      `To mend it: go install github.com/nats-io/nats-server/v2@v${PINNED_VERSION}, or get it from ` +
      "https://github.com/nats-io/nats-server/releases and set STINGRAY_NATS_SERVER to its path",
    { detail: { tried: failures } },
  );
}

/** Named by hand: it must be right, nothing else is taken instead. */
async function named(env: NodeJS.ProcessEnv): Promise<FoundServer | undefined> {
  const path = env["STINGRAY_NATS_SERVER"];
  if (path === undefined || path === "") return undefined;
  let version: string;
  try {
    version = await versionOf(path);
  } catch (error) {
    throw new ConnectionError(
      `STINGRAY_NATS_SERVER is ${path}, which does not run as a nats-server (${toError(error).message}): correct or unset it`,
      { cause: error },
    );
  }
  if (!isAtLeast(version, OLDEST_SERVER))
    throw new ConnectionError(
      `STINGRAY_NATS_SERVER is ${path}, version ${version}, and ${OLDEST_SERVER} or newer is needed: name a newer one or unset it`,
    );
  return { path, version, from: "STINGRAY_NATS_SERVER" };
}

async function onPath(env: NodeJS.ProcessEnv, log: Log): Promise<FoundServer | undefined> {
  for (const dir of (env["PATH"] ?? "").split(delimiter)) {
    if (dir === "") continue;
    const path = join(dir, binaryName);
    try {
      await access(path, constants.X_OK);
    } catch {
      continue;
    }
    const version = await versionOf(path).catch((error: unknown) => toError(error).message);
    if (isAtLeast(version, OLDEST_SERVER)) return { path, version, from: "PATH" };
    log(`nats-server: ${path} is not used: ${version}`);
  }
  return undefined;
}

/** The newest in the cache. */
async function cached(env: NodeJS.ProcessEnv): Promise<FoundServer | undefined> {
  const dir = cacheDir(env);
  const names = await readdir(dir).catch(() => []);
  let best: FoundServer | undefined;
  for (const name of names) {
    if (!/^v\d/.test(name)) continue;
    const path = join(dir, name, binaryName);
    const version = await versionOf(path).catch(() => "");
    if (isAtLeast(version, OLDEST_SERVER) && (best === undefined || isAtLeast(version, best.version)))
      best = { path, version, from: "cache" };
  }
  return best;
}
