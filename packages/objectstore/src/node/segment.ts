/** A file of the store in shared memory, which keeps its number while it holds one object after another. */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  linkSync,
  openSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { errorCode, removeIfThere } from "../shm/files.js";
import { HEADER_BYTES, writeHeader } from "../shm/header.js";
import type { MappedFiles } from "../shm/native.js";

export const PAGE = 4096;
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;

export interface Segment {
  readonly file: number;
  /** Its name while it holds no complete object. */
  readonly path: string;
  readonly ino: number;
  /** Bytes; whole pages. */
  length: number;
  /** All of its pages exist. */
  allocated: boolean;
  /** Who wrote it last, and may have it mapped. */
  client: string;
  /** It has its own name beside that of its object, which another file may take over. */
  linked: boolean;
}

/** Bytes of the file for a value of `size` bytes. */
export const fileLength = (size: number): number => Math.ceil((HEADER_BYTES + size) / PAGE) * PAGE;

/** Neither complete nor of any object: a reader that comes too late takes it for "not here", and not for damage. */
const WIPED = new Uint8Array(HEADER_BYTES);
writeHeader(WIPED, { object: "", size: 0, complete: false, crc: undefined, tag: undefined });

/** A new file without pages. @throws what the file system throws */
export function makeFile(dir: string, file: number, length: number, client: string): Segment {
  const path = join(dir, `.seg.${file}`);
  const fd = openSync(path, "wx+", 0o600);
  let made = false;
  try {
    ftruncateSync(fd, length);
    const { ino } = fstatSync(fd);
    made = true;
    return { file, path, ino, length, allocated: false, client, linked: false };
  } finally {
    closeSync(fd);
    if (!made) removeIfThere(path);
  }
}

/** The open file if it is this very one. The caller closes it. */
export function openFile(path: string, ino: number, flags: number): number | undefined {
  let fd: number;
  try {
    fd = openSync(path, flags | NO_FOLLOW);
  } catch (thrown) {
    if (errorCode(thrown) === "ENOENT") return undefined;
    throw thrown;
  }
  if (fstatSync(fd).ino === ino) return fd;
  closeSync(fd);
  return undefined;
}

export function isAt(path: string, ino: number): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === ino;
}

/** Under the name of an object, or its own. */
function find(segment: Segment, name: string): { fd: number; name: string } | undefined {
  for (const at of new Set([name, segment.path])) {
    const fd = openFile(at, segment.ino, constants.O_RDWR);
    if (fd !== undefined) return { fd, name: at };
  }
  return undefined;
}

/**
 * Takes the file back if nobody sees it: it says of itself that it is empty, under its own name. `name`: of its
 * object, which it may have.
 * - `empty`: done
 * - `seen`: some process reads it, only the name is changed
 * - `missing`: it is not there
 */
export function takeBack(
  segment: Segment,
  files: MappedFiles,
  name = segment.path,
): "empty" | "seen" | "missing" {
  const found = find(segment, name);
  if (found === undefined) return "missing";
  const { fd } = found;
  try {
    const free = files.lock(fd, "exclusive");
    if (free) {
      writeSync(fd, WIPED, 0, HEADER_BYTES, 0);
      const { size, blocks } = fstatSync(fd);
      if (size !== segment.length) ftruncateSync(fd, segment.length);
      segment.allocated = size >= segment.length && blocks * 512 >= segment.length;
    }
    ownName(segment, found.name);
    return free ? "empty" : "seen";
  } finally {
    closeSync(fd);
  }
}

/** Back to its own name, from `name`, which it has. */
function ownName(segment: Segment, name: string): void {
  // To rename a file to another of its names does nothing.
  if (name !== segment.path && segment.linked) removeIfThere(name);
  else if (name !== segment.path) renameSync(name, segment.path);
  segment.linked = false;
}

/** Gives it its own name as well, so that it can be found when another file takes that of its object. */
export function linkOwnName(segment: Segment, name: string): void {
  if (segment.linked) return;
  linkSync(name, segment.path);
  segment.linked = true;
}

/** No process reads it: nobody has a lock. Without locks: unknown, and said to be so. */
export function isUnseen(path: string, files: MappedFiles | undefined): boolean {
  if (files === undefined) return true;
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | NO_FOLLOW);
  } catch (thrown) {
    if (errorCode(thrown) === "ENOENT") return true;
    throw thrown;
  }
  try {
    return files.lock(fd, "exclusive");
  } finally {
    closeSync(fd);
  }
}

/** Removes all its names but its own. False: it is not there. */
export function toOwnName(segment: Segment, name: string): boolean {
  if (name !== segment.path && isAt(name, segment.ino)) ownName(segment, name);
  segment.linked = false;
  return isAt(segment.path, segment.ino);
}
