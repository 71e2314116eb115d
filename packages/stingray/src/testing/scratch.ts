/** The directory of a test's cluster: runtime files, the broker's data, what tests write. It goes in any case. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { processStartTime } from "@stingray/node/driver";

const NAME = /^st-test-(\d+)-(\d*)-/;
/** Sockets have long names, and their paths a limit of 103 bytes: so much is left for the directory. */
const MAX_PATH = 50;

const inUse = new Map<string, () => void>();

/**
 * Makes one, and removes those of test runs that were killed.
 * @param atExit called before it goes with the process: whoever could write there must end first
 */
export function makeScratch(atExit: () => void): string {
  const own = tmpdir();
  const root = own.length <= MAX_PATH ? own : "/tmp";
  sweep(root);
  const directory = mkdtempSync(join(root, `st-test-${process.pid}-${processStartTime(process.pid) ?? ""}-`));
  mkdirSync(join(directory, "files"));
  if (inUse.size === 0) process.on("exit", removeAll);
  inUse.set(directory, atExit);
  return directory;
}

export function removeScratch(directory: string): void {
  inUse.delete(directory);
  if (inUse.size === 0) process.off("exit", removeAll);
  rmSync(directory, { recursive: true, force: true });
}

function removeAll(): void {
  for (const [directory, atExit] of inUse) {
    atExit();
    rmSync(directory, { recursive: true, force: true });
  }
}

function sweep(root: string): void {
  for (const name of readdirSync(root)) {
    const [, pid, startTime] = NAME.exec(name) ?? [];
    if (pid === undefined || processStartTime(Number(pid)) === startTime) continue;
    rmSync(join(root, name), { recursive: true, force: true });
  }
}
