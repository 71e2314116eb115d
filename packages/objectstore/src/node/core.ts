/** What the parts of the store share: its files, its objects, and the steps that change both together. */
import { closeSync, constants, fstatSync, readSync, type Stats } from "node:fs";
import { join } from "node:path";
import { ObjectLostError } from "@stingray/protocol";
import { HEADER_BYTES, readHeader } from "../shm/header.js";
import type { MappedFiles } from "../shm/native.js";
import { Departed } from "./departed.js";
import { Entries, type Entry } from "./entry.js";
import { FusedFiles, type FusedFile } from "./fused.js";
import { storeFull, type FullDetail } from "./full.js";
import { Holds } from "./holds.js";
import { Recency } from "./recency.js";
import { isAt, linkOwnName, openFile } from "./segment.js";
import { SegmentPool } from "./segment-pool.js";
import type { SpillDir } from "./spill-dir.js";

/** A file that holds a complete object. */
export interface WholeFile {
  readonly stats: Stats;
  readonly tag: string | undefined;
}

export interface CoreHooks {
  log(line: string): void;
  /** There is more room than before. */
  released(): void;
  /** An object was dropped although nobody freed it: `evicted`, a copy whose memory was needed, or `lost`. */
  dropped(object: string, why: "evicted" | "lost"): void;
  /** Completes the object if somebody has made it again, whose word of that has not come yet. */
  madeAgain(object: string): boolean;
  /** A spill file is mostly dead. */
  wasteful(file: FusedFile): void;
}

export class Core {
  readonly entries: Entries;
  readonly pool: SegmentPool;
  readonly fused: FusedFiles;
  readonly recency: Recency;
  readonly holds = new Holds();
  readonly departed = new Departed();
  /** Bytes since the start. */
  spilledTotal = 0;
  restoredTotal = 0;

  constructor(
    readonly dir: string,
    capacity: number,
    readonly files: MappedFiles | undefined,
    readonly disk: SpillDir,
    readonly hooks: CoreHooks,
  ) {
    this.pool = new SegmentPool(dir, capacity, files, () => hooks.released());
    this.fused = new FusedFiles(disk, (file) => hooks.wasteful(file));
    this.recency = new Recency({
      files,
      held: (object) => this.holds.held(object),
      path: (entry) => this.pathOf(entry),
      lost: (entry) => this.lose(entry, "its file is not there any more"),
    });
    this.entries = new Entries((entry) => this.recency.note(entry));
  }

  /** Where the bytes of an object in memory or made on disk are, or are to be written. */
  pathOf(entry: Entry): string {
    const { state, segment, disk, object } = entry;
    if (state.at === "writing") return segment?.path ?? disk?.path ?? "";
    return disk === undefined ? join(this.dir, object) : this.disk.pathOf(object, disk);
  }

  /** Its writer is done: the file has the object's name, and says that it is complete. False: the object was dropped. */
  seal(entry: Entry): boolean {
    const before = this.entries.get(entry.object);
    if (this.entries.apply(entry, "seal").at === "gone") {
      this.clear(entry, true);
      return false;
    }
    if (before !== undefined) this.drop(before, "free");
    if (entry.disk !== undefined) this.disk.complete(entry.disk);
    // Others that still make the same object will take its name, and that must not be the last one of this file.
    if (entry.segment !== undefined && this.entries.creationsOf(entry.object).length > 0) {
      linkOwnName(entry.segment, this.pathOf(entry));
    }
    return true;
  }

  /** The object leaves the store. One that is being written goes when its writer is done. */
  drop(entry: Entry, event: "free" | "lose"): void {
    if (entry.state.at === "gone" || this.entries.apply(entry, event).at !== "gone") return;
    this.clear(entry, true);
  }

  /** A creation that came to nothing. `done`: its writer will not write any more, so the file may be used again. */
  abandon(entry: Entry, done: boolean): void {
    if (entry.state.at !== "writing") return;
    this.entries.apply(entry, "abandon");
    this.clear(entry, done);
  }

  /** Its bytes are not there. It stays where it was made again meanwhile: look again. */
  lose(entry: Entry, why: string): void {
    if (this.hooks.madeAgain(entry.object)) return;
    this.hooks.log(`object ${entry.object} (${entry.size} bytes) is lost on this node: ${why}`);
    this.drop(entry, "lose");
    this.hooks.dropped(entry.object, "lost");
  }

  /** Its memory is given back: a copy is dropped, one that is on disk as well is there only. */
  evict(entry: Entry): void {
    const { segment } = entry;
    const dropped = this.entries.apply(entry, "evict").at === "gone";
    entry.segment = undefined;
    if (segment !== undefined) this.pool.giveBack(segment, join(this.dir, entry.object));
    if (!dropped) return;
    this.clear(entry, true);
    this.hooks.dropped(entry.object, "evicted");
  }

  /** The complete file of this entry. undefined: it is not there, or is another, or does not say that it is complete. */
  wholeFile(entry: Entry, path: string): WholeFile | undefined {
    const ino = entry.segment?.ino ?? entry.disk?.ino;
    const fd = ino === undefined ? undefined : openFile(path, ino, constants.O_RDONLY);
    if (fd === undefined) return undefined;
    try {
      const bytes = new Uint8Array(HEADER_BYTES);
      const length = readSync(fd, bytes, 0, HEADER_BYTES, 0);
      const { complete, object, size, tag } = readHeader(bytes.subarray(0, length), path);
      const whole = complete && object === entry.object && size === entry.size;
      return whole ? { stats: fstatSync(fd), tag } : undefined;
    } catch (thrown) {
      if (thrown instanceof ObjectLostError) return undefined;
      throw thrown;
    } finally {
      closeSync(fd);
    }
  }

  /** Its file is where it should be. */
  isThere(entry: Entry): boolean {
    const ino = entry.segment?.ino ?? entry.disk?.ino;
    return ino !== undefined && isAt(this.pathOf(entry), ino);
  }

  figuresFor(requested: number): FullDetail {
    const { used, capacity } = this.pool;
    return { requested, used, capacity, onDisk: this.entries.onDisk, diskLimit: this.disk.most };
  }
  full(what: string, requested: number, why: string): Error {
    return storeFull(what, why, this.figuresFor(requested));
  }

  /** Gives back all that the entry has. */
  private clear(entry: Entry, done: boolean): void {
    const { object, segment, record, disk } = entry;
    entry.segment = entry.record = entry.disk = undefined;
    if (segment !== undefined) {
      const name = join(this.dir, object);
      if (done) this.pool.giveBack(segment, name);
      else this.pool.discard(segment, name);
    }
    if (record !== undefined) this.fused.release(record);
    if (disk !== undefined) this.disk.remove(object, disk);
    if (record !== undefined || disk !== undefined) this.hooks.released();
  }
}
