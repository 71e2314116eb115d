/** Gives room for new objects: in memory if it can be had, else on disk. */
import { ConnectionError, InvalidArgumentError, ObjectLostError, type StoreRoom } from "@stingray/protocol";
import { checkObjectName, errorCode } from "../shm/files.js";
import type { Core } from "./core.js";
import { joined, type DiskShare } from "./disk-share.js";
import type { Entry } from "./entry.js";
import type { Role } from "./machine.js";
import type { Request, RoomQueue } from "./room-queue.js";
import { fileLength, linkOwnName, type Segment } from "./segment.js";
import type { Spiller } from "./spiller.js";

export interface Creation {
  readonly object: string;
  /** Of the value, in bytes. */
  readonly size: number;
  /** Who will write it. */
  readonly client: string;
  readonly role: Role;
  /** Where in the program it is made, for people. */
  readonly origin?: string | undefined;
}

export class Rooms {
  constructor(
    private readonly core: Core,
    private readonly queue: RoomQueue,
    private readonly spiller: Spiller,
  ) {}

  /** Room for all of them, or none. In the order of `wanted`. */
  async reserve(wanted: readonly Creation[], signal: AbortSignal | undefined): Promise<StoreRoom[]> {
    const seen = new Set<string>();
    for (const { object, size } of wanted) {
      checkObjectName(object);
      if (!Number.isSafeInteger(size) || size < 0) {
        throw new InvalidArgumentError(`size of ${object} must be a number of bytes, got ${size}`);
      }
      if (seen.has(object)) throw new InvalidArgumentError(`room for ${object} was asked for twice at once`);
      seen.add(object);
    }
    this.checkClients(wanted);
    const large = this.tooLarge(wanted);
    if (large.size === 0) return this.queue.add(this.request(wanted, undefined), signal);
    const { capacity } = this.core.pool;
    return this.withDisk(
      large,
      () => this.full(wanted, `it does not fit into the ${capacity} bytes of memory, and not on disk`),
      (share) =>
        large.size === wanted.length
          ? this.give(wanted, share)
          : this.queue.add(this.request(wanted, share), signal),
    );
  }

  /** Room that was taken for no object in particular is this object's. */
  adopt(creation: Creation, segment: Segment): void {
    const entry = newEntry(creation, "memory");
    entry.segment = segment;
    this.core.entries.add(entry);
  }

  /** Room for `length` bytes of memory that are no object. */
  async memory<T>(length: number, client: string, use: () => Promise<T>): Promise<T> {
    this.checkClient(client);
    return this.queue.add(
      {
        attempt: () => (this.makeRoom(length) ? use() : undefined),
        missing: () => this.missing(length),
        giveUp:
          this.core.disk.path === undefined
            ? undefined // as objects without a disk: they wait to the end
            : () => Promise.reject(this.core.full("small values", length, "everything is in use")),
        full: () => this.core.full("small values", length, "nothing was let go of in time"),
        concerns: (what) => what.client === client && !("object" in what),
      },
      undefined,
    );
  }

  private request(wanted: readonly Creation[], share: DiskShare | undefined): Request<StoreRoom[]> {
    const inMemory = wanted.filter((creation) => share?.for.has(creation) !== true);
    const bytes = (): number => bytesOf(inMemory.filter((creation) => this.known(creation) === undefined));
    return {
      attempt: () => (this.makeRoom(bytes()) ? this.give(wanted, share) : undefined),
      missing: () => this.missing(bytes()),
      giveUp:
        this.core.disk.path === undefined
          ? undefined
          : () =>
              this.withDisk(
                new Set(inMemory),
                () => this.full(wanted, "everything in memory is in use, and the disk has no room"),
                (more) => this.give(wanted, share === undefined ? more : joined(share, more)),
              ),
      full: () => this.full(wanted, "nothing was let go of in time"),
      concerns: (what) =>
        wanted.some(
          ({ object, client }) => client === what.client && (!("object" in what) || object === what.object),
        ),
    };
  }

  private full(wanted: readonly Creation[], why: string): Error {
    const names = wanted.map(({ object }) => object).join(", ");
    const what = names.length > 200 ? `${names.slice(0, 200)} …` : names;
    return this.core.full(what, bytesOf(wanted), why);
  }

  /** What does not fit into the store at all, the largest first. */
  private tooLarge(wanted: readonly Creation[]): Set<Creation> {
    const { capacity } = this.core.pool;
    let total = bytesOf(wanted);
    const large = new Set<Creation>();
    if (total <= capacity) return large;
    for (const creation of [...wanted].sort((a, b) => b.size - a.size)) {
      if (total <= capacity) break;
      large.add(creation);
      total -= fileLength(creation.size);
    }
    return large;
  }

  /** Takes room on disk; what `use` does not need of it goes back. */
  private async withDisk<T>(
    creations: ReadonlySet<Creation>,
    full: () => Error,
    use: (share: DiskShare) => Promise<T>,
  ): Promise<T> {
    const { disk } = this.core;
    const bytes = bytesOf([...creations]);
    if (!(await disk.ready()) || !disk.take(bytes)) throw full();
    const share: DiskShare = { for: creations, left: bytes };
    try {
      return await use(share);
    } finally {
      disk.giveBack(share.left, false);
    }
  }

