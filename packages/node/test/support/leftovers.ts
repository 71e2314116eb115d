/** What a cluster could leave behind: processes, files, shared memory. */
import { existsSync, readdirSync } from "node:fs";
import { processStartTime } from "../../src/process-info.js";

export const isRunning = (pid: number): boolean => processStartTime(pid) !== undefined;

/** Entries of the runtime directory other than logs. */
export function nodeDirs(runtimeDir: string): string[] {
  return existsSync(runtimeDir) ? readdirSync(runtimeDir).filter((name) => name !== "logs") : [];
}
