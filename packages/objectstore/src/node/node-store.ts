/** The agent's side of a node's store: gives room, knows what is where, moves it to disk and back, removes what is freed. */
import { closeSync, fstatSync, statfsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import {
  InvalidOptionError,
  type StoreFigures,
  type StoreRoom,
  type StoreSpan,
  type StoreState,
} from "@stingray/protocol";
import { checkObjectName, openIfThere, readAt } from "../shm/files.js";
import { HEADER_BYTES } from "../shm/header.js";
import { mappedFiles } from "../shm/native.js";
import { claimDir, sweepDeadStores } from "../shm/root.js";
import { Arrival } from "./arrival.js";
import { Core } from "./core.js";
import type { Entry } from "./entry.js";
import { Leases } from "./leases.js";
import { list, stateOf, type Listing } from "./listing.js";
import { Restorer } from "./restorer.js";
import { RoomQueue } from "./room-queue.js";
import { Rooms, clientGone, notWanted, type Creation } from "./rooms.js";
import { SpillDir, type SpillOptions } from "./spill-dir.js";
import { Spiller } from "./spiller.js";

const WAIT_MS = 2000;
const DEADLINE_MS = 60_000;
/** How often files that were freed while they were seen are looked at. Milliseconds. */
const REAP_MS = 1000;

export interface NodeStoreOptions {
  /** Created here, mode 0700; removed by `close`. */
  dir: string;
  /** Bytes of shared memory that all objects and leases may take together. */
  capacity: number;
  /** Where objects go that do not fit. Default: nowhere, and creations wait for `deadlineMs`. */
  spill?: SpillOptions | undefined;
  /** Remove what dead processes left beside both directories first. Default true. */
  sweep?: boolean;
  /** A creation that waits goes to disk when nothing has moved for so long. Milliseconds, default 2000. */
  waitMs?: number;
  /** No creation waits longer. Milliseconds, default 60,000. */
  deadlineMs?: number;
  /** Lines for people: objects lost, spilling refused. Default: nobody reads them. */
  log?: (line: string) => void;
  /** An object left this node although nobody freed it: a copy whose memory was needed, or one whose bytes were lost. */
  dropped?: (object: string, why: "evicted" | "lost") => void;
}

export interface CreateOptions extends Creation {
  signal?: AbortSignal | undefined;
}

export interface ObjectStat {
  /** Of the value, in bytes. */
  readonly size: number;
  /** It is here whole. */
  readonly sealed: boolean;
  readonly state: StoreState;
  readonly copy: boolean;
}

/** An object's bytes, for as long as they are needed. */
export interface SharedBytes {
  readonly bytes: Uint8Array;
  /** Nothing of `bytes` may be used any more. Idempotent. */
  release(): void;
}

export class NodeStore implements AsyncDisposable {
  private readonly arrivals = new Map<Entry, Arrival>();
  private readonly reaper: NodeJS.Timeout;
  private closed: Promise<void> | undefined;

  private constructor(
    private readonly core: Core,
    private readonly queue: RoomQueue,
    private readonly spiller: Spiller,
    private readonly rooms: Rooms,
    private readonly leases: Leases,
    private readonly restorer: Restorer,
  ) {
    this.reaper = setInterval(() => core.pool.reap(), REAP_MS);
    this.reaper.unref();
  }

  /** @throws InvalidOptionError for a bad capacity or limit, or a directory in use or not safe */
  static async open(options: NodeStoreOptions): Promise<NodeStore> {
    const { capacity } = options;
    if (!Number.isSafeInteger(capacity) || capacity <= 0) {
      throw new InvalidOptionError(`capacity of the object store must be a number of bytes, got ${capacity}`);
    }
    const dir = resolve(options.dir);
    const log = options.log ?? ((): void => undefined);
    const disk = new SpillDir(options.spill, dir, log);
    if (options.sweep !== false) {
      await sweepDeadStores(dirname(dir));
      await disk.sweep();
    }
    await claimDir(dir);
    const core = new Core(dir, capacity, mappedFiles(), disk, {
      log,
      released: () => queue.moved(),
      dropped: (object, why) => options.dropped?.(object, why),
      wasteful: (file) => spiller.rewrite(file),
    });
    const spiller = new Spiller(core);
    const queue = new RoomQueue({
      waitMs: options.waitMs ?? WAIT_MS,
      deadlineMs: options.deadlineMs ?? DEADLINE_MS,
      busy: () => spiller.busy,
    });
    const rooms = new Rooms(core, queue, spiller);
    const restorer = new Restorer(core, () => queue.length === 0);
    return new NodeStore(core, queue, spiller, rooms, new Leases(core, rooms), restorer);
  }

  get dir(): string {
    return this.core.dir;
  }
  /** Bytes taken and reserved of the capacity: objects, leases, and what is freed but still seen. */
  get used(): number {
    return this.core.pool.used;
  }
  get capacity(): number {
    return this.core.pool.capacity;
  }
  /** Objects, complete or not. */
  get count(): number {
    return this.core.entries.count;
  }

  /**
   * Room for one object. An object that is here already may be made again; it can be read until the new one is
   * complete. The same client asking again for the same gets the same room.
   * @throws ObjectStoreFullError if there is no room in time; ConnectionError if the client ended meanwhile;
   * ObjectLostError if it was abandoned meanwhile; the signal's reason
   */
  async create(options: CreateOptions): Promise<StoreRoom> {
    const [room] = await this.rooms.reserve([options], options.signal);
    return room as StoreRoom;
  }

  /** Room for several objects, for all of them together or for none, in their order. @throws as `create` */
  reserve(creations: readonly Creation[], signal?: AbortSignal): Promise<StoreRoom[]> {
    return this.rooms.reserve(creations, signal);
  }

  /**
   * Its writer says that it is complete, under its own name. False, and it is dropped, if that is not so, or if it was
   * freed meanwhile.
   */
  seal(object: string, size: number): boolean {
    const creations = this.core.entries.creationsOf(object);
    const whole = creations.find((entry) => entry.size === size && this.isWhole(entry));
    if (whole !== undefined) return this.complete(whole);
    const there = this.core.entries.get(object);
    if (there !== undefined && (creations.length === 0 || this.isWhole(there))) return there.size === size;
    for (const entry of creations) if (!this.arrivals.has(entry)) this.core.abandon(entry, false);
    return false;
  }

  /** The client's creation of this object came to nothing, whether it has room yet or not. */
  abandon(object: string, client: string): void {
    this.queue.end({ object, client }, notWanted(object));
    for (const entry of this.core.entries.creationsOf(object)) {
      if (entry.client !== client) continue;
      const arrival = this.arrivals.get(entry);
      if (entry.segment?.allocated === false) this.coolIfFull(entry.segment.length);
      if (arrival !== undefined) arrival.close();
      else this.core.abandon(entry, true);
    }
  }

  /** A writer that failed may have found the file system full, which holds less than this store believes. */
  private coolIfFull(bytes: number): void {
    const { bavail, bsize } = statfsSync(this.core.dir);
    if (bavail * bsize < bytes) void this.core.pool.cool();
  }

  /** A file of at least so many bytes for the client's small values, with all its pages. @throws ObjectStoreFullError */
  lease(client: string, bytes: number): Promise<StoreRoom> {
    return this.leases.lease(client, bytes);
  }
  /** The client will not touch these leased files any more. */
  giveBack(client: string, files: readonly number[]): void {
    this.leases.giveBack(client, files);
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

  /**
   * Where the object can be read on this node: in memory, into which it is brought back if there is room, or on disk.
   * What was spilled is compared with its checksum. undefined: it is not here, or was found to be lost.
   */
  open(object: string): Promise<StoreSpan | undefined> {
    checkObjectName(object);
    return this.restorer.open(object);
  }

  /** The object's bytes, mapped in this process for being sent to others. undefined: as `open`. */
  async bytes(object: string): Promise<SharedBytes | undefined> {
    const span = await this.open(object);
    return span && this.map(span);
  }

  /** The object is not dropped from memory, nor moved, until `unhold`, or the end of the client. Counted. */
  hold(object: string, client: string): void {
    this.core.holds.add(object, client);
  }
  unhold(object: string, client: string): void {
    this.core.holds.remove(object, client);
  }

  /** A copy is to stay as if it had been made here. */
  keep(object: string): void {
    const { entries } = this.core;
    for (const entry of [entries.get(object), ...entries.creationsOf(object)]) {
      if (entry !== undefined) entries.apply(entry, "keep");
    }
  }

  /** Removes objects; unknown ones are no error. Who has mapped one keeps its contents. */
  free(objects: readonly string[]): void {
    const { entries } = this.core;
    for (const object of objects) {
      checkObjectName(object);
      const there = entries.get(object);
      if (there !== undefined) this.core.drop(there, "free");
      for (const entry of entries.creationsOf(object)) this.core.drop(entry, "free");
    }
  }

  /** A process is gone: its holds and leases, and what it had not finished. What is complete and unannounced stays. */
  clientDied(client: string): void {
    this.queue.end({ client }, clientGone(client));
    for (const entry of this.core.entries.writtenBy(client)) {
      if (this.isWhole(entry)) this.complete(entry);
      else this.core.abandon(entry, false);
    }
    this.leases.clientDied(client);
    this.core.holds.clientDied(client);
  }

  /** Whether it is here whole, in memory or on disk. */
  has(object: string): boolean {
    return this.core.entries.get(object) !== undefined;
  }

  stat(object: string): ObjectStat | undefined {
    const { entries } = this.core;
    const entry = entries.get(object) ?? entries.creationsOf(object)[0];
    if (entry === undefined) return undefined;
    const { state, size } = entry;
    return {
      size,
      sealed: state.at !== "writing",
      state: stateOf(entry),
      copy: state.at !== "gone" && state.role === "copy",
    };
  }

  /** `sentTotal` and `receivedTotal` are not known here: 0. */
  figures(): StoreFigures {
    const { pool, entries, spilledTotal, restoredTotal } = this.core;
    return {
      capacity: pool.capacity,
      used: pool.used,
      leased: this.leases.bytes,
      lingering: pool.lingering,
      warm: pool.warm,
      onDisk: entries.onDisk,
      objects: entries.count,
      spilledTotal,
      restoredTotal,
      sentTotal: 0,
      receivedTotal: 0,
      waiting: this.queue.length,
    };
  }

  /** At most `limit` objects, the largest first. */
  list(limit: number): Listing {
    return list(this.core, limit);
  }

  /** Ends what waits, and removes both directories with all that is in them. Idempotent. */
  close(): Promise<void> {
    this.closed ??= this.end();
    return this.closed;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private async end(): Promise<void> {
    clearInterval(this.reaper);
    this.queue.endAll(clientGone("of this node"));
    await this.spiller.close();
    await this.core.pool.settled();
    await rm(this.core.dir, { recursive: true, force: true });
    await this.core.disk.close();
  }

  private complete(entry: Entry): boolean {
    const { segment } = entry;
    if (segment !== undefined) {
      const fd = openIfThere(join(this.core.dir, entry.object));
      if (fd !== undefined) {
        const { blocks, mtimeMs } = fstatSync(fd);
        closeSync(fd);
        segment.allocated = blocks * 512 >= segment.length;
        entry.usedAt = Math.max(Date.now(), mtimeMs);
      }
    }
    return this.core.seal(entry);
  }

  /** Its file has the object's name and says that it is complete. */
  private isWhole(entry: Entry): boolean {
    const { core } = this;
    const { object, disk } = entry;
    const path = disk === undefined ? join(core.dir, object) : core.disk.pathOf(object, disk);
    return core.headerOf(entry, path) !== undefined;
  }

  private map([path, offset, length]: StoreSpan): SharedBytes | undefined {
    const { files } = this.core;
    const fd = openIfThere(path);
    if (fd === undefined) return undefined;
    try {
      if (files?.lock(fd, "shared") === false || fstatSync(fd).size < offset + length) return undefined;
      const mapping = files?.map(fd, length, "private", false, offset);
      if (files === undefined || mapping === undefined) {
        const bytes = readAt(fd, offset, length).subarray(HEADER_BYTES);
        return { bytes, release: () => undefined };
      }
      let released = false;
      return {
        bytes: new Uint8Array(mapping.buffer, HEADER_BYTES, length - HEADER_BYTES),
        release: () => {
          if (!released) files.unmap(mapping);
          released = true;
        },
      };
    } finally {
      closeSync(fd);
    }
  }
}
