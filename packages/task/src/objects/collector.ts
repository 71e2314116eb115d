/**
 * Garbage collections for the sake of references. A collected handle lets go of its value, but V8 sees a small object
 * and not the megabytes in a store, or in another process, that hang on it; a process that waits for work allocates
 * nothing and may not collect for minutes. So one is asked for where more than before hangs on handles, and, in
 * workers, when they come to rest. Programs that release what they do not need cause none.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Growth of what hangs on handles that makes a collection worth its time. Bytes. */
const WORTH_BYTES = 64 * 1024 * 1024;
/** A worker rests when it has made no reference for this long. Milliseconds. */
const REST_MS = 500;
/** Of the time of a worker at rest, collections take at most one part in so many. */
const SHARE = 20;
/** Finalizers have run by then. Milliseconds. */
const FINALIZED_MS = 50;

export interface CollectorOptions {
  /** Workers: collect also at rest, however little hangs on the handles. A driver's pauses are its own affair. */
  readonly atRest: boolean;
  /** References that are alive. */
  readonly alive: () => number;
}

export class Collector {
  private bytes = 0;
  private limit = WORTH_BYTES;
  private due = false;
  private rest: NodeJS.Timeout | undefined;
  private lastMade = 0;
  private restMs = REST_MS;
  private run: (() => void) | undefined;
  private views = false;

  constructor(private readonly o: CollectorOptions) {}

  /** A large value is known here now. */
  came(bytes: number): void {
    this.bytes += bytes;
    if (this.bytes <= this.limit || this.due) return;
    this.due = true;
    setImmediate(() => {
      this.collect();
      setTimeout(() => {
        this.due = false;
        this.limit = this.bytes + Math.max(WORTH_BYTES, this.bytes / 2);
      }, FINALIZED_MS).unref();
    });
  }

  /** A large value is not held here any more. */
  went(bytes: number): void {
    this.bytes -= bytes;
    if (!this.due) this.limit = Math.min(this.limit, this.bytes + Math.max(WORTH_BYTES, this.bytes));
  }

  /** A reference was made. */
  made(): void {
    if (!this.o.atRest) return;
    this.lastMade = performance.now();
    this.rest ??= setTimeout(() => this.look(), this.restMs).unref();
  }

  /** A view on a store was made: its memory stays in use until it is collected, held by a handle or not. */
  viewed(): void {
    if (!this.o.atRest) return;
    this.views = true;
    this.made();
  }

  private look(): void {
    this.rest = undefined;
    const left = this.lastMade + this.restMs - performance.now();
    if (left > 1) this.rest = setTimeout(() => this.look(), left).unref();
    else if (this.views || this.o.alive() > 0) {
      this.views = false;
      this.restMs = Math.max(REST_MS, this.collect() * SHARE);
    }
  }

  /** Collects, and resolves when what was found has let go: the last of what a process used is often found late. */
  async now(): Promise<void> {
    this.collect();
    await new Promise((finalized) => setTimeout(finalized, FINALIZED_MS));
  }

  /** @returns how long it took, in milliseconds */
  private collect(): number {
    const begin = performance.now();
    this.run ??= collectorOf();
    this.run();
    return performance.now() - begin;
  }

  stop(): void {
    clearTimeout(this.rest);
    this.rest = undefined;
  }
}

function collectorOf(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
