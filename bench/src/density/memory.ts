/** What this process and those that it has started hold in memory, from /proc. */
import { readFileSync, readdirSync } from "node:fs";

export interface ProcessMemory {
  readonly pid: number;
  /** What it is: `driver`, `agent`, `worker`, `nats-server` or its program. */
  readonly name: string;
  /** Its share of what is resident (PSS), or all that is resident where that can't be read. Bytes. */
  readonly bytes: number;
  /** Time on a CPU so far. Milliseconds. */
  readonly cpuMs: number;
}

/** This process and its descendants; the largest first. */
export function memoryByProcess(): ProcessMemory[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    const parent = Number.isInteger(pid) ? parentOf(pid) : undefined;
    if (parent !== undefined) parents.set(pid, parent);
  }
  const ours = [...parents.keys()].filter((pid) => {
    for (let at: number | undefined = pid; at !== undefined; at = parents.get(at))
      if (at === process.pid) return true;
    return false;
  });
  return ours
    .map((pid) => ({ pid, name: nameOf(pid), bytes: bytesOf(pid), cpuMs: cpuMsOf(pid) }))
    .filter(({ bytes }) => bytes > 0)
    .sort((a, b) => b.bytes - a.bytes);
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined; // it has just ended
  }
}

function nameOf(pid: number): string {
  if (pid === process.pid) return "driver";
  try {
    const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    return /worker\/main/.test(line)
      ? "worker"
      : /agent/.test(line)
        ? "agent"
        : /nats-server/.test(line)
          ? "nats-server"
          : line.slice(0, 60);
  } catch {
    return "ended";
  }
}

/** Ticks of /proc are hundredths of a second on every Linux that Node runs on. */
const TICK_MS = 10;

function cpuMsOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch {
    return 0;
  }
}

function bytesOf(pid: number): number {
  for (const [file, field] of [
    ["smaps_rollup", /^Pss:\s+(\d+) kB/m],
    ["status", /^VmRSS:\s+(\d+) kB/m],
  ] as const) {
    try {
      const found = field.exec(readFileSync(`/proc/${pid}/${file}`, "utf8"));
      if (found !== null) return Number(found[1]) * 1024;
    } catch {
      // the next one may be readable
    }
  }
  return 0;
}
