/** The agent's side of a node's store: gives room, knows what is there, removes what is freed. */
import { closeSync, constants, openSync, renameSync, statSync, writeSync } from "node:fs";
import { rm, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { InvalidArgumentError, InvalidOptionError, ObjectLostError } from "@stingray/protocol";
import { checkObjectName, noRoom, openIfThere, readAt, removeIfThere, unfinishedPath } from "./files.js";
import { Ledger } from "./ledger.js";
import { claimDir, sweepDeadStores } from "./root.js";

/** Removing a large file takes the kernel milliseconds, which the agent's event loop should not wait for. Bytes. */
const REMOVE_ASIDE = 1024 * 1024;

export interface NodeStoreOptions {
  /** Created here, mode 0700; removed by `close`. */
  dir: string;
  /** Bytes that all objects may take together. */
  capacity: number;
  /** Remove stores of dead processes beside `dir` first. Default true. */
  sweep?: boolean;
}

export interface ObjectStat {
  readonly size: number;
  readonly sealed: boolean;
  /** Of the complete object. */
  readonly path: string;
}

export class NodeStore implements AsyncDisposable {
  private readonly ledger: Ledger;
  private readonly removals = new Set<Promise<unknown>>();
  private trash = 0;
  private closed: Promise<void> | undefined;

  private constructor(
    readonly dir: string,
    capacity: number,
  ) {
    this.ledger = new Ledger(capacity);
  }

  /** @throws InvalidOptionError for a bad capacity, or a directory in use or not safe */
  static async open(options: NodeStoreOptions): Promise<NodeStore> {
    const { capacity } = options;
    if (!Number.isSafeInteger(capacity) || capacity <= 0) {
      throw new InvalidOptionError(`capacity of the object store must be a number of bytes, got ${capacity}`);
    }
    const dir = resolve(options.dir);
    if (options.sweep !== false) await sweepDeadStores(dirname(dir));
    await claimDir(dir);
    return new NodeStore(dir, capacity);
  }

  /** Bytes taken and reserved. */
  get used(): number {
    return this.ledger.used;
  }
  get capacity(): number {
    return this.ledger.capacity;
  }
  /** Objects, complete or not. */
  get count(): number {
    return this.ledger.count;
  }

  /**
   * Reserves room, and returns the path that `StoreClient.writeFile` is to write. Until then there is no file. An
   * object that is there already may be made again; the old one can be read until the new one is complete.
   * @throws ObjectStoreFullError if it does not fit
   */
  create(object: string, size: number, client: string): string {
    const path = this.path(object);
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new InvalidArgumentError(`size of ${object} must be a number of bytes, got ${size}`);
    }
    this.ledger.apply(object, { type: "create", size, client });
    return path;
  }

  /** Part of an object that was created by the caller (a transfer). Offsets in any order; all must be written before `seal`. */
  write(object: string, offset: number, bytes: Uint8Array): void {
    const path = this.path(object);
    const entry = this.ledger.get(object);
    if (entry === undefined || entry.state === "sealed" || offset + bytes.length > entry.size) {
      throw new InvalidArgumentError(
        `write to ${object}: it was not created with room for ${offset + bytes.length} bytes`,
      );
    }
    const flags = constants.O_CREAT | constants.O_WRONLY | (constants.O_NOFOLLOW ?? 0);
    const fd = openSync(unfinishedPath(path), flags, 0o600);
    try {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
      }
    } catch (thrown) {
      throw noRoom(thrown, this.dir, bytes.length) ?? thrown;
    } finally {
      closeSync(fd);
    }
  }

  /**
   * The object is complete. False, and the object is dropped, if it is not there with that size, or was freed or
   * lost its writer meanwhile.
   */
  seal(object: string, size: number): boolean {
    const path = this.path(object);
    const known = this.ledger.get(object) !== undefined;
    const unfinished = unfinishedPath(path);
    if (known && sizeOf(unfinished) === size) renameSync(unfinished, path);
    if (known && sizeOf(path) === size) {
      this.ledger.apply(object, { type: "seal", size });
      return true;
    }
    this.free([object]);
    return false;
  }

  /** Removes objects; unknown ones are no error. Who has mapped one keeps its contents. */
  free(objects: readonly string[]): void {
    for (const object of objects) {
      const path = this.path(object);
      const entry = this.ledger.get(object);
      this.ledger.apply(object, { type: "free" });
      if (entry === undefined || entry.size < REMOVE_ASIDE) removeIfThere(path);
      else this.removeAside(path);
      removeIfThere(unfinishedPath(path));
    }
  }

  /** Whether it is there complete. */
  has(object: string): boolean {
    const entry = this.ledger.get(object);
    return entry !== undefined && entry.state !== "writing";
  }

  stat(object: string): ObjectStat | undefined {
    const entry = this.ledger.get(object);
    if (entry === undefined) return undefined;
    const size = entry.state === "rewriting" ? entry.before : entry.size;
    return { size, sealed: entry.state !== "writing", path: this.path(object) };
  }

  /**
   * A copy of up to `length` bytes from `offset`, fewer at the end.
   * @throws ObjectLostError if the object is not here
   */
  read(object: string, offset: number, length: number): Uint8Array {
    const found = this.stat(object);
    const fd = found?.sealed === true ? openIfThere(found.path) : undefined;
    if (found === undefined || fd === undefined) {
      throw new ObjectLostError(`object ${object} is not in the store at ${this.dir}: ask another copy`);
    }
    try {
      return readAt(fd, offset, Math.max(0, Math.min(length, found.size - offset)));
    } finally {
      closeSync(fd);
    }
  }

  /** Drops what the client had not finished; what it sealed stays. */
  clientDied(client: string): void {
    for (const object of this.ledger.unfinishedOf(client)) {
      const path = this.path(object);
      const found = this.has(object) ? sizeOf(path) : undefined;
      removeIfThere(unfinishedPath(path));
      if (this.ledger.apply(object, { type: "writerDied", found }) === undefined) removeIfThere(path);
    }
  }

  /** Removes the directory with all that is in it. Idempotent. */
  close(): Promise<void> {
    this.closed ??= (async () => {
      await Promise.allSettled(this.removals);
      await rm(this.dir, { recursive: true, force: true });
    })();
    return this.closed;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private path(object: string): string {
    checkObjectName(object);
    return join(this.dir, object);
  }

  private removeAside(path: string): void {
    const aside = join(this.dir, `.trash-${this.trash++}`);
    try {
      renameSync(path, aside);
    } catch {
      return removeIfThere(path);
    }
    const removal = unlink(aside)
      .catch(() => undefined) // close() removes the directory with it
      .finally(() => this.removals.delete(removal));
    this.removals.add(removal);
    return undefined;
  }
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}
