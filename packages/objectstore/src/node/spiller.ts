/** Writes objects to disk when memory is short, one after another into one file, and rewrites files that are mostly dead. */
import { closeSync, constants, ftruncateSync, openSync, writeSync } from "node:fs";
import { toError } from "@stingray/protocol";
import { HEADER_BYTES, writeHeader } from "../shm/header.js";
import { copyBytes, type FileSpan } from "./copy.js";
import type { Core } from "./core.js";
import { at, type Entry } from "./entry.js";
import type { FusedFile, SpillRecord } from "./fused.js";
import { fileLength, openFile } from "./segment.js";

/** So much goes to disk at once, if there is so much: it is asked for again soon. Bytes. */
const BATCH = 64 * 1024 * 1024;
/** After the disk refused. Milliseconds. */
const BACK_OFF_MS = 5000;

export class Spiller {
  private running: Promise<void> | undefined;
  private readonly toRewrite = new Set<FusedFile>();
  private needed = 0;
  private notBefore = 0;
  private closed = false;

  constructor(private readonly core: Core) {}

  /** Something is being written right now. */
  get busy(): boolean {
    return this.running !== undefined;
  }

  /** Begins to write `bytes` at least to disk, unless it does so already, or failed a short while ago. */
  start(bytes: number): void {
    this.needed = Math.max(this.needed, bytes);
    if (this.closed || this.core.disk.path === undefined || Date.now() < this.notBefore) return;
    if (this.running !== undefined || this.core.recency.oldest("primaries") === undefined) return;
    this.run(() => this.spill());
  }

  /** Gives the disk back what is dead in this file, after whatever is going on. */
  rewrite(file: FusedFile): void {
    if (this.closed || this.toRewrite.has(file)) return;
    this.toRewrite.add(file);
    void this.idle().then(() => {
      this.toRewrite.delete(file);
      if (!this.closed && file.records.size > 0) this.run(() => this.compact(file));
    });
  }

  /** Stops between two objects. */
  async close(): Promise<void> {
    this.closed = true;
    await this.idle();
  }

  private async idle(): Promise<void> {
    while (this.running !== undefined) await this.running;
  }

  private run(work: () => Promise<boolean>): void {
    this.running = work()
      .catch((thrown: unknown) => this.refused(toError(thrown).message))
      .then((moved) => {
        this.running = undefined;
        if (moved) this.core.hooks.released(); // who waits looks again
      });
  }

  private async spill(): Promise<boolean> {
    const { core } = this;
    if (!(await core.disk.ready())) return false;
    const file = core.fused.create();
    try {
      for (let done = 0; !this.closed && done < Math.max(BATCH, this.needed);) {
        // Chosen anew after each wait: what was idle may be used or gone.
        const entry = core.recency.oldest("primaries");
        if (entry === undefined) break;
        if (!(await this.save(entry, file))) break;
        done += fileLength(entry.size);
      }
      return file.end > 0;
    } finally {
      this.needed = 0;
      this.finish(file);
    }
  }

  /** False: the disk has no room. */
  private async save(entry: Entry, file: FusedFile): Promise<boolean> {
    const { core } = this;
    const length = fileLength(entry.size);
    if (!core.disk.take(length)) {
      this.refused("the limit of the spill directory is reached");
      return false;
    }
    let fd: number | undefined;
    let locked = true;
    let crc: number | undefined;
    core.entries.apply(entry, "spill");
    try {
      fd = openFile(core.pathOf(entry), entry.segment?.ino ?? 0, constants.O_RDONLY);
      // As any reader: should it be freed meanwhile, its file is not used again before we are done.
      if (fd !== undefined) locked = core.files?.lock(fd, "shared") ?? true;
      if (fd !== undefined && locked) {
        crc = await write({ fd, offset: HEADER_BYTES }, file, entry);
      }
    } catch (thrown) {
      core.disk.giveBack(length, false);
      if (at(entry) === "spilling") core.entries.apply(entry, "unsaved");
      throw thrown;
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
    if (crc === undefined || at(entry) !== "spilling") {
      core.disk.giveBack(length, false);
      core.pool.reap(); // its file could not be taken back while it was read here
      if (at(entry) !== "spilling") return true;
      if (locked) core.lose(entry, "its file is gone, or was cut off");
      else core.entries.apply(entry, "unsaved");
      return true;
    }
    entry.record = core.fused.add(file, entry, crc);
    core.entries.apply(entry, "saved");
    core.spilledTotal += length;
    // Who began to read it meanwhile goes on; it can be dropped later for nothing.
    if (core.recency.isIdle(entry)) core.evict(entry);
    return true;
  }

  private async compact(from: FusedFile): Promise<boolean> {
    const { core } = this;
    const source = openSync(from.path, "r"); // first: it may have been removed by somebody
    let file: FusedFile | undefined;
    try {
      file = core.fused.create();
      for (const record of from.records) {
        if (this.closed || !(await this.move(record, source, file))) break;
      }
      return true;
    } finally {
      closeSync(source);
      if (file !== undefined) this.finish(file);
    }
  }

  private async move(record: SpillRecord, source: number, file: FusedFile): Promise<boolean> {
    const { core } = this;
    const { entry, length } = record;
    const stays = (): boolean =>
      entry.record !== record || at(entry) === "restoring" || core.holds.held(entry.object);
    if (stays()) return true;
    if (!core.disk.take(length)) return false;
    let crc: number | undefined;
    try {
      crc = await write({ fd: source, offset: record.offset + HEADER_BYTES }, file, entry);
    } catch (thrown) {
      core.disk.giveBack(length, false);
      throw thrown;
    }
    if (crc !== record.crc || stays()) {
      core.disk.giveBack(length, false);
      if (crc !== record.crc && entry.record === record) this.damaged(entry, record);
      return true;
    }
    entry.record = core.fused.add(file, entry, crc);
    core.fused.release(record);
    return true;
  }

  private damaged(entry: Entry, record: SpillRecord): void {
    const { core } = this;
    if (at(entry) !== "memory") {
      core.lose(entry, `its part of ${record.file.path} was changed`);
      return;
    }
    entry.record = undefined;
    core.entries.apply(entry, "unsaved");
    core.fused.release(record);
  }

  private finish(file: FusedFile): void {
    try {
      if (file.fd !== undefined) ftruncateSync(file.fd, file.end);
    } finally {
      this.core.fused.finish(file);
    }
  }

  private refused(why: string): false {
    this.notBefore = Date.now() + BACK_OFF_MS;
    this.needed = 0;
    this.core.hooks.log(`objects can't be spilled to ${this.core.disk.path ?? ""} now: ${why}`);
    return false;
  }
}

/** Writes the object at the end of the file, and returns its checksum. undefined: there is less than it should be. */
async function write(from: FileSpan, file: FusedFile, entry: Entry): Promise<number | undefined> {
  const { fd } = file;
  if (fd === undefined) return undefined;
  const crc = await copyBytes(from, { fd, offset: file.end + HEADER_BYTES }, entry.size);
  if (crc === undefined) return undefined;
  const header = new Uint8Array(HEADER_BYTES);
  writeHeader(header, { object: entry.object, size: entry.size, complete: true, crc, tag: entry.tag });
  writeSync(fd, header, 0, HEADER_BYTES, file.end);
  // The file ends with a whole page: readers map whole pages.
  ftruncateSync(fd, file.end + fileLength(entry.size));
  return crc;
}
