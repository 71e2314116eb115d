/** Small steps with files of the store. */
import { constants, openSync, readSync, statfsSync, unlinkSync, writevSync } from "node:fs";
import { InvalidArgumentError, ObjectStoreFullError } from "@stingray/protocol";

/** Buffers per call that every system takes. */
const MOST_PARTS = 1024;
/** Bytes per read that every system takes. */
const MOST_AT_ONCE = 1024 ** 3;
const NO_ROOM = new Set(["ENOSPC", "EDQUOT", "EFBIG", "ENOMEM"]);

export function errorCode(thrown: unknown): string | undefined {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string"
    ? thrown.code
    : undefined;
}

const OBJECT_FILE = /^[a-z0-9][a-z0-9.]{0,200}$/;

/** @throws InvalidArgumentError for what could name a file elsewhere */
export function checkObjectName(object: string): void {
  if (!OBJECT_FILE.test(object)) {
    throw new InvalidArgumentError(`"${object}" is no object id: it must be made of a-z, 0-9 and dots`);
  }
}

/** Writes the parts one behind the other, from where the descriptor stands. Returns the number of bytes. */
export function writeParts(fd: number, parts: readonly Uint8Array[]): number {
  let next = 0;
  let total = 0;
  let rest: Uint8Array | undefined;
  while (next < parts.length || rest !== undefined) {
    const batch = rest === undefined ? [] : [rest];
    const batchEnd = Math.min(parts.length, next + MOST_PARTS - batch.length);
    for (let i = next; i < batchEnd; i++) batch.push(parts[i] as Uint8Array);
    next = batchEnd;
    let written = writevSync(fd, batch);
    total += written;
    rest = undefined;
    for (let i = 0; i < batch.length; i++) {
      const part = batch[i] as Uint8Array;
      if (written >= part.length) {
        written -= part.length;
        continue;
      }
      // The system took less than all (2 GiB at once at most): go on from there.
      rest = part.subarray(written);
      next -= batch.length - 1 - i;
      break;
    }
  }
  return total;
}

/** The error for a full file system; undefined if `thrown` is something else. */
export function noRoom(thrown: unknown, dir: string, requested: number): ObjectStoreFullError | undefined {
  const code = errorCode(thrown);
  return code !== undefined && NO_ROOM.has(code) ? fileSystemFull(dir, requested, thrown) : undefined;
}

export function fileSystemFull(dir: string, requested: number, cause?: unknown): ObjectStoreFullError {
  const { blocks, bavail, bsize } = statfsSync(dir);
  const capacity = blocks * bsize;
  const used = capacity - bavail * bsize;
  return new ObjectStoreFullError(
    `the file system of the object store (${dir}) is full: ${requested} bytes requested, ${used} of ${capacity} used; free objects, or give it more room`,
    { cause, detail: { requested, used, capacity } },
  );
}

/** Up to `length` bytes from `offset`. */
export function readAt(fd: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const got = readSync(fd, bytes, done, Math.min(length - done, MOST_AT_ONCE), offset + done);
    if (got === 0) return bytes.subarray(0, done);
    done += got;
  }
  return bytes;
}

/** An open file, or undefined if there is none. */
export function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  } catch (thrown) {
    if (errorCode(thrown) === "ENOENT") return undefined;
    throw thrown;
  }
}

export function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (thrown) {
    if (errorCode(thrown) !== "ENOENT") throw thrown;
  }
}