  private missing(bytes: number): number {
    const { used, capacity } = this.core.pool;
    return used + bytes - capacity;
  }

  /** Makes room for so many bytes of memory as far as that needs no waiting, and begins to spill where it does. */
  private makeRoom(bytes: number): boolean {
    const { pool, recency } = this.core;
    if (pool.fits(bytes)) return true;
    pool.reap();
    for (const kind of ["copies", "saved"] as const) {
      while (!pool.fits(bytes)) {
        const entry = recency.oldest(kind);
        if (entry === undefined) break;
        this.core.evict(entry);
      }
    }
    if (pool.fits(bytes)) return true;
    this.spiller.start(this.missing(bytes));
    return false;
  }

  /** The room that this client was given for this object before, and has not used. */
  private known({ object, size, client }: Creation): Entry | undefined {
    return this.core.entries
      .creationsOf(object)
      .find(
        (entry) =>
          entry.client === client &&
          entry.size === size &&
          entry.state.at === "writing" &&
          !entry.state.doomed,
      );
  }

  private async give(wanted: readonly Creation[], share: DiskShare | undefined): Promise<StoreRoom[]> {
    this.checkClients(wanted); // there may have been a wait for the disk
    const made: Entry[] = [];
    const waits: Promise<void>[] = [];
    const onDisk = (creation: Creation): boolean => share?.for.has(creation) === true;
    let due = bytesOf(wanted.filter((one) => !onDisk(one) && this.known(one) === undefined));
    try {
      const rooms = wanted.map((creation) => {
        const known = this.known(creation);
        if (known !== undefined) return roomOf(known);
        let entry: Entry;
        if (share !== undefined && onDisk(creation)) {
          entry = this.onDisk(creation, share);
        } else {
          due -= fileLength(creation.size);
          entry = this.inMemory(creation, due, waits);
        }
        made.push(entry);
        return roomOf(entry);
      });
      if (waits.length > 0) {
        await Promise.all(waits);
        this.checkClients(wanted);
      }
      return rooms;
    } catch (thrown) {
      for (const entry of made) this.core.abandon(entry, true);
      throw thrown;
    }
  }

  private checkClients(wanted: readonly Creation[]): void {
    for (const { client } of wanted) this.checkClient(client);
  }
  /** @throws ConnectionError if it has ended: nobody would ever give back what it gets now */
  checkClient(client: string): void {
    if (this.core.departed.has(client)) throw clientGone(client)();
  }

  /** `due`: bytes of memory that the others of the same request will take. */
  private inMemory(creation: Creation, due: number, waits: Promise<void>[]): Entry {
    const { entries, pool } = this.core;
    const before = entries.get(creation.object);
    const { segment, cleared } = pool.take(fileLength(creation.size), creation.client, due);
    if (cleared !== undefined) waits.push(cleared);
    // The writer will put its file under this name, and that must not be the last one of what is there.
    if (before?.segment !== undefined) linkIfThere(before.segment, this.core.pathOf(before));
    const entry = newEntry(creation, "memory");
    entry.segment = segment;
    entries.add(entry);
    return entry;
  }

  private onDisk(creation: Creation, share: DiskShare): Entry {
    const length = fileLength(creation.size);
    const entry = newEntry(creation, "disk");
    entry.disk = this.core.disk.make(creation.object, length);
    share.left -= length;
    this.core.entries.add(entry);
    return entry;
  }
}

function linkIfThere(segment: Segment, path: string): void {
  try {
    linkOwnName(segment, path);
  } catch (thrown) {
    if (errorCode(thrown) !== "ENOENT") throw thrown;
  }
}

function newEntry({ object, size, client, role, origin }: Creation, on: "memory" | "disk"): Entry {
  const now = Date.now();
  return {
    object,
    size,
    client,
    origin,
    born: now,
    state: { at: "writing", on, role, doomed: false },
    segment: undefined,
    record: undefined,
    disk: undefined,
    tag: undefined,
    usedAt: now,
  };
}

function roomOf({ segment, disk }: Entry): StoreRoom {
  if (segment !== undefined) {
    return { path: segment.path, file: segment.file, length: segment.length, warm: segment.allocated };
  }
  return { path: disk?.path ?? "", file: 0, length: disk?.length ?? 0, warm: false };
}

const bytesOf = (wanted: readonly Creation[]): number =>
  wanted.reduce((sum, { size }) => sum + fileLength(size), 0);

/** Why somebody who waits for room gets none: nobody needs it any more. */
export const clientGone = (client: string) => (): Error =>
  new ConnectionError(`process ${client} ended while it waited for room in the object store`);
export const notWanted = (object: string) => (): Error =>
  new ObjectLostError(`object ${object} was given up while it waited for room in the object store`);
