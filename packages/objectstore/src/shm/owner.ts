/** Whose store a directory is, and whether that process still lives. */
import { createHash } from "node:crypto";
import { readFile, readlink, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { errorCode } from "./files.js";

const OWNER_FILE = ".owner";

interface Owner {
  readonly kind: "stingray-store";
  /** Several machines may share the file system: nothing else of this can be compared from another one. */
  readonly host: string;
  readonly pid: number;
  /** Tells a process from a later one with the same pid; null where the system does not say. */
  readonly started: string | null;
  readonly boot: string | null;
  /** Containers may share the file system but not the pids. */
  readonly pidNamespace: string | null;
}

const orNull = <T>(promise: Promise<T>): Promise<T | null> => promise.catch(() => null);

/** Start time of a process in clock ticks since boot (Linux), null if unknown or gone. */
async function startTime(pid: number): Promise<string | null> {
  const stat = await orNull(readFile(`/proc/${pid}/stat`, "utf8"));
  if (stat === null) return null;
  // The second field is the name, in parentheses, and may contain anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const STATE = 0;
  const START_TIME = 19;
  return fields[STATE] === "Z" ? null : (fields[START_TIME] ?? null);
}

const bootId = (): Promise<string | null> =>
  orNull(readFile("/proc/sys/kernel/random/boot_id", "utf8").then((id) => id.trim()));
const pidNamespace = (): Promise<string | null> => orNull(readlink("/proc/self/ns/pid"));

/** Tells this machine from others: its name, and its id where it has one. */
async function thisHost(): Promise<string> {
  const id = await orNull(readFile("/etc/machine-id", "utf8"));
  return `${hostname()} ${id?.trim() ?? ""}`.trim();
}

/** This machine as a part of a file name: 50 characters at most of `[a-z0-9-]`, and others for every machine. */
export async function hostLabel(): Promise<string> {
  const host = await thisHost();
  const name = hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, 40);
  return `${name}-${createHash("sha256").update(host).digest("hex").slice(0, 8)}`;
}

/** Marks `dir` as this process's. */
export async function writeOwner(dir: string): Promise<void> {
  const owner: Owner = {
    kind: "stingray-store",
    host: await thisHost(),
    pid: process.pid,
    started: await startTime(process.pid),
    boot: await bootId(),
    pidNamespace: await pidNamespace(),
  };
  await writeFile(join(dir, OWNER_FILE), JSON.stringify(owner), { mode: 0o600 });
}

/** `unknown`: not a store, not readable, or of another machine or container; leave it alone. */
export async function ownerState(dir: string): Promise<"alive" | "dead" | "unknown"> {
  const text = await orNull(readFile(join(dir, OWNER_FILE), "utf8"));
  const owner = text === null ? undefined : parse(text);
  if (owner === undefined || owner.host !== (await thisHost())) return "unknown";
  if (owner.boot !== (await bootId())) return owner.boot === null ? "unknown" : "dead";
  if (owner.pidNamespace !== (await pidNamespace())) return "unknown";
  if (owner.started !== null) return (await startTime(owner.pid)) === owner.started ? "alive" : "dead";
  try {
    process.kill(owner.pid, 0);
    return "alive";
  } catch (thrown) {
    return errorCode(thrown) === "ESRCH" ? "dead" : "alive";
  }
}

function parse(text: string): Owner | undefined {
  try {
    const owner = JSON.parse(text) as Owner;
    return owner.kind === "stingray-store" && Number.isSafeInteger(owner.pid) ? owner : undefined;
  } catch {
    return undefined;
  }
}
