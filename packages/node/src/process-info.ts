/** What can be told of another process of this machine: whether it lives, and whether it is the one we mean. */
import { readFileSync } from "node:fs";

/** Column of the start time in `/proc/<pid>/stat`, counted after the name, which may hold spaces. */
const START_TIME = 19;

/**
 * When a process started, as an opaque text that differs for another process under the same pid. Undefined: there
 * is no such process, or it is a zombie. Where the system has no /proc the text is empty for every live process.
 */
export function processStartTime(pid: number): string | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[START_TIME];
  } catch {
    return process.platform !== "linux" && exists(pid) ? "" : undefined;
  }
}

/** Whether the process that had this pid and start time still runs. */
export function isAlive(pid: number, startTime: string): boolean {
  return processStartTime(pid) === startTime;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
