/** The official release, checked against its published checksums. */
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConnectionError, toError } from "@stingray/protocol";
import { runCommand } from "./command.js";
import type { Source } from "./source.js";

/** The version that is installed where there is a choice. */
export const PINNED_VERSION = "2.15.2";

const DEFAULT_BASE = "https://github.com/nats-io/nats-server/releases/download";
/** An unreachable network must not cost more than this, in milliseconds. */
const CONNECT_MS = 5000;
const DOWNLOAD_MS = 180_000;

const OS: Record<string, string> = { linux: "linux", darwin: "darwin", win32: "windows", freebsd: "freebsd" };
const ARCH: Record<string, string> = {
  x64: "amd64",
  arm64: "arm64",
  arm: "arm7",
  ia32: "386",
  s390x: "s390x",
  ppc64: "ppc64le",
};

export const fromRelease: Source = {
  name: "release",
  what: `download of the official release ${PINNED_VERSION}`,
  async get({ work, env, log }) {
    const os = OS[process.platform];
    const arch = ARCH[process.arch];
    if (os === undefined || arch === undefined)
      throw new ConnectionError(`there is none for ${process.platform}/${process.arch}`);
    const name = `nats-server-v${PINNED_VERSION}-${os}-${arch}`;
    const archive = `${name}.${os === "windows" ? "zip" : "tar.gz"}`;
    const base = `${env["STINGRAY_NATS_DOWNLOAD_URL"] || DEFAULT_BASE}/v${PINNED_VERSION}`;
    const sums = new TextDecoder().decode(await download(`${base}/SHA256SUMS`));
    log(`nats-server: downloading ${base}/${archive}`);
    const bytes = await download(`${base}/${archive}`);
    check(archive, bytes, sums);
    const file = join(work, archive);
    await writeFile(file, bytes);
    // tar of Windows and macOS reads zip too.
    await runCommand("tar", ["-xf", file, "-C", work], { timeoutMs: 60_000, env });
    const path = join(work, name, os === "windows" ? "nats-server.exe" : "nats-server");
    await readFile(path).catch((error: unknown) => {
      throw new ConnectionError(`${archive} holds no ${name}/nats-server`, { cause: error });
    });
    return path;
  },
};

async function download(url: string): Promise<Uint8Array> {
  const abort = new AbortController();
  let late = false;
  const stop = (): void => {
    late = true;
    abort.abort();
  };
  let timer = setTimeout(stop, CONNECT_MS);
  try {
    const response = await fetch(url, { signal: abort.signal, redirect: "follow" });
    clearTimeout(timer);
    timer = setTimeout(stop, DOWNLOAD_MS);
    if (!response.ok) throw new ConnectionError(`${url} answers ${response.status} ${response.statusText}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    if (error instanceof ConnectionError) throw error;
    const why = late ? "took too long" : reasonOf(error);
    throw new ConnectionError(`${url} can't be fetched: ${why}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** `fetch` says only "fetch failed"; the reason is in the cause. */
function reasonOf(thrown: unknown): string {
  const error = toError(thrown);
  if (!(error.cause instanceof Error)) return error.message;
  return error.cause.message || ((error.cause as NodeJS.ErrnoException).code ?? error.message);
}

function check(archive: string, bytes: Uint8Array, sums: string): void {
  const line = sums.split("\n").find((text) => text.trim().split(/\s+\*?/)[1] === archive);
  const want = line?.trim().split(/\s+/)[0];
  if (want === undefined) throw new ConnectionError(`SHA256SUMS does not list ${archive}`);
  const got = createHash("sha256").update(bytes).digest("hex");
  if (got !== want.toLowerCase())
    throw new ConnectionError(
      `the checksum of ${archive} is ${got} instead of ${want}: it was not installed`,
    );
}
