/** The ends of creations: sealed, given up, or left behind by a process that is gone. */
import { statfsSync } from "node:fs";
import { join } from "node:path";
import { Arrival } from "./arrival.js";
import type { Core, WholeFile } from "./core.js";
import type { Entry } from "./entry.js";
import { isAt } from "./segment.js";

export class Creations {
  private readonly arrivals = new Map<Entry, Arrival>();

  constructor(private readonly core: Core) {}

  /**
   * Its writer says that it is complete, under its own name. False, and it is dropped, if that is not so, or if it was
   * freed meanwhile.
   */
  seal(object: string, size: number): boolean {
    const creations = this.core.entries.creationsOf(object);
    for (const entry of creations) {
      const file = entry.size === size ? this.wholeFile(entry) : undefined;
      if (file !== undefined) return this.complete(entry, file);
    }
    const there = this.core.entries.get(object);
    if (there !== undefined && (creations.length === 0 || this.wholeFile(there) !== undefined)) {
      return there.size === size;
    }
    // Where several make it, it is not known whose it was: each goes with its client at the latest.
    const [only] = creations;
    if (only !== undefined && creations.length === 1 && !this.arrivals.has(only))
      this.core.abandon(only, false);
    return false;
  }

  /** The client's creation of this object came to nothing. */
  abandon(object: string, client: string): void {
    for (const entry of this.core.entries.creationsOf(object)) {
      if (entry.client !== client) continue;
      const arrival = this.arrivals.get(entry);
      if (entry.segment?.allocated === false) this.coolIfFull(entry.segment.length);
      // Bytes of an upload may still be on their way into its memory: such a file is not used again.
      this.core.abandon(entry, arrival === undefined);
      arrival?.close();
    }
  }

  /** As `seal`, for somebody who has heard that it is complete before its writer said so: what is not whole goes on. */
  sealIfWhole(object: string): boolean {
    for (const entry of this.core.entries.creationsOf(object)) {
      const file = this.arrivals.has(entry) ? undefined : this.wholeFile(entry);
      if (file !== undefined) return this.complete(entry, file);
    }
    return false;
  }

  /**
   * For a created object that this process fills, the last one or that of `client`. Until its `finish` or `close` it is
   * the same every time. undefined: it is not being made (any more).
   */
  arrival(object: string, client?: string): Arrival | undefined {
    const entry = this.core.entries
      .creationsOf(object)
      .findLast((entry) => client === undefined || entry.client === client);
    if (entry === undefined) return undefined;
    let arrival = this.arrivals.get(entry);
    if (arrival === undefined) {
      arrival = Arrival.of(this.core, entry, () => this.arrivals.delete(entry));
      this.arrivals.set(entry, arrival);
    }
    return arrival;
  }

  /** What a dead process had written whole stays, announced or not; the rest goes. */
  clientDied(client: string): { object: string; size: number }[] {
    const completed: { object: string; size: number }[] = [];
    for (const entry of this.core.entries.writtenBy(client)) {
      const arrival = this.arrivals.get(entry);
      const file = arrival === undefined ? this.wholeFile(entry) : undefined;
      if (file === undefined) this.core.abandon(entry, false);
      else if (this.complete(entry, file)) completed.push({ object: entry.object, size: entry.size });
      arrival?.close();
    }
    return completed;
  }

  private complete(entry: Entry, { stats: { blocks, mtimeMs }, tag }: WholeFile): boolean {
    const { segment } = entry;
    if (segment !== undefined) segment.allocated = blocks * 512 >= segment.length;
    entry.tag = tag;
    entry.usedAt = Math.max(Date.now(), mtimeMs);
    const sealed = this.core.seal(entry);
    this.overtaken(entry.object);
    return sealed;
  }

  /**
   * Others that made the same object, and whose files had its name until the next one took it: theirs are nowhere, and
   * their writers' words can't be told from that of the last.
   */
  private overtaken(object: string): void {
    const { core } = this;
    for (const entry of [...core.entries.creationsOf(object)]) {
      const { segment, disk } = entry;
      if (this.arrivals.has(entry)) continue;
      const ino = segment?.ino ?? disk?.ino;
      const names = [core.pathOf(entry), this.nameOf(entry)];
      if (ino !== undefined && !names.some((name) => isAt(name, ino))) core.abandon(entry, false);
    }
  }

  /** Its file, if that has the object's name and says that it is complete. */
  private wholeFile(entry: Entry): WholeFile | undefined {
    return this.core.wholeFile(entry, this.nameOf(entry));
  }

  /** Where it is when it is complete. */
  private nameOf({ object, disk }: Entry): string {
    const { core } = this;
    return disk === undefined ? join(core.dir, object) : core.disk.pathOf(object, disk);
  }

  /** A writer that failed may have found the file system full, which holds less than this store believes. */
  private coolIfFull(bytes: number): void {
    const { bavail, bsize } = statfsSync(this.core.dir);
    if (bavail * bsize < bytes) void this.core.pool.cool();
  }
}
