/** An object that this process fills itself: bytes from another node, straight into the file. */
import { closeSync, constants, openSync, renameSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { InvalidArgumentError } from "@stingray/protocol";
import { fileSystemFull, noRoom } from "../shm/files.js";
import { HEADER_BYTES, newTag, writeHeader } from "../shm/header.js";
import type { Mapping } from "../shm/native.js";
import type { Core } from "./core.js";
import { at, type Entry } from "./entry.js";
import { Ranges } from "./ranges.js";
import { PAGE } from "./segment.js";

/** Pages are made in the background in steps of so many bytes. */
const STEP = 4 * 1024 * 1024;
/** Pages that are made at once where they are needed before that. */
const MANY = 64;
const ZEROS = new Uint8Array(MANY * PAGE);

export class Arrival {
  readonly object: string;
  /** Of the value, in bytes. */
  readonly size: number;
  private readonly path: string;
  private fd: number;
  private mapping: Mapping | undefined;
  /** Pages exist up to here. */
  private allocated: number;
  /** By page: it was written, so it exists, and must not be cleared. */
  private readonly touched: Uint8Array;
  /** Bytes of the value that are there. */
  private readonly here = new Ranges();
  private tag: string | undefined;
  private ended = false;
  private readonly ends: (() => void)[];
  /** Who may read the windows beyond the end, or makes pages. */
  private users = 0;
  private locked = false;

  private constructor(
    private readonly core: Core,
    private readonly entry: Entry,
    onEnd: () => void,
  ) {
    this.ends = [onEnd];
    // A copy has that of its source; a value that comes from its maker has none yet.
    if (entry.state.at === "writing" && entry.state.role === "primary") this.tag = newTag();
    this.object = entry.object;
    this.size = entry.size;
    this.path = core.pathOf(entry);
    this.fd = openSync(this.path, constants.O_RDWR);
    this.allocated = entry.segment?.allocated === true ? this.length : 0;
    this.touched = new Uint8Array(this.allocated > 0 ? 0 : this.length / PAGE);
  }

  /** @throws ENOENT where the file has been removed */
  static of(core: Core, entry: Entry, onEnd: () => void): Arrival {
    const arrival = new Arrival(core, entry, onEnd);
    const { files } = core;
    arrival.mapping = files?.map(arrival.fd, arrival.length, "shared");
    if (arrival.mapping !== undefined) unmapWhenUnused(core, arrival.mapping);
    if (files !== undefined && arrival.allocated < arrival.length && arrival.retain())
      void arrival.allocate().finally(() => arrival.release());
    return arrival;
  }

  /** `window` works; else use `write`. */
  get mapped(): boolean {
    return this.mapping !== undefined;
  }

  /**
   * These bytes of the value, in memory that is the file's, to be written or read. It stays valid for as long as it is
   * referred to, but after the end it is nobody's: `retain` before that, to go on reading. What was written there is
   * told with `arrived`.
   * @throws ObjectStoreFullError if the file system has no room; InvalidArgumentError after the end, beyond the value,
   * or where files can't be mapped
   */
  window(offset: number, length: number): Uint8Array {
    this.check(offset, length);
    if (this.mapping === undefined) {
      throw new InvalidArgumentError(`the file of ${this.object} is not mapped here: write to it`);
    }
    this.ensure(offset, length);
    return new Uint8Array(this.mapping.buffer, HEADER_BYTES + offset, length);
  }

  /** @throws as `window` */
  write(offset: number, bytes: Uint8Array): void {
    this.check(offset, bytes.length);
    this.put(bytes, HEADER_BYTES + offset);
    this.here.add(offset, offset + bytes.length);
  }

  /** These bytes are in their window now, and are right. @throws InvalidArgumentError as `window` */
  arrived(offset: number, length: number): void {
    this.check(offset, length);
    this.here.add(offset, offset + length);
  }

  /** What arrives has this tag, says its source: it becomes part of the copy. */
  tagged(tag: string): void {
    this.tag = tag;
  }

  /**
   * Whoever reads windows calls it before, and `release` after: until then the file is used for nothing else, also
   * after the end. Counted. False: it has ended.
   * @throws InvalidArgumentError where the file system knows no locks
   */
  retain(): boolean {
    if (this.ended) return false;
    // What lies on disk is removed, but never used again nor cut.
    if (this.users === 0 && this.entry.segment !== undefined) {
      if (this.core.files?.lock(this.fd, "shared") === false) return false;
      this.locked = true;
    }
    this.users++;
    return true;
  }
  /** Once for each `retain`. */
  release(): void {
    if (this.users === 0 || --this.users > 0) return;
    this.unlock();
    if (!this.ended) return;
    this.closeFile();
    this.core.pool.reap(); // what was freed meanwhile could not be taken back
  }

  /** When `listener`, called once at the end, has returned, nothing may be written to a window any more. */
  whenEnded(listener: () => void): void {
    if (this.ended) listener();
    else this.ends.push(listener);
  }

  /**
   * The value is there whole: the object is complete. `crc`: its CRC-32, kept with it. False: it was freed or lost
   * meanwhile, or some of its bytes have never arrived, and it is not in the store.
   */
  finish(crc?: number): boolean {
    if (this.ended) return false;
    if (!this.here.covers(this.size)) {
      this.close();
      return false;
    }
    this.end();
    const { core, entry, object, size } = this;
    if (at(entry) !== "writing") return false;
    const header = new Uint8Array(HEADER_BYTES);
    writeHeader(header, { object, size, complete: true, crc, tag: this.tag });
    entry.tag = this.tag;
    try {
      this.put(header, 0);
      if (entry.state.at === "writing" && !entry.state.doomed) {
        renameSync(this.path, join(entry.disk === undefined ? core.dir : dirname(this.path), object));
      }
    } catch {
      core.abandon(entry, true);
      return false;
    } finally {
      if (this.users === 0) this.closeFile();
    }
    return core.seal(entry);
  }

  /** Gives up what is not finished. Nobody may write to a window any more: the file is used for others. Idempotent. */
  close(): void {
    if (this.ended) return;
    this.end();
    if (this.users === 0) this.closeFile();
    this.core.abandon(this.entry, true);
  }

  /** Its owner freed it meanwhile: it is not worth going on. */
  get freed(): boolean {
    const { state } = this.entry;
    return state.at !== "writing" || state.doomed;
  }

  private get length(): number {
    return this.entry.segment?.length ?? this.entry.disk?.length ?? 0;
  }

  private check(offset: number, length: number): void {
    if (this.ended || at(this.entry) !== "writing") {
      throw new InvalidArgumentError(`${this.object} is not arriving any more: create it again`);
    }
    if (!(offset >= 0 && length >= 0 && offset + length <= this.size)) {
      throw new InvalidArgumentError(
        `bytes ${offset} to ${offset + length} are not in ${this.object}, which has ${this.size}`,
      );
    }
  }

  /** Writing through the mapping where no page exists would end the process if there is no room for one. */
  private ensure(offset: number, length: number): void {
    const { touched } = this;
    const end = Math.ceil((HEADER_BYTES + offset + length) / PAGE);
    let page = Math.floor(Math.max(HEADER_BYTES + offset, this.allocated) / PAGE);
    while (page < end) {
      let to = page;
      while (to < end && touched[to] !== 1 && to - page < MANY) to++;
      if (to > page) this.put(ZEROS.subarray(0, (to - page) * PAGE), page * PAGE);
      page = Math.max(to, page + 1);
    }
  }

  private put(bytes: Uint8Array, position: number): void {
    try {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(this.fd, bytes, done, bytes.length - done, position + done);
      }
    } catch (thrown) {
      throw noRoom(thrown, dirname(this.path), this.size) ?? thrown;
    }
    this.touched.fill(1, Math.floor(position / PAGE), Math.ceil((position + bytes.length) / PAGE));
  }

  private async allocate(): Promise<void> {
    const { files } = this.core;
    const { length } = this;
    while (files !== undefined && this.allocated < length && !this.ended) {
      const step = Math.min(STEP, length - this.allocated);
      const error = await files.allocateAsync(this.fd, this.allocated, step);
      if (error !== 0) break; // `window` will find out, and say so
      this.allocated += step;
    }
  }

  private end(): void {
    this.ended = true;
    this.mapping = undefined;
    for (const listener of this.ends.splice(0)) listener();
  }

  private closeFile(): void {
    closeSync(this.fd);
    this.fd = -1;
  }

  /** Mappings of the file are still about, so that closing it would not do. */
  private unlock(): void {
    if (this.locked) this.core.files?.unlock(this.fd);
    this.locked = false;
  }
}

const unmapped = new FinalizationRegistry<() => void>((unmap) => unmap());
/** Windows may still be in the hands of a socket: the mapping goes when the last of them does. */
function unmapWhenUnused({ files }: Core, { buffer, address, length }: Mapping): void {
  unmapped.register(buffer, () => files?.unmap({ address, length }));
}

/** Makes all pages of a file. @throws ObjectStoreFullError if the file system has no room */
export async function allocatePages(core: Core, path: string, length: number): Promise<void> {
  const { files } = core;
  if (files === undefined) return;
  const fd = openSync(path, constants.O_RDWR);
  try {
    const error = await files.allocateAsync(fd, 0, length);
    if (error !== 0) throw fileSystemFull(dirname(path), length);
  } finally {
    closeSync(fd);
  }
}
