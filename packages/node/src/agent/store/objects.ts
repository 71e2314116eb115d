/** The object store of the node as other processes see it: room, reads, holds, and the end of objects. */
import { crc32 } from "node:zlib";
import type { NodeStore } from "@stingray/objectstore";
import {
  InvalidArgumentError,
  ObjectLostError,
  ProtocolError,
  ownerOf,
  type ObjectId,
  type ProcessId,
  type StoreRoom,
  type StoreSpan,
  type StoreWanted,
} from "@stingray/protocol";
import type { Locations } from "./locations.js";
import type { Pulls } from "./pulls.js";

/** Part of the store that may be in use when files are leased ahead of need. */
const AHEAD_SHARE = 0.5;
const NO_ROOM: StoreRoom = { path: "", file: 0, length: 0, warm: false };
/** Objects whose owner is gone stay readable for so long. Milliseconds. */
const ORPHAN_MS = 10 * 60_000;
/** Longest read that is answered in one message. Bytes. */
const MAX_READ = 1024 * 1024;

export interface ObjectHooks {
  /** The job that a process works for, as far as known. */
  jobOf(process: ProcessId): string | undefined;
  /** Tells the owner that this node has the object. */
  copied(object: string, size: number): void;
}

export class Objects {
  /** By job, so that nothing of it stays when it is over. */
  private readonly byJob = new Map<string, Set<string>>();
  private readonly jobs = new Map<string, string>();

  constructor(
    private readonly store: NodeStore,
    private readonly pulls: Pulls,
    private readonly locations: Locations,
    private readonly hooks: ObjectHooks,
  ) {}

  /** Room for an object that `client` makes. @throws ObjectStoreFullError */
  async create(object: string, size: number, client: ProcessId, origin?: string): Promise<StoreRoom> {
    this.note(object, client);
    try {
      return await this.store.create({ object, size, client, role: "primary", origin });
    } catch (error) {
      this.forget(object);
      throw error;
    }
  }

  /** Its writer is done. `file`: it was leased ahead, and became this object's. */
  seal(object: string, size: number, client: ProcessId, file?: number, origin?: string): void {
    if (file !== undefined) this.note(object, client);
    const sealed =
      file === undefined
        ? this.store.seal(object, size)
        : this.store.adopt({ object, size, client, role: "primary", origin }, file);
    if (sealed) this.locations.added(object, size, this.jobs.get(object));
    else if (this.store.stat(object) === undefined) this.forget(object);
  }

  /** What the client had room for came to nothing. */
  abandon(object: string, client: ProcessId): void {
    this.store.abandon(object, client);
    if (this.store.stat(object) === undefined) this.forget(object);
  }

  /** @param ahead for objects that may never come: only while there is plenty of room */
  async lease(client: ProcessId, bytes: number, ahead: boolean): Promise<StoreRoom> {
    if (ahead && this.store.used + bytes > this.store.capacity * AHEAD_SHARE) return NO_ROOM;
    return this.store.lease(client, bytes);
  }
  giveBack(client: ProcessId, files: readonly number[]): void {
    this.store.giveBack(client, files);
  }

  /**
   * Brings here what is not here, all of it together, and says where to read it. What is held stays until `done`.
   * @throws ObjectLostError with `detail.object`
   */
  async open(wanted: readonly StoreWanted[], hold: boolean, client: ProcessId): Promise<StoreSpan[]> {
    const held: string[] = [];
    const spans: StoreSpan[] = [];
    try {
      // Held before anything is waited for: what is here must not go while the rest is fetched.
      for (const { object } of wanted) {
        this.store.hold(object, client);
        held.push(object);
      }
      await this.pulls.bring(wanted, (object) => this.note(object, client), { asker: client });
      for (const { object, size } of wanted) {
        const span = await this.store.open(object);
        if (span === undefined) {
          throw new ObjectLostError(
            `object ${object} (${size} bytes) went away from this node while it was opened`,
            { detail: { object } },
          );
        }
        spans.push(span);
      }
    } catch (error) {
      this.done(held, client);
      for (const { object } of wanted) if (this.store.stat(object) === undefined) this.forget(object);
      throw error;
    }
    if (!hold) this.done(held, client);
    return spans;
  }

  /** The client has mapped or read what was held for it. */
  done(objects: readonly string[], client: ProcessId): void {
    for (const object of objects) this.store.unhold(object, client);
  }

