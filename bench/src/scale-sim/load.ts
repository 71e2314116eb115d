/** What processes of this machine use, as the kernel counts it. */
import { readFile } from "node:fs/promises";
import { StingrayError } from "@stingray/protocol";

/** Ticks per second in which the kernel counts processor time for programs; the same on all Linux systems. */
const TICKS_PER_SECOND = 100;

/** Processor time that a process has used since its start, in milliseconds. @throws StingrayError where it is gone */
export async function cpuMs(pid: number): Promise<number> {
  const text = await read(pid, "stat");
  // The name of the program, in brackets, may have spaces.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  return ((user + system) * 1000) / TICKS_PER_SECOND;
}

/** Resident memory of a process in bytes. @throws StingrayError where it is gone */
export async function residentBytes(pid: number): Promise<number> {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(await read(pid, "status"))?.[1];
  return Number(found ?? 0) * 1024;
}

export async function totalCpuMs(pids: readonly number[]): Promise<number> {
  const each = await Promise.all(pids.map(cpuMs));
  return each.reduce((sum, ms) => sum + ms, 0);
}

async function read(pid: number, file: string): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/${file}`, "utf8");
  } catch (cause) {
    throw new StingrayError(`process ${pid} can't be measured: it has ended, or this is no Linux`, { cause });
  }
}
