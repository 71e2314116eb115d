/** The directory on disk for what does not fit into memory, made when it is first needed, and how much may be in it. */
import { closeSync, fstatSync, ftruncateSync, mkdirSync, openSync, renameSync, statfsSync } from "node:fs";
import { rm, rmdir, unlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InvalidOptionError, toError } from "@stingray/protocol";
import { errorCode } from "../shm/files.js";
import { hostLabel } from "../shm/owner.js";
import { claimDir, sweepDeadStores } from "../shm/root.js";
import type { DiskFile } from "./entry.js";
import { isAt } from "./segment.js";

export interface SpillOptions {
  /** `<dir>/stingray-spill-<uid>-<host>/<name of the store>` is used: several machines may share the file system. */
  dir: string;
  /** Bytes of all files on disk. Default: until 5 % of the file system are left. */
  limit?: number | undefined;
}

/** The part of the file system that is left to others. */
const LEAVE = 0.05;
/** After it could not be made, it is not tried for so long. Milliseconds. */
const RETRY_MS = 5000;

export class SpillDir {
  readonly path: string | undefined;
  private readonly root: string = "";
  private readonly limit: number | undefined;
  private claimed: Promise<boolean> | undefined;
  private there = false;
  private notBefore = 0;
  private bytes = 0;
  /** Of them: promised, and not yet written. */
  private promised = 0;
  private names = 0;
  private readonly removals = new Set<Promise<unknown>>();

  private constructor(
    options: SpillOptions | undefined,
    store: string,
    host: string,
    private readonly log: (line: string) => void,
  ) {
    const limit = options?.limit;
    if (limit !== undefined && !(limit >= 0)) {
      throw new InvalidOptionError(
        `the limit of the spill directory must be a number of bytes, got ${limit}`,
      );
    }
    this.limit = limit;
    if (options === undefined) return;
    this.root = resolve(options.dir);
    this.path = join(this.root, `stingray-spill-${process.getuid?.() ?? 0}-${host}`, basename(store));
  }

  /**
   * `store`: the directory of the node's store, whose name it gets. Nothing is made yet.
   * @throws InvalidOptionError for a limit that is no number of bytes
   */
  static async of(
    options: SpillOptions | undefined,
    store: string,
    log: (line: string) => void,
  ): Promise<SpillDir> {
    return new SpillDir(options, store, await hostLabel(), log);
  }

  /** Bytes of all files in it, parts that are not used any more included. */
  get taken(): number {
    return this.bytes;
  }

  /** Bytes that may be in it, as things are now. 0: there is none. */
  get most(): number {
    if (this.path === undefined) return 0;
    if (this.limit !== undefined) return this.limit;
    return Math.max(0, this.bytes + this.left());
  }

  /** Removes those of dead processes beside it. */
  async sweep(): Promise<void> {
    if (this.path !== undefined) await sweepDeadStores(dirname(this.path));
  }

  /** It is there and this node's. False: there is none, or it can't be made, with a line in the log. Never rejects. */
  ready(): Promise<boolean> {
    if (this.path === undefined || Date.now() < this.notBefore) return Promise.resolve(false);
    this.claimed ??= this.claim(this.path);
    return this.claimed;
  }

  /** Promises `bytes` of it, if it has them. */
  take(bytes: number): boolean {
    if (!this.there) return false;
    const fits = this.limit === undefined ? bytes <= this.left() : this.bytes + bytes <= this.limit;
    if (!fits) return false;
    this.bytes += bytes;
    this.promised += bytes;
    return true;
  }
  /** What was promised is written. */
  written(bytes: number): void {
    this.promised -= bytes;
  }
  giveBack(bytes: number, wasWritten: boolean): void {
    this.bytes -= bytes;
    if (!wasWritten) this.promised -= bytes;
  }

  /** The file for an object that is made here. Its bytes must have been taken. @throws what the file system throws */
  make(object: string, length: number): DiskFile {
    const dir = this.path ?? "";
    let path = join(dir, `.${object}`);
    let fd: number;
    try {
      fd = openSync(path, "wx", 0o600);
    } catch (thrown) {
      if (errorCode(thrown) !== "EEXIST") throw thrown;
      const beside = join(dir, `beside-${++this.names}`); // somebody else makes it at the same time
      mkdirSync(beside, { mode: 0o700 });
      path = join(beside, `.${object}`);
      fd = openSync(path, "wx", 0o600);
    }
    try {
      ftruncateSync(fd, length);
      return { path, ino: fstatSync(fd).ino, length, written: false };
    } finally {
      closeSync(fd);
    }
  }

  /** Where an object lies that was made on disk, when it is complete. */
  pathOf(object: string, file: DiskFile): string {
    return join(dirname(file.path), object);
  }

  /** Its writer is done with the file. */
  complete(file: DiskFile): void {
    file.written = true;
    this.written(file.length);
  }

  /** Removes such a file, under whichever name it has. */
  remove(object: string, file: DiskFile): void {
    const { path, ino, length, written } = file;
    for (const name of [path, this.pathOf(object, file)]) if (isAt(name, ino)) this.discard(name);
    this.giveBack(length, written);
  }

  /** Removes a file in the background: for a large one that takes a while. Its name is free at once. */
  discard(name: string): void {
    const gone = join(this.path ?? "", `gone-${++this.names}`);
    try {
      renameSync(name, gone);
    } catch (thrown) {
      if (errorCode(thrown) !== "ENOENT") throw thrown;
      return;
    }
    const dir = dirname(name);
    const removal = unlink(gone)
      .then(() => (dir === this.path ? undefined : rmdir(dir)))
      .catch(() => undefined) // close() removes all of it
      .finally(() => this.removals.delete(removal));
    this.removals.add(removal);
  }

  /** Removes it with all that is in it. */
  async close(): Promise<void> {
    const made = await this.claimed;
    await Promise.allSettled(this.removals);
    if (made !== true || this.path === undefined) return;
    await rm(this.path, { recursive: true, force: true });
    await rmdir(dirname(this.path)).catch(() => undefined); // others of this machine may have theirs in it
  }

  /** What the file system has for us. */
  private left(): number {
    // Before it is made, one of the directories above it tells.
    for (let dir = this.there ? (this.path ?? "") : this.root; ; dir = dirname(dir)) {
      try {
        const { blocks, bavail, bsize } = statfsSync(dir);
        return Math.floor((bavail - blocks * LEAVE) * bsize) - this.promised;
      } catch {
        if (this.there || dir === dirname(dir)) return 0;
      }
    }
  }

  private async claim(path: string): Promise<boolean> {
    try {
      await sweepDeadStores(dirname(path));
      await claimDir(path);
      this.there = true;
      return true;
    } catch (thrown) {
      this.log(`objects can't be spilled to ${path}: ${toError(thrown).message}`);
      this.notBefore = Date.now() + RETRY_MS;
      this.claimed = undefined;
      return false;
    }
  }
}
