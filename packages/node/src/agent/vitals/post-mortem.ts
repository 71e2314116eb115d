/** What a worker left behind says of its end. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ExitReport, MemoryEnd } from "@stingray/protocol";
import { readPage, type PageView } from "@stingray/task/internal";
import { fatalReportName, vitalsPath } from "../../vitals-files.js";

/** The page of a worker; undefined where there is none. */
export function pageOf(storeDir: string, worker: string): PageView | undefined {
  try {
    return readPage(readFileSync(vitalsPath(storeDir, worker)));
  } catch {
    return undefined;
  }
}

/** What is to be added to the report of its end. Removes what it left. */
export function postMortem(
  storeDir: string,
  worker: string,
  report: ExitReport,
  memory: { used: number; kernel: Omit<MemoryEnd, "kind" | "used"> | undefined },
): Partial<ExitReport> {
  const page = pageOf(storeDir, worker);
  const heap = heapAtEnd(join(storeDir, fatalReportName(worker)));
  rmSync(vitalsPath(storeDir, worker), { force: true });
  const found: Partial<ExitReport> = {};
  const running = page?.current ?? (page !== undefined && page.open > 0 ? page.last : undefined);
  if (running !== undefined) found.running = running;
  if (page?.error !== undefined) found.error = page.error;
  if (report.memory !== undefined || report.reason !== undefined) return found;
  if (heap !== undefined) found.memory = { kind: "heap", ...heap };
  else if (report.signal === "SIGKILL" && memory.kernel !== undefined)
    found.memory = { kind: "kernel", used: memory.used, ...memory.kernel };
  return found;
}

/** The figures of the report that Node writes when V8 gives up. */
function heapAtEnd(path: string): { used: number; limit: number } | undefined {
  try {
    const report = JSON.parse(readFileSync(path, "utf8")) as {
      header?: { trigger?: unknown };
      javascriptHeap?: { usedMemory?: unknown; memoryLimit?: unknown };
    };
    const { usedMemory: used, memoryLimit: limit } = report.javascriptHeap ?? {};
    if (report.header?.trigger !== "OOMError") return undefined;
    return { used: asBytes(used), limit: asBytes(limit) };
  } catch {
    return undefined; // it ended in another way
  } finally {
    rmSync(path, { force: true });
  }
}

const asBytes = (value: unknown): number =>
  typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0;
