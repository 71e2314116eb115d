/**
 * The files of the store in shared memory: made, used again while their pages are warm, given up. Knows nothing of
 * objects but the names under which their files lie.
 */
import { truncateSync, unlinkSync } from "node:fs";
import { truncate, unlink } from "node:fs/promises";
import { noRoom, removeIfThere } from "../shm/files.js";
import type { MappedFiles } from "../shm/native.js";
import { makeFile, takeBack, toOwnName, type Segment } from "./segment.js";
import { WarmFiles, closeTo } from "./warm-files.js";

/** Giving up more takes the kernel milliseconds, which the event loop should not wait for. Bytes. */
const REMOVE_ASIDE = 1024 * 1024;
/** More empty files than that are no use. */
const MOST_WARM = 1024;
/** Files looked at by one `reap`. */
const REAP = 100;
/** Files looked at before a new one is made, which is dearer. */
const LOOK = 4;

export interface Taken {
  readonly segment: Segment;
  /** Its pages exist. */
  readonly warm: boolean;
  /** Settles when the memory that had to go for it has gone. */
  readonly cleared: Promise<void> | undefined;
}

export class SegmentPool {
  private readonly empty = new WarmFiles();
  private readonly seen = new Set<Segment>();
  private readonly removals = new Set<Promise<unknown>>();
  private taken = 0;
  private seenBytes = 0;
  private made = 0;

  /** `released`: called when there is more room than before. Without `files` nothing is used again. */
  constructor(
    readonly dir: string,
    readonly capacity: number,
    readonly files: MappedFiles | undefined,
    private readonly released: () => void,
  ) {}

  /** Bytes of files in use, and of those that are given back but still seen. */
  get used(): number {
    return this.taken + this.seenBytes;
  }
  get lingering(): number {
    return this.seenBytes;
  }
  get warm(): number {
    return this.empty.bytes;
  }
  fits(bytes: number): boolean {
    return this.used + bytes <= this.capacity;
  }

  /**
   * A file of at least `length` bytes, for which there must be room. `due`: bytes that are promised beside it, so that
   * it may not be longer by those.
   * @throws ObjectStoreFullError if the file system has no room
   */
  take(length: number, client: string, due = 0): Taken {
    const spare = this.capacity - this.used - due;
    const segment =
      this.reuse(length, client, spare) ??
      (this.lookAtSeen(LOOK) ? this.reuse(length, client, spare) : undefined) ??
      this.make(length, client);
    segment.client = client;
    this.taken += segment.length;
    const cleared = this.trim();
    return { segment, warm: segment.allocated, cleared };
  }

  /** The file is not needed any more, and its writer is done with it. `name`: of its object, which it may have. */
  giveBack(segment: Segment, name?: string): void {
    this.taken -= segment.length;
    const { files } = this;
    if (files === undefined) {
      this.unlink(segment, name);
    } else {
      const found = this.takeBack(segment, files, name);
      if (found === "empty") {
        this.keep(segment);
      } else if (found === "seen") {
        this.seen.add(segment);
        this.seenBytes += segment.length;
        return;
      }
    }
    this.released();
  }

  /** The file is not needed any more, but its writer may still write: it is never used again. */
  discard(segment: Segment, name?: string): void {
    this.taken -= segment.length;
    this.unlink(segment, name);
    this.released();
  }

  /** Looks whether files that were seen are not any more. */
  reap(): void {
    if (this.lookAtSeen(REAP)) this.released();
  }

  private lookAtSeen(most: number): boolean {
    const { files } = this;
    let left = Math.min(most, this.seen.size);
    let freed = false;
    for (const segment of this.seen) {
      if (files === undefined || left-- === 0) break;
      this.seen.delete(segment);
      const found = this.takeBack(segment, files);
      if (found === "seen") {
        this.seen.add(segment); // behind the others
        continue;
      }
      this.seenBytes -= segment.length;
      freed = true;
      if (found === "empty") this.keep(segment);
    }
    return freed;
  }

  /** Gives all empty files up: the file system has less room than was thought. */
  async cool(): Promise<void> {
    for (let segment = this.empty.oldest; segment !== undefined; segment = this.empty.oldest) {
      void this.remove(segment);
    }
    await this.settled();
  }

  /** When nothing is being removed any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.removals);
  }

  private reuse(length: number, client: string, spare: number): Segment | undefined {
    const segment = this.empty.find(length, client, spare);
    if (segment === undefined) return undefined;
    this.empty.remove(segment);
    if (segment.length >= length && segment.length <= Math.min(spare, closeTo(length))) return segment;
    try {
      truncateSync(segment.path, length);
    } catch {
      removeIfThere(segment.path);
      return undefined;
    }
    if (length > segment.length) segment.allocated = false;
    segment.length = length;
    return segment;
  }

  private make(length: number, client: string): Segment {
    try {
      return makeFile(this.dir, ++this.made, length, client);
    } catch (thrown) {
      throw noRoom(thrown, this.dir, length) ?? thrown;
    }
  }

  /** Warm is only what has all its pages: a writer may have failed because there were no more. */
  private keep(segment: Segment): void {
    this.empty.add(segment);
    if (!segment.allocated) void this.remove(segment);
    else void this.trim();
  }

  /** Empty files go until there are few enough, the oldest first. */
  private trim(): Promise<void> | undefined {
    const waits: Promise<void>[] = [];
    while (this.used + this.empty.bytes > this.capacity || this.empty.count > MOST_WARM) {
      const { oldest } = this.empty;
      if (oldest === undefined) break;
      const wait = this.remove(oldest);
      if (wait !== undefined) waits.push(wait);
    }
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
  }

  /** Cuts the file first: the mappings that its writers may have kept would keep its memory. */
  private remove(segment: Segment): Promise<void> | undefined {
    this.empty.remove(segment);
    const { path, length } = segment;
    if (length > REMOVE_ASIDE) {
      return this.aside(truncate(path, 0).then(() => unlink(path)));
    }
    try {
      truncateSync(path, 0);
      unlinkSync(path);
    } catch {
      // It is not there any more; or close() removes it.
    }
    return undefined;
  }

  /** A file that can't be wiped (it may have no page for that, in a full file system) is not used again. */
  private takeBack(segment: Segment, files: MappedFiles, name?: string): ReturnType<typeof takeBack> {
    try {
      return takeBack(segment, files, name);
    } catch {
      this.unlink(segment, name);
      return "missing";
    }
  }

  private unlink(segment: Segment, name = segment.path): void {
    if (!toOwnName(segment, name)) return;
    if (segment.length > REMOVE_ASIDE) void this.aside(unlink(segment.path));
    else removeIfThere(segment.path);
  }

  private aside(removal: Promise<void>): Promise<void> {
    const quiet = removal
      .catch(() => undefined) // close() removes the directory with it
      .finally(() => this.removals.delete(quiet));
    this.removals.add(quiet);
    return quiet;
  }
}
