/**
 * Where the processes of one user find each other on one machine: a directory (0700) with the sockets and logs of
 * each node, and one file per live agent that says how to reach it. The files are hints: a dead agent's file is
 * dropped by whoever reads it.
 */
import { lstatSync, statSync } from "node:fs";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
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
  /** A nats-server that lives and dies with this agent. */
  brokerPid?: number | undefined;
  /** Where a detached agent writes what it has to say. */
  logFile?: string | undefined;
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
  brokerPid: optional(uint),
  logFile: optional(text),
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
    await mkdir(join(root, "nodes"), { recursive: true, mode: 0o700 });
    await mkdir(join(root, "logs"), { recursive: true, mode: 0o700 });
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

/** Writes the file of a live agent: `<root>/nodes/<node>.json`, 0600, whole or not at all. */
export async function writeNodeFile(root: string, file: NodeFile): Promise<void> {
  const path = pathOf(root, file.node);
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, JSON.stringify(file, undefined, 2) + "\n", { mode: 0o600 });
  await rename(draft, path);
}

/** Removes the file of an agent. None is no error. */
export async function removeNodeFile(root: string, node: NodeId): Promise<void> {
  await rm(pathOf(root, node), { force: true });
}

/** The files of the agents that live, in no particular order; those of dead ones and unreadable ones are removed. */
export async function listNodeFiles(root: string = runtimeRoot()): Promise<NodeFile[]> {
  const { live, dead } = await readNodeFiles(root);
  await Promise.all(dead.map((path) => rm(path, { force: true })));
  return live.map(({ file }) => file);
}

/** A live agent of this user on this machine that is part of that cluster, if there is one. */
export async function findLocalNode(clusterId: string, root?: string): Promise<NodeFile | undefined> {
  return (await listNodeFiles(root)).find((file) => file.clusterId === clusterId);
}

/** All files: of live agents, and the paths of those that are of no use any more, with what they said if readable. */
export async function readNodeFiles(root: string): Promise<{
  live: { path: string; file: NodeFile }[];
  dead: string[];
  deadFiles: NodeFile[];
}> {
  const dir = join(root, "nodes");
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const found = { live: [], dead: [], deadFiles: [] } as Awaited<ReturnType<typeof readNodeFiles>>;
  for (const name of names) {
    if (!name.endsWith(".json")) continue;
    const path = join(dir, name);
    const file = await readNodeFile(path);
    if (file === "gone") continue;
    if (file !== undefined && isAlive(file.pid, file.startTime)) found.live.push({ path, file });
    else {
      found.dead.push(path);
      if (file !== undefined) found.deadFiles.push(file);
    }
  }
  return found;
}

/** Undefined: not a file of ours, or of another version. "gone": removed since it was listed. */
async function readNodeFile(path: string): Promise<NodeFile | "gone" | undefined> {
  try {
    return nodeFile(JSON.parse(await readFile(path, "utf8")), path);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof ProtocolError) return undefined;
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "gone";
    throw error;
  }
}

function pathOf(root: string, node: NodeId): string {
  return join(root, "nodes", `${node}.json`);
}

function fitsSockets(root: string): boolean {
  return Buffer.byteLength(root) + SOCKET_PART <= MAX_SOCKET_PATH;
}

function isOurDirectory(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.isDirectory() === true && (process.getuid === undefined || found.uid === process.getuid());
}
