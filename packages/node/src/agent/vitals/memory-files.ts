/** What the kernel says of memory: of a process, and of the machine with the control group that we are in. Linux only. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** All that is read; another one for tests. */
export type ReadText = (path: string) => string | undefined;

export const readText: ReadText = (path) => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
};

const PAGE_BYTES = 4096;

/** Resident memory of a process without what it shares with others. Undefined: it is gone, or this is no Linux. Bytes. */
export function privateMemory(pid: number, read: ReadText = readText): number | undefined {
  const [, resident, shared] = (read(`/proc/${pid}/statm`) ?? "").split(" ").map(Number);
  if (resident === undefined || shared === undefined) return undefined;
  return Math.max(0, resident - shared) * PAGE_BYTES;
}

/** What a process is at, as one letter of the kernel's: `R` runs, `T` stopped, `S` and `D` in a system call. */
export function processState(pid: number, read: ReadText = readText): string | undefined {
  const text = read(`/proc/${pid}/stat`);
  // Its name, in brackets, may have anything in it.
  return text === undefined ? undefined : /^\s*(\w)/.exec(text.slice(text.lastIndexOf(")") + 1))?.[1];
}

/** Of the machine, or of the control group where that has less left. Bytes. */
export interface MachineMemory {
  total: number;
  available: number;
}

export class MemoryFiles {
  private groups: { max: string; current: string; stat: string }[] | undefined;
  private killFiles: string[] = [];

  constructor(
    private readonly read: ReadText = readText,
    private readonly meminfoPath = "/proc/meminfo",
  ) {}

  /** Undefined where nothing says so. */
  machine(): MachineMemory | undefined {
    const found = [this.meminfo(), ...this.controlGroups()].filter((one) => one !== undefined);
    return found.toSorted((a, b) => a.available / a.total - b.available / b.total)[0];
  }

  /** How many processes the kernel has ended for want of memory so far, where that concerns us. */
  kills(): number {
    this.look();
    let kills = 0;
    for (const file of this.killFiles)
      kills += Number(/^oom_kill (\d+)/m.exec(this.read(file) ?? "")?.[1] ?? 0);
    return kills;
  }

  private meminfo(): MachineMemory | undefined {
    const text = this.read(this.meminfoPath) ?? "";
    const [total, available] = ["MemTotal", "MemAvailable"].map((name) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? Number.NaN),
    );
    if (total === undefined || available === undefined || !(total > 0) || Number.isNaN(available))
      return undefined;
    return { total: total * 1024, available: available * 1024 };
  }

  private controlGroups(): MachineMemory[] {
    const found: MachineMemory[] = [];
    for (const { max, current, stat } of this.look()) {
      const total = Number(this.read(max));
      const used = Number(this.read(current));
      // Without a limit there is a word, or a number beyond all machines.
      if (!(total > 0 && total < 2 ** 50) || Number.isNaN(used)) continue;
      // Pages of files that were not used lately go as soon as something else needs the room.
      const files = Number(/^(?:total_)?inactive_file (\d+)/m.exec(this.read(stat) ?? "")?.[1] ?? 0);
      found.push({ total, available: Math.max(0, total - Math.max(0, used - files)) });
    }
    return found;
  }

  /** The group that this process is in, and those above it: the narrowest counts. */
  private look(): { max: string; current: string; stat: string }[] {
    if (this.groups !== undefined) return this.groups;
    this.groups = [];
    this.killFiles = ["/proc/vmstat"];
    const lines = (this.read("/proc/self/cgroup") ?? "").split("\n");
    const v2 = lines.find((line) => line.startsWith("0::"))?.slice(3);
    const v1 = lines
      .find((line) => /^\d+:([^:]*,)?memory(,[^:]*)?:/.test(line))
      ?.replace(/^[^:]*:[^:]*:/, "");
    for (const dir of upwards("/sys/fs/cgroup", v2))
      this.groups.push({
        max: join(dir, "memory.max"),
        current: join(dir, "memory.current"),
        stat: join(dir, "memory.stat"),
      });
    for (const dir of upwards("/sys/fs/cgroup/memory", v1))
      this.groups.push({
        max: join(dir, "memory.limit_in_bytes"),
        current: join(dir, "memory.usage_in_bytes"),
        stat: join(dir, "memory.stat"),
      });
    this.groups = this.groups.filter(({ max }) => this.read(max) !== undefined);
    return this.groups;
  }
}

/** The directory of a group and all above it; within a container the path may be one of the host, so the root is in any case. */
function upwards(root: string, path: string | undefined): string[] {
  if (path === undefined) return [];
  const dirs: string[] = [];
  const parts = path.split("/").filter((part) => part !== "" && part !== "..");
  for (let n = parts.length; n >= 0; n--) dirs.push(join(root, ...parts.slice(0, n)));
  return dirs;
}
