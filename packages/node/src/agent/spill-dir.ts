/** Where a node puts objects that don't fit into memory. */
import { accessSync, constants, mkdirSync, statSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, resolve } from "node:path";
import { InvalidOptionError, toError } from "@stingray/protocol";

/** File systems that are memory themselves (tmpfs, ramfs): nothing is gained by moving objects there. */
const IN_MEMORY = new Set([0x01021994, 0x858458f6]);
const ON_DISK = "/var/tmp";

/** The system's directory for temporary files, or where that is in memory, `/var/tmp`. */
function usualDir(): string {
  const usual = tmpdir();
  return isInMemory(usual) && !isInMemory(ON_DISK) ? ON_DISK : usual;
}

function isInMemory(dir: string): boolean {
  try {
    return IN_MEMORY.has(statfsSync(dir).type);
  } catch {
    return true; // it is not there: as little use
  }
}

/**
 * Makes the directory if it is missing, and sees that files can be made in it.
 * @param given relative to the working directory. @defaultValue the system's directory for temporary files, or `/var/tmp` where that is in memory
 * @returns its absolute path
 * @throws InvalidOptionError where it can't be made or written to
 */
export function prepareSpillDir(given?: string): string {
  const dir = resolve(given === undefined || given === "" ? usualDir() : given);
  try {
    make(dir);
    accessSync(dir, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new InvalidOptionError(
      `spillDir: objects can't be written to ${dir} when memory is full (${toError(cause).message}); ` +
        `name a directory of your own with room on its disk (spillDir, or --spill-dir of stingray start)`,
      { cause },
    );
  }
  return dir;
}

/** Not `recursive`: with that, Node tries for ever where the system answers that there is no such directory, as in /proc. */
function make(dir: string): void {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const parent = dirname(dir);
  if (parent !== dir) make(parent);
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (error) {
    // Another node of this machine may have made it meanwhile.
    if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
  }
}
