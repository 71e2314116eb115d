/** Removing what agents left that could not clean up after themselves. */
import { readdir, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { isNodeId } from "@stingray/protocol";
import { runtimeRoot, scanNodes } from "./runtime-files.js";

/** A directory without a readable file is left alone for so long: its agent may be starting. Milliseconds. */
const UNKNOWN_AFTER_MS = 10 * 60_000;
/** Logs of ended nodes are kept for so long, to be read. Milliseconds. */
const LOGS_AFTER_MS = 24 * 3_600_000;

/**
 * Removes the sockets, files and object stores of agents that are gone, and old logs.
 * @returns the ids of the dead nodes whose remains were removed
 */
export async function sweepDeadNodes(root: string = runtimeRoot()): Promise<string[]> {
  const swept: string[] = [];
  const found = await scanNodes(root);
  for (const node of found) {
    if (node.kind === "live" || (node.kind === "unknown" && node.ageMs < UNKNOWN_AFTER_MS)) continue;
    if (node.kind === "dead") await removeRemains(node.file);
    await remove(node.dir);
    swept.push(basename(node.dir));
  }
  const live = new Set(found.filter(({ kind }) => kind === "live").map(({ dir }) => basename(dir)));
  await sweepLogs(join(root, "logs"), live);
  return swept;
}

/** Removes the sockets and the object store of one node whose processes are gone. Those that are not there are no error. */
export async function removeRemains(of: {
  node: string;
  socketDir: string;
  storeDir: string;
}): Promise<void> {
  // Directories of a node are named after it. Anything else is none, whatever a file says.
  const dirs = [of.socketDir, of.storeDir].filter((dir) => basename(dir) === of.node);
  await Promise.all(dirs.map(remove));
}

async function sweepLogs(dir: string, live: ReadonlySet<string>): Promise<void> {
  const names = await readdir(dir).catch(() => []);
  const limit = Date.now() - LOGS_AFTER_MS;
  for (const name of names) {
    if (!isNodeId(name.split(".")[0]) || live.has(name.split(".")[0] ?? "")) continue;
    const path = join(dir, name);
    const stats = await stat(path).catch(() => undefined);
    if (stats !== undefined && stats.mtimeMs < limit) await remove(path);
  }
}

async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}
