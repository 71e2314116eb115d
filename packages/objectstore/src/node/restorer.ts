/** Makes what is on disk readable: back in memory where there is room, else where it lies; and trusts no disk. */
import { closeSync, constants, fstatSync, openSync, readSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { ObjectLostError, type StoreSpan } from "@stingray/protocol";
import { HEADER_BYTES, readHeader, writeHeader } from "../shm/header.js";
import { errorCode } from "../shm/files.js";
import { copyBytes } from "./copy.js";
import type { Core } from "./core.js";
import { at, type Entry } from "./entry.js";
import type { SpillRecord } from "./fused.js";
import { fileLength, type Segment } from "./segment.js";

/** Objects restored at a time; others are read where they lie. */
const LANES = 2;

export class Restorer {
  private readonly underWay = new Map<Entry, Promise<void>>();
  private readonly checks = new Map<SpillRecord, Promise<boolean>>();

  /** `mayRestore`: there are no creations that wait for the room. */
  constructor(
    private readonly core: Core,
    private readonly mayRestore: () => boolean,
  ) {}

  /** Where the object can be read now. undefined: it is not here (any more). */
  async open(object: string): Promise<StoreSpan | undefined> {
    for (;;) {
      const entry = this.core.entries.get(object);
      if (entry === undefined) return undefined;
      const span = await this.spanOf(entry);
      if (span !== undefined) return span;
    }
  }

  /** undefined: its state has changed, look again. */
  private async spanOf(entry: Entry): Promise<StoreSpan | undefined> {
    const { core } = this;
    const { record } = entry;
    switch (entry.state.at) {
      case "memory":
      case "spilling":
      case "disk":
        if (core.isThere(entry)) return [core.pathOf(entry), 0, HEADER_BYTES + entry.size];
        if (record === undefined) core.lose(entry, `${core.pathOf(entry)} is not there any more`);
        else core.evict(entry); // the part on disk will do
        return undefined;
      case "restoring":
        await this.underWay.get(entry);
        return undefined;
      case "spilled": {
        if (record === undefined) return undefined;
        // Who makes it anew at this time will give its file this name.
        const anew = core.entries.creationsOf(entry.object).length > 0;
        const fits = !anew && this.underWay.size < LANES && core.pool.fits(fileLength(entry.size));
        if (fits && this.mayRestore()) {
          await this.restore(entry, record);
          if (at(entry) !== "spilled") return undefined;
        }
        if (!(await this.isGood(record))) {
          if (entry.record === record)
            core.lose(entry, `its part of ${record.file.path} is gone or was changed`);
          return undefined;
        }
        return entry.record === record
          ? [record.file.path, record.offset, HEADER_BYTES + entry.size]
          : undefined;
      }
      case "writing":
      case "gone":
        return undefined;
    }
  }

  private restore(entry: Entry, record: SpillRecord): Promise<void> {
    this.core.entries.apply(entry, "restore");
    const work = this.readBack(entry, record).finally(() => this.underWay.delete(entry));
    this.underWay.set(entry, work);
    return work;
  }

  private async readBack(entry: Entry, record: SpillRecord): Promise<void> {
    const { core } = this;
    let segment: Segment | undefined;
    try {
      const taken = core.pool.take(record.length, "");
      ({ segment } = taken);
      await taken.cleared;
      const filled = await this.fill(record, segment);
      const anew = core.entries.creationsOf(entry.object).length > 0;
      if (filled && !anew && at(entry) === "restoring") {
        renameSync(segment.path, join(core.dir, entry.object));
        entry.segment = segment;
        entry.usedAt = Date.now();
        core.entries.apply(entry, "restored");
        core.restoredTotal += record.length;
        return;
      }
    } catch {
      // No room after all, or no such file: it is read on disk, or found to be lost there.
    }
    if (segment !== undefined) core.pool.giveBack(segment);
    if (at(entry) === "restoring") core.entries.apply(entry, "unrestored");
  }

  private async fill({ file, offset, crc, entry }: SpillRecord, segment: Segment): Promise<boolean> {
    const from = openSync(file.path, constants.O_RDONLY);
    try {
      const to = openSync(segment.path, constants.O_RDWR);
      try {
        const found = await copyBytes(
          { fd: from, offset: offset + HEADER_BYTES },
          { fd: to, offset: HEADER_BYTES },
          entry.size,
        );
        if (found !== crc) return false;
        const header = new Uint8Array(HEADER_BYTES);
        writeHeader(header, { object: entry.object, size: entry.size, complete: true, crc, tag: entry.tag });
        writeSync(to, header, 0, HEADER_BYTES, 0);
        return true;
      } finally {
        closeSync(to);
      }
    } finally {
      closeSync(from);
    }
  }

  /** The value on disk is the one that was written. Looked at once, and again when the file was changed since. */
  private async isGood(record: SpillRecord): Promise<boolean> {
    const signature = record.file.signature();
    if (record.checked !== undefined && record.checked === signature) return true;
    let check = this.checks.get(record);
    if (check === undefined) {
      check = compare(record).finally(() => this.checks.delete(record));
      this.checks.set(record, check);
    }
    if (!(await check)) return false;
    record.checked = signature;
    return true;
  }
}

async function compare({ file, offset, length, crc, entry }: SpillRecord): Promise<boolean> {
  let fd: number;
  try {
    fd = openSync(file.path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  } catch (thrown) {
    if (errorCode(thrown) === "ENOENT") return false;
    throw thrown;
  }
  try {
    if (fstatSync(fd).size < offset + length) return false;
    const bytes = new Uint8Array(HEADER_BYTES);
    const got = readSync(fd, bytes, 0, HEADER_BYTES, offset);
    const header = readHeader(bytes.subarray(0, got), file.path);
    if (!header.complete || header.object !== entry.object || header.size !== entry.size) return false;
    return (await copyBytes({ fd, offset: offset + HEADER_BYTES }, undefined, entry.size)) === crc;
  } catch (thrown) {
    if (thrown instanceof ObjectLostError) return false;
    throw thrown;
  } finally {
    closeSync(fd);
  }
}
