/** Writing an object into the room that the agent gave for it. */
import { closeSync, constants, openSync, renameSync, statSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { InvalidArgumentError, ObjectLostError, type StoreRoom } from "@stingray/protocol";
import type { Encoded } from "../serialize/encoded.js";
import { checkObjectName, errorCode, noRoom, writeParts } from "./files.js";
import { HEADER_BYTES, newTag, writeHeader, type Header } from "./header.js";
import type { WriteMaps } from "./write-maps.js";

/** Used and done with inside one call. */
const head = new Uint8Array(HEADER_BYTES);

/**
 * Writes header and value, and gives the file the object's name when it is complete. Into pages that exist it copies
 * through a mapping where it has one; everything else goes through `write`, for which a full file system is an error
 * and not the end of the process.
 * @param dir the store's directory
 * @throws ObjectStoreFullError if the file system is full; ObjectLostError if the room is gone: the object was freed
 */
export function writeObject(
  dir: string,
  room: StoreRoom,
  object: string,
  encoded: Encoded,
  maps: WriteMaps | undefined,
): void {
  checkObjectName(object);
  checkRoom(dir, room, object, encoded.size);
  try {
    if (!throughMapping(room, object, encoded, maps)) throughFile(room, object, encoded, maps);
    renameSync(room.path, finalPath(dir, room, object));
  } catch (thrown) {
    if (errorCode(thrown) === "ENOENT") {
      throw new ObjectLostError(
        `the room for object ${object} (${room.path}) is gone: it was freed while it was written`,
        { cause: thrown, detail: { reason: "freed", where: room.path } },
      );
    }
    throw noRoom(thrown, dirname(room.path), encoded.size) ?? thrown;
  }
}

const onDisk = (room: StoreRoom): boolean => room.file === 0;

function finalPath(dir: string, room: StoreRoom, object: string): string {
  return join(onDisk(room) ? dirname(room.path) : dir, object);
}

function checkRoom(dir: string, room: StoreRoom, object: string, size: number): void {
  const { path, length } = room;
  const name = basename(path);
  const right = onDisk(room) ? name === `.${object}` : dirname(path) === dir && name.startsWith(".");
  if (!right) {
    throw new InvalidArgumentError(`${path} is no room for object ${object} in the object store at ${dir}`);
  }
  if (HEADER_BYTES + size > length) {
    throw new InvalidArgumentError(
      `object ${object} of ${size} bytes does not fit into its room of ${length} bytes: ask the agent for the size that is written`,
    );
  }
}

/** False if there is no mapping, and none is to be made. */
function throughMapping(
  room: StoreRoom,
  object: string,
  encoded: Encoded,
  maps: WriteMaps | undefined,
): boolean {
  if (maps === undefined || onDisk(room) || !room.warm) return false;
  const { size } = encoded;
  const view = maps.warm(room.file, room.path, HEADER_BYTES + size, statSync(room.path));
  if (view === undefined) return false;
  const header = newHeader(object, size);
  writeHeader(view, header);
  const value = view.subarray(HEADER_BYTES, HEADER_BYTES + size);
  encoded.writeTo(value);
  writeHeader(view, { ...header, complete: true });
  return true;
}

const newHeader = (object: string, size: number): Header => ({
  object,
  size,
  complete: false,
  crc: undefined,
  tag: newTag(),
});

function throughFile(room: StoreRoom, object: string, encoded: Encoded, maps: WriteMaps | undefined): void {
  const { size, parts } = encoded;
  // Without O_CREAT in memory: a file that the agent took away must not come back behind its back.
  const flags = constants.O_WRONLY | (onDisk(room) ? constants.O_CREAT : 0) | (constants.O_NOFOLLOW ?? 0);
  const fd = openSync(room.path, flags, 0o600);
  try {
    const header = newHeader(object, size);
    writeHeader(head, header);
    const written = writeParts(fd, [head, ...parts]);
    if (written !== HEADER_BYTES + size) {
      throw new InvalidArgumentError(
        `object ${object} was said to have ${size} bytes, its parts have ${written - HEADER_BYTES}`,
      );
    }
    writeHeader(head, { ...header, complete: true });
    writeSync(fd, head, 0, HEADER_BYTES, 0);
  } finally {
    closeSync(fd);
  }
  if (!onDisk(room)) maps?.wrote(room.file);
}
