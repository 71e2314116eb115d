// What a cluster on this machine could have left: processes and their ports, shared memory, temporary directories.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** One line for each; the same thing gives the same line. */
export async function remains() {
  return [...processes(), ...files("/dev/shm"), ...files(tmpdir())];
}

function files(dir) {
  return list(dir)
    .filter((name) => name.startsWith("stingray"))
    .map((name) => join(dir, name));
}

/** Linux only; elsewhere there is nothing to look at, and the examples' own end is the check. */
function processes() {
  const lines = [];
  const ports = listeners();
  for (const pid of list("/proc")) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const command = read(`/proc/${pid}/cmdline`).split("\0").filter(Boolean);
    if (!isOurs(command)) continue;
    const open = list(`/proc/${pid}/fd`).map((fd) => socketOf(`/proc/${pid}/fd/${fd}`));
    const port = open.map((inode) => ports.get(inode)).filter((p) => p !== undefined);
    const shown = command.join(" ").replace(/\s+/g, " ").slice(0, 120);
    lines.push(`process ${pid}${port.length > 0 ? ` (listening on port ${port.join(", ")})` : ""}: ${shown}`);
  }
  return lines;
}

function isOurs(command) {
  return command.some((part) =>
    /(^|\/)nats-server$|stingray-broker-watchdog|\/packages\/[a-z-]+\/dist\/src\//.test(part),
  );
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
