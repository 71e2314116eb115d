/**
 * Reading objects by the rules of the store: the file is locked before its header is believed, and the lock lives as
 * long as the mapping. As long as a reader has it, the agent uses the file for nothing else.
 */
import { closeSync, fstatSync, futimesSync, readSync, statSync } from "node:fs";
import { ObjectLostError } from "@stingray/protocol";
import { openIfThere, readAt } from "./files.js";
import { HEADER_BYTES, readHeader, type Header } from "./header.js";
import type { MapPool } from "./map-pool.js";
import type { MappedFiles } from "./native.js";
import type { StoredBytes } from "./stored-bytes.js";

/** Smaller values are read: that is cheaper than a mapping. Bytes. */
const MAP_FROM = 64 * 1024;
/** Used and done with inside one call. */
const head = new Uint8Array(HEADER_BYTES);

/** Where an object is said to be. */
export interface Wanted {
  readonly path: string;
  /** Of the header in the file; a multiple of the page size. Default 0. */
  readonly offset?: number;
  readonly object: string;
  /** Bytes of the value, where they are known. */
  readonly size?: number | undefined;
  /** Tell the agent by the file's times that it was used. */
  readonly touch: boolean;
}

/** What is needed to map; undefined where files can only be read. */
export interface ReaderMaps {
  readonly files: MappedFiles;
  readonly pool: MapPool;
}

/**
 * undefined: it is not there, or not (any more) this object, or not of this size, or not complete.
 * @throws ObjectLostError, with `detail.reason` "damaged", where its file was cut off or changed
 */
export function readObject(wanted: Wanted, maps: ReaderMaps | undefined): StoredBytes | undefined {
  const fd = openIfThere(wanted.path);
  if (fd === undefined) return undefined;
  try {
    if (maps !== undefined && !maps.files.lock(fd, "shared")) return undefined; // it is being used for something else
    const found = locate(fd, wanted);
    return found && take(fd, wanted, found, maps?.pool);
  } finally {
    closeSync(fd);
  }
}

function take(fd: number, wanted: Wanted, { size }: Header, pool: MapPool | undefined): StoredBytes {
  const offset = wanted.offset ?? 0;
  if (wanted.touch) touch(fd);
  const mapped = size >= MAP_FROM ? pool?.mapPrivate(fd, offset, HEADER_BYTES, size) : undefined;
  if (mapped !== undefined) return mapped;
  const bytes = readAt(fd, offset + HEADER_BYTES, size);
  if (bytes.length !== size) throw damaged(wanted, `it ends after ${bytes.length} of ${size} bytes`);
  return { bytes };
}

/** The header, if it is that of the object that is wanted. */
function locate(fd: number, wanted: Wanted): Header | undefined {
  const { path, object, offset = 0 } = wanted;
  const { size: length, ino } = fstatSync(fd);
  const got = readSync(fd, head, 0, HEADER_BYTES, offset);
  let header: Header;
  try {
    header = readHeader(head.subarray(0, got), path);
  } catch (thrown) {
    // A file that was taken away between open and lock may be empty by now: then it has lost this name.
    if (!(thrown instanceof ObjectLostError) || isStill(path, ino)) throw thrown;
    return undefined;
  }
  if (header.object !== object || !header.complete) return undefined;
  if (wanted.size !== undefined && header.size !== wanted.size) return undefined;
  const end = offset + HEADER_BYTES + header.size;
  if (end > length) throw damaged(wanted, `it ends ${end - length} bytes early`);
  return header;
}

function isStill(path: string, ino: number): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === ino;
}

function touch(fd: number): void {
  const now = Date.now() / 1000;
  try {
    futimesSync(fd, now, now);
  } catch {
    // A store of another user's agent, or a file system that is read-only: it only looks less used than it is.
  }
}

function damaged({ object, path }: Wanted, what: string): ObjectLostError {
  return new ObjectLostError(
    `object ${object} in ${path} is damaged: ${what}; another copy is needed, or it must be made again`,
    { detail: { reason: "damaged", where: path } },
  );
}
