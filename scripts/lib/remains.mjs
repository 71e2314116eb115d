// What a cluster on this machine could have left: processes and their ports, shared memory, temporary directories.
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";

/** In the environment of everything that a run starts, and so of whatever it leaves. */
const MARK = "STINGRAY_RUN";

/** What a run must have in its environment so that what it leaves can be told from what others do meanwhile. */
export function marked(id, dir) {
  return { [MARK]: id, TMPDIR: dir };
}

/** One line for each thing that is left of the run with this mark. */
export function remains(id, dir) {
  return [
    ...processes(id),
    ...list(dir)
      .filter((name) => !isEmpty(join(dir, name)))
      .map((name) => join(dir, name)),
    ...stores(id),
  ];
}

/** A directory for sockets and logs stays, empty, for the next cluster of this user. */
function isEmpty(path) {
  return list(path).every((name) => name === "logs" || isEmpty(join(path, name))) && !isFile(path);
}

function isFile(path) {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false;
}

/** Shared memory whose owner is of this run, or is gone without having cleaned up. */
function stores(id) {
  const found = [];
  for (const user of list("/dev/shm").filter((name) => name.startsWith("stingray"))) {
    for (const node of list(join("/dev/shm", user))) {
      const path = join("/dev/shm", user, node);
      const pid = /"pid":\s*(\d+)/.exec(read(join(path, ".owner")))?.[1];
      if (pid === undefined || !isAlive(pid) || hasMark(pid, id)) found.push(path);
    }
  }
  return found;
}

const isAlive = (pid) => read(`/proc/${pid}/stat`) !== "";
const hasMark = (pid, id) => read(`/proc/${pid}/environ`).split("\0").includes(`${MARK}=${id}`);

/** Linux only; elsewhere there is nothing to look at, and the examples' own end is the check. */
function processes(id) {
  const lines = [];
  const ports = listeners();
  for (const pid of list("/proc")) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid || !hasMark(pid, id)) continue;
    const command = read(`/proc/${pid}/cmdline`).split("\0").filter(Boolean);
    const open = list(`/proc/${pid}/fd`).map((fd) => socketOf(`/proc/${pid}/fd/${fd}`));
    const port = open.map((inode) => ports.get(inode)).filter((p) => p !== undefined);
    const shown = command.join(" ").replace(/\s+/g, " ").slice(0, 120);
    lines.push(`process ${pid}${port.length > 0 ? ` (listening on port ${port.join(", ")})` : ""}: ${shown}`);
  }
  return lines;
}

/** Inode of a listening TCP socket to its port. */
function listeners() {
  const ports = new Map();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of read(table).split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[3] === "0A") ports.set(fields[9], Number.parseInt(fields[1].split(":").at(-1), 16));
    }
  }
  return ports;
}

function socketOf(path) {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(path))?.[1];
  } catch {
    return undefined;
  }
}

function list(dir) {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
