/**
 * Deletes leave a marker in the bucket, so that watchers learn of them. Markers are removed some time later, when
 * no watcher can need them any more (one that was deaf for longer reads everything anew), so that they don't pile up.
 */
import type { Bucket } from "./bucket.js";

/** Markers stay this long, in milliseconds; much longer than a watch can be silent without starting over. */
const GRACE_MS = 60_000;
const TICK_MS = 5_000;
/** Markers removed at once. */
const BATCH = 16;

export class MarkerSweeper {
  readonly #bucket: Bucket;
  readonly #graceMs: number;
  /** Due time by revision, oldest first. */
  readonly #due = new Map<number, number>();
  #timer: NodeJS.Timeout | undefined;
  #sweeping = false;

  constructor(bucket: Bucket, graceMs: number = GRACE_MS) {
    this.#bucket = bucket;
    this.#graceMs = graceMs;
  }

  /** Removes this marker when its time has come. Noting one twice is no error. */
  note(revision: number): void {
    if (this.#due.has(revision)) return;
    this.#due.set(revision, performance.now() + this.#graceMs);
    this.#timer ??= setInterval(() => void this.#sweep(), Math.min(TICK_MS, this.#graceMs)).unref();
  }

  /** What is left stays in the bucket, for the next process that meets it. */
  stop(): void {
    clearInterval(this.#timer);
    this.#due.clear();
  }

  async #sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    try {
      for (let ripe = this.#ripe(); ripe.length > 0; ripe = this.#ripe()) {
        await Promise.all(ripe.map((revision) => this.#bucket.removeMarker(revision)));
        for (const revision of ripe) this.#due.delete(revision);
      }
    } catch {
      // The broker is away: they are still noted, and the next tick tries again.
    } finally {
      this.#sweeping = false;
      if (this.#due.size === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
    }
  }

  #ripe(): number[] {
    const now = performance.now();
    const ripe: number[] = [];
    for (const [revision, due] of this.#due) {
      if (due > now || ripe.length === BATCH) break;
      // The very last message stays until another follows: brokers have been seen to count anew from the last
      // message that they find after a crash, and revisions must not be given twice.
      if (revision < this.#bucket.latest) ripe.push(revision);
    }
    return ripe;
  }
}
