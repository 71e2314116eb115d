/**
 * As much of an agent as a client of the store needs: rooms, and files that are used again. Like the real one, it
 * finds out by a lock of its own whether a reader has a file.
 */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { StoreRoom } from "@stingray/protocol";
import { HEADER_BYTES } from "../../src/shm/header.js";
import { mappedFiles } from "../../src/shm/native.js";

const PAGE = 4096;
const MORE_OF_THE_SLAB = 64;

export class Rooms {
  readonly dir: string;
  readonly spill: string;
  readonly leased = new Map<number, StoreRoom>();
  private readonly rooms = new Map<string, StoreRoom>();
  private made = 0;

  constructor(parent: string) {
    this.dir = join(parent, "node");
    this.spill = join(parent, "spill");
    for (const dir of [this.dir, this.spill]) mkdirSync(dir, { mode: 0o700 });
  }

  /** A new file for an object. */
  create(object: string, size: number): StoreRoom {
    const room = this.file(size + HEADER_BYTES);
    this.rooms.set(object, room);
    return room;
  }

  onDisk(object: string, size: number): StoreRoom {
    return { path: join(this.spill, `.${object}`), file: 0, length: size + HEADER_BYTES, warm: false };
  }

  /** The file of an object, for another one. undefined: somebody reads it. */
  reuse(object: string, next: string): StoreRoom | undefined {
    const room = this.rooms.get(object) as StoreRoom;
    const path = join(this.dir, object);
    const fd = openSync(path, "r+");
    try {
      if (mappedFiles()?.lock(fd, "exclusive") === false) return undefined;
      writeSync(fd, new Uint8Array(HEADER_BYTES), 0, HEADER_BYTES, 0);
      renameSync(path, room.path);
    } finally {
      closeSync(fd);
    }
    const warm = { ...room, warm: true };
    this.rooms.delete(object);
    this.rooms.set(next, warm);
    return warm;
  }

  lease(bytes: number): Promise<StoreRoom> {
    const room = this.file(bytes + MORE_OF_THE_SLAB * PAGE);
    this.leased.set(room.file, room);
    return Promise.resolve(room);
  }

  /** What comes back is emptied at once: a process that still touched it would end with a SIGBUS. */
  giveBack(files: number[]): void {
    for (const file of files) {
      const room = this.leased.get(file);
      if (room === undefined) throw new Error(`${file} is not leased`);
      this.leased.delete(file);
      const fd = openSync(room.path, "r+");
      ftruncateSync(fd, 0);
      closeSync(fd);
      rmSync(room.path);
    }
  }

  get names(): string[] {
    return readdirSync(this.dir).sort();
  }

  close(): void {
    for (const dir of [this.dir, this.spill]) rmSync(dir, { recursive: true, force: true });
  }

  private file(bytes: number): StoreRoom {
    const file = ++this.made;
    const path = join(this.dir, `.seg.${file}`);
    const length = Math.ceil(bytes / PAGE) * PAGE;
    const fd = openSync(path, "wx", 0o600);
    ftruncateSync(fd, length);
    closeSync(fd);
    return { path, file, length, warm: false };
  }
}