  /** A piece, for readers that can't use the data port. @throws ObjectLostError where this node does not have it (any more) */
  async read(
    object: string,
    offset: number,
    length: number,
  ): Promise<{ bytes: Uint8Array; size: number; crc: number; tag?: string | undefined }> {
    this.store.sealIfWhole(object);
    const opened = await this.store.bytes(object);
    if (opened === undefined) {
      throw new ObjectLostError(
        `object ${object} is not in the store of this node: ask another copy, or its owner`,
        { detail: { object } },
      );
    }
    try {
      const size = opened.bytes.length;
      const end = Math.min(size, offset + Math.min(length, MAX_READ));
      // A copy: the message is sent later, and the object may be gone by then.
      const bytes = opened.bytes.slice(Math.min(offset, size), end);
      return { bytes, size, crc: crc32(bytes), tag: opened.tag };
    } finally {
      opened.release();
    }
  }

  /** A piece of an object that was created by a process without a store. @throws ProtocolError for a damaged one */
  write(object: string, offset: number, bytes: Uint8Array, crc: number, client: ProcessId): void {
    const arrival = this.store.arrival(object, client);
    if (arrival === undefined || offset + bytes.length > arrival.size) {
      throw new InvalidArgumentError(
        `no room for bytes ${offset} to ${offset + bytes.length} of object ${object}: it was not created here, or is complete`,
      );
    }
    if (crc32(bytes) !== crc) {
      throw new ProtocolError(`bytes ${offset} to ${offset + bytes.length} of object ${object} came damaged`);
    }
    arrival.write(offset, bytes);
  }

  /** An upload is complete. @throws ObjectLostError where it was freed meanwhile */
  complete(object: string, size: number, client: ProcessId): void {
    const arrival = this.store.arrival(object, client);
    if (arrival?.size === size && arrival.finish()) this.locations.added(object, size, this.jobs.get(object));
    else if (!this.store.has(object)) {
      throw new ObjectLostError(`object ${object} was freed while it was uploaded`, { detail: { object } });
    }
  }

  /** Fetches an object to keep it, as if it had been made here. */
  async keep(wanted: StoreWanted, client: ProcessId, job: string | undefined): Promise<void> {
    const { object, size } = wanted;
    const note = (): void => this.noteJob(object, job);
    await this.pulls.bring([wanted], note, { asker: client, role: "primary", tellOwner: false });
    this.store.keep(object); // it may have been here as a copy
    this.locations.added(object, size, job);
    if (this.store.has(object)) return;
    throw new ObjectLostError(`object ${object} was freed while it was copied`, { detail: { object } });
  }

  /** The job that an object of this node belongs to, as far as known. */
  jobOf(object: string): string | undefined {
    return this.jobs.get(object);
  }

  /** Who has the object, beside its owner's word. */
  locate(object: string, client: ProcessId): ReturnType<Locations["locate"]> {
    return this.locations.locate(object, this.jobs.get(object) ?? this.hooks.jobOf(client));
  }

  /** They are not needed any more. Unknown ones are no error. */
  free(objects: readonly string[]): void {
    this.store.free(objects);
    this.pulls.drop(objects);
    this.locations.removed(objects);
    for (const object of objects) this.forget(object);
  }

  /**
   * A process is gone: what it had not finished, its holds and its leases go. What it had written whole for others, and
   * may not have told them of, is told to its owners, who take it or have it freed.
   */
  clientDied(client: ProcessId): void {
    for (const { object, size } of this.store.clientDied(client))
      if (ownerOf(object as ObjectId) !== client) this.hooks.copied(object, size);
  }

  /** A process could not read what is here. */
  damaged(object: string): void {
    this.store.verify(object);
  }

  /**
   * All objects that processes of the job made or fetched here go, but for those of `spared` owners: detached actors
   * that outlive the job.
   */
  freeJob(job: string, spared: (owner: ProcessId) => boolean): void {
    const objects = this.byJob.get(job);
    if (objects === undefined) return;
    this.free([...objects].filter((object) => !spared(ownerOf(object as ObjectId))));
  }

  /**
   * The owner of objects is gone. What is left of them can be read, and one day adopted, by those that hold references;
   * but nobody will ever free it, so it goes after a while.
   */
  ownerGone(owner: ProcessId): void {
    const owned = (object: string): boolean => object.startsWith(`${owner}.`);
    if (![...this.jobs.keys()].some(owned)) return;
    setTimeout(() => this.free([...this.jobs.keys()].filter(owned)), ORPHAN_MS).unref();
  }

  private note(object: string, client: ProcessId): void {
    this.noteJob(object, this.hooks.jobOf(client));
  }
  private noteJob(object: string, job: string | undefined): void {
    if (job === undefined || this.jobs.has(object)) return;
    this.jobs.set(object, job);
    let objects = this.byJob.get(job);
    if (objects === undefined) this.byJob.set(job, (objects = new Set()));
    objects.add(object);
  }
  private forget(object: string): void {
    const job = this.jobs.get(object);
    if (job === undefined) return;
    this.jobs.delete(object);
    const objects = this.byJob.get(job);
    objects?.delete(object);
    if (objects?.size === 0) this.byJob.delete(job);
  }
}
