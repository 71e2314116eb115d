/**
 * Where the processes of one user find each other on one machine: a directory (0700) with one directory per node, for
 * its sockets and the file that says how to reach its agent. That file lies among the sockets so that whatever
 * removes them removes it too. The files are hints: what a dead agent left is dropped by whoever reads it.
 */
import { createHash } from "node:crypto";
import { lstatSync, statSync } from "node:fs";
import { mkdir, readFile, readdir, rename, stat, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import {
  InvalidOptionError,
  isNodeId,
  isProcessId,
  list,
  oneOf,
  optional,
  ProtocolError,
  record,
  shape,
  text,
  uint,
  type NodeId,
  type ProcessId,
} from "@stingray/protocol";
import { isAlive } from "./process-info.js";

/** One live agent of this machine, as a driver or the command line needs to know it. */
export interface NodeFile {
  node: NodeId;
  agent: ProcessId;
  pid: number;
  /** Of the process, see `processStartTime`: a pid alone may be another process's by now. */
  startTime: string;
  cluster: string;
  /** Tells clusters of the same name on different brokers apart. */
  clusterId: string;
  subjectRoot: string;
  socketDir: string;
  /** Proves to the node's processes that a process belongs to this user. Why the file is 0600. */
  secret: string;
  storeDir: string;
  /** Without credentials: those are the reader's own business. */
  broker: { servers: string[] };
  startedBy: "command" | "embedded";
  /** The process that started the agent and ends it in order: `stingray start`, or the embedding program. */
  launcher: { pid: number; startTime: string };
  /** Where a detached agent writes what it has to say. */
  logFile?: string | undefined;
  /** Work may go on for so long when the node is told to end, in milliseconds; absent: it ends at once. */
  drainMs?: number | undefined;
}

const nodeFile = record<NodeFile>({
  node: shape(isNodeId, "a node id"),
  agent: shape(isProcessId, "a process id"),
  pid: uint,
  startTime: text,
  cluster: text,
  clusterId: text,
  subjectRoot: text,
  socketDir: text,
  secret: text,
  storeDir: text,
  broker: record<{ servers: string[] }>({ servers: list(text, 1000) }),
  startedBy: oneOf("command", "embedded"),
  launcher: record<{ pid: number; startTime: string }>({ pid: uint, startTime: text }),
  logFile: optional(text),
  drainMs: optional(uint),
});

/** A socket's path is `<root>/<node>/<process>.sock`. */
const SOCKET_PART = "/n0123456789ab/w0123456789ab.sock".length;
/** Bytes of a Unix socket's path that every system takes: 104 with the closing zero on macOS, 108 on Linux. */
const MAX_SOCKET_PATH = 103;

/**
 * The runtime directory of this user: `STINGRAY_RUNTIME_DIR` if set, else `$XDG_RUNTIME_DIR/stingray`, else
 * `<tmp>/stingray-<uid>`; `/tmp` where the others are too long for the path of a Unix socket. Nothing is made.
 * @throws InvalidOptionError where `STINGRAY_RUNTIME_DIR` is too long
 */
export function runtimeRoot(env: NodeJS.ProcessEnv = process.env): string {
  const chosen = env["STINGRAY_RUNTIME_DIR"];
  if (chosen !== undefined && chosen !== "") {
    if (!fitsSockets(chosen)) {
      throw new InvalidOptionError(
        `STINGRAY_RUNTIME_DIR: "${chosen}" is too long for the path of a Unix socket; ` +
          `use a directory of at most ${MAX_SOCKET_PATH - SOCKET_PART} bytes`,
      );
    }
    return chosen;
  }
  const own = `stingray-${process.getuid?.() ?? userInfo().username}`;
  const xdg = env["XDG_RUNTIME_DIR"];
  const candidates = [
    ...(xdg !== undefined && isOurDirectory(xdg) ? [join(xdg, "stingray")] : []),
    join(tmpdir(), own),
  ];
  return candidates.find(fitsSockets) ?? join("/tmp", own);
}

/**
 * Makes the runtime directory (0700) if it is missing, and checks that nobody else can write to it.
 * @throws InvalidOptionError where it belongs to someone else, is open to others, or can't be made
 */
export async function prepareRuntimeRoot(root: string = runtimeRoot()): Promise<string> {
  try {
    await mkdir(root, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new InvalidOptionError(
      `the runtime directory ${root} can't be made; set STINGRAY_RUNTIME_DIR to a directory of your own`,
      { cause },
    );
  }
  const found = lstatSync(root);
  const uid = process.getuid?.();
  if (!found.isDirectory() || (uid !== undefined && (found.uid !== uid || (found.mode & 0o077) !== 0))) {
    throw new InvalidOptionError(
      `the runtime directory ${root} is open to other users; ` +
        `remove it, or set STINGRAY_RUNTIME_DIR to a directory with mode 0700 of your own`,
    );
  }
  return root;
}

/** Writes the file of a live agent: `<root>/<node>/node.json`, 0600, whole or not at all. */
export async function writeNodeFile(root: string, file: NodeFile): Promise<void> {
  const path = nodeFilePath(root, file.node);
  const draft = `${path}.${process.pid}`;
  await mkdir(join(root, file.node), { recursive: true, mode: 0o700 });
  await writeFile(draft, JSON.stringify(file, undefined, 2) + "\n", { mode: 0o600 });
  await rename(draft, path);
}

/** The agents of this user that live on this machine, in no particular order. Never removes anything. */
export async function listNodeFiles(root: string = runtimeRoot()): Promise<NodeFile[]> {
  return (await scanNodes(root)).flatMap((found) => (found.kind === "live" ? [found.file] : []));
}

/**
 * A live agent of this user on this machine that is part of the given cluster, if there is one: by id of the
 * cluster (see {@link clusterIdOf}), or because its node is one of those that the cluster is known to have.
 */
export async function findLocalNode(
  of: { clusterId: string } | { nodes: Iterable<string> },
  root?: string,
): Promise<NodeFile | undefined> {
  const files = await listNodeFiles(root);
  if ("clusterId" in of) return files.find((file) => file.clusterId === of.clusterId);
  const nodes = new Set(of.nodes);
  return files.find((file) => nodes.has(file.node));
}

/**
 * The same text for the same cluster on the same broker, as far as URLs tell: credentials, the order of the servers
 * and the spelling of the loopback address make no difference.
 */
export function clusterIdOf(servers: readonly string[], subjectRoot: string, cluster: string): string {
  const hosts = servers.map(hostOf).toSorted((a, b) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([hosts, subjectRoot, cluster]))
    .digest("hex")
    .slice(0, 16);
}

function hostOf(server: string): string {
  const url = server.includes("://") ? server : `nats://${server}`;
  if (!URL.canParse(url)) return server;
  const { hostname, port } = new URL(url);
  return `${hostname === "localhost" || hostname === "[::1]" ? "127.0.0.1" : hostname}:${port || "4222"}`;
}

/** What a node left in the runtime directory. */
export type FoundNode =
  | { kind: "live"; dir: string; file: NodeFile }
  /** Its process is gone. */
  | { kind: "dead"; dir: string; file: NodeFile }
  /** No readable file: it is just starting, was killed while it did, or is of another version. */
  | { kind: "unknown"; dir: string; ageMs: number };

/** Everything that looks like a node's directory. A missing root has none. */
export async function scanNodes(root: string): Promise<FoundNode[]> {
  const names = await readdir(root).catch(unlessMissing<string[]>([]));
  const found = await Promise.all(
    names.filter(isNodeId).map(async (node): Promise<FoundNode | undefined> => {
      const dir = join(root, node);
      const file = await readNodeFile(nodeFilePath(root, node));
      if (file !== undefined) {
        return { kind: isAlive(file.pid, file.startTime) ? "live" : "dead", dir, file };
      }
      const stats = await stat(dir).catch(unlessMissing<undefined>(undefined));
      return stats && { kind: "unknown", dir, ageMs: Date.now() - stats.mtimeMs };
    }),
  );
  return found.filter((one) => one !== undefined);
}

/** Undefined: there is none, or it is not a file of ours, or of another version. */
async function readNodeFile(path: string): Promise<NodeFile | undefined> {
  const json = await readFile(path, "utf8").catch(unlessMissing<undefined>(undefined));
  if (json === undefined) return undefined;
  try {
    return nodeFile(JSON.parse(json), path);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function unlessMissing<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return instead;
    throw error;
  };
}

function nodeFilePath(root: string, node: NodeId): string {
  return join(root, node, "node.json");
}

function fitsSockets(root: string): boolean {
  return Buffer.byteLength(root) + SOCKET_PART <= MAX_SOCKET_PATH;
}

function isOurDirectory(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.isDirectory() === true && (process.getuid === undefined || found.uid === process.getuid());
}
