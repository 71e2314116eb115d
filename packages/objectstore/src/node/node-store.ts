/** The agent's side of a node's store: gives room, knows what is where, moves it to disk and back, removes what is freed. */
import { statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import {
  InvalidArgumentError,
  InvalidOptionError,
  type StoreFigures,
  type StoreRoom,
  type StoreSpan,
} from "@stingray/protocol";
import { checkObjectName } from "../shm/files.js";
import { mappedFiles } from "../shm/native.js";
import { claimDir, sweepDeadStores } from "../shm/root.js";
import type { Arrival } from "./arrival.js";
import { Core } from "./core.js";
import { Creations } from "./creations.js";
import { headerAt } from "./header-at.js";
import { Leases } from "./leases.js";
import { list, stateOf, type Listing } from "./listing.js";
import { mapSpan } from "./map-span.js";
import type { CreateOptions, NodeStoreOptions, ObjectStat, SharedBytes } from "./options.js";
import { Restorer } from "./restorer.js";
import { RoomQueue } from "./room-queue.js";
import { Rooms, clientGone, notWanted, type Creation } from "./rooms.js";
import { SpillDir } from "./spill-dir.js";
import { Spiller } from "./spiller.js";

const WAIT_MS = 2000;
const DEADLINE_MS = 60_000;
/** An object that moves between memory and disk while it is opened is looked for so often. */
const TRIES = 5;
/** How often files that were freed while they were seen are looked at. Milliseconds. */
const REAP_MS = 500;

export class NodeStore implements AsyncDisposable {
  private readonly creations: Creations;
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
    this.creations = new Creations(core);
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
    const disk = await SpillDir.of(options.spill, dir, log);
    if (options.sweep !== false) {
      await sweepDeadStores(dirname(dir));
      await disk.sweep();
    }
    await claimDir(dir);
    const core = new Core(dir, capacity, mappedFiles(), disk, {
      log,
      released: () => queue.moved(),
      dropped: (object, why) => options.dropped?.(object, why),
      madeAgain: (object) => store.creations.sealIfWhole(object) || store.adoptWhole(object),
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
    const store = new NodeStore(core, queue, spiller, rooms, new Leases(core, rooms), restorer);
    return store;
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
    const [room] = await this.reserve([options], options.signal);
    return room as StoreRoom;
  }

  /** Room for several objects, for all of them together or for none, in their order. @throws as `create` */
  async reserve(creations: readonly Creation[], signal?: AbortSignal): Promise<StoreRoom[]> {
    this.checkOpen();
    return this.rooms.reserve(creations, signal);
  }

  /**
   * Its writer says that it is complete, under its own name. False, and it is dropped, if that is not so, or if it was
   * freed meanwhile.
   */
  seal(object: string, size: number): boolean {
    return this.creations.seal(object, size);
  }
  /**
   * As `seal`, for a file that was leased to the client. False too if it was not: then the object is not known here.
   */
  adopt(creation: Creation, file: number): boolean {
    const segment = this.leases.takeOut(creation.client, file);
    if (segment === undefined) return this.seal(creation.object, creation.size);
    this.rooms.adopt(creation, segment);
    return this.seal(creation.object, creation.size);
  }

  /** As `seal`, for somebody who has heard that it is complete before its writer said so: what is not whole goes on. */
  sealIfWhole(object: string): boolean {
    return this.creations.sealIfWhole(object) || this.adoptIfWhole(object);
  }
  private adoptIfWhole(object: string): boolean {
    return !this.has(object) && this.adoptWhole(object);
  }
  private adoptWhole(object: string): boolean {
    const path = join(this.core.dir, object);
    const ino = statSync(path, { throwIfNoEntry: false })?.ino;
    const lease = ino === undefined ? undefined : this.leases.findByInode(ino);
    const header = lease && headerAt(path);
    if (lease === undefined || header?.object !== object || !header.complete) return false;
    return this.adopt({ object, size: header.size, client: lease.client, role: "primary" }, lease.file);
  }

  /** The client's creation of this object came to nothing, whether it has room yet or not. */
  abandon(object: string, client: string): void {
    this.queue.end({ object, client }, notWanted(object));
    this.creations.abandon(object, client);
  }

  /**
   * A file of at least so many bytes for the client's small values, with all its pages.
   * @throws ObjectStoreFullError; ConnectionError if the client has ended
   */
  async lease(client: string, bytes: number): Promise<StoreRoom> {
    this.checkOpen();
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
    return this.creations.arrival(object, client);
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
    for (let left = TRIES; left > 0; left--) {
      const span = await this.open(object);
      const bytes = span && mapSpan(this.core.files, span);
      // Between the two it may have gone to disk.
      if (span === undefined || bytes !== undefined) return bytes;
    }
    return undefined;
  }

  /**
   * The object is not dropped from memory, nor moved, until `unhold`, or the end of the client. Counted. Nothing for a
   * client that has ended.
   */
  hold(object: string, client: string): void {
    if (!this.core.departed.has(client)) this.core.holds.add(object, client);
  }
  unhold(object: string, client: string): void {
    this.core.holds.remove(object, client);
  }

  /** Somebody could not read it: it is dropped if its file is not what it should be. */
  verify(object: string): void {
    const entry = this.core.entries.get(object);
    if (entry === undefined || entry.segment === undefined) return;
    if (this.core.wholeFile(entry, this.core.pathOf(entry)) === undefined)
      this.core.lose(entry, "its file was changed");
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
      // Freed by its owner before its writer's word of it came here.
      if (entries.creationsOf(object).length === 0) this.adoptIfWhole(object);
      const there = entries.get(object);
      if (there !== undefined) this.core.drop(there, "free");
      for (const entry of entries.creationsOf(object)) this.core.drop(entry, "free");
    }
  }

  /**
   * A process is gone: its holds and leases, and what it had not finished. What it had complete and not announced stays;
   * that is returned. It gets nothing from now on.
   */
  clientDied(client: string): { object: string; size: number }[] {
    this.core.departed.add(client);
    this.queue.end({ client }, clientGone(client));
    const completed = this.creations.clientDied(client);
    this.leases.clientDied(client);
    this.core.holds.clientDied(client);
    return completed;
  }

  /** Whether it is here whole, in memory or on disk. */
  has(object: string): boolean {
    return this.core.entries.get(object) !== undefined;
  }

  /** Complete objects that were made here, or are kept here as if they had been. */
  *primaries(): Generator<{ object: string; size: number }> {
    for (const { object, size, state } of this.core.entries.all())
      if (state.at !== "gone" && state.role === "primary") yield { object, size };
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

  private checkOpen(): void {
    if (this.closed === undefined) return;
    throw new InvalidArgumentError(`the object store at ${this.dir} is closed: its node has ended`);
  }

  private async end(): Promise<void> {
    clearInterval(this.reaper);
    this.queue.endAll(clientGone("of this node"));
    await this.spiller.close();
    await this.core.pool.settled();
    await rm(this.core.dir, { recursive: true, force: true });
    await this.core.disk.close();
  }
}
