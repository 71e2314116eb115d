/** What this node tells others of its large objects: changes soon, and all of them when somebody has missed some. */
import type { Timers } from "../timers.js";

/** Changes within this time go out together, in milliseconds. */
const SETTLE_MS = 50;
/** Shortest time between two times that everything is said, in milliseconds. */
const WHOLE_EVERY_MS = 1_000;

/** One thing to say. */
export interface News {
  complete: boolean;
  added: [object: string, size: number][];
  removed: string[];
}

export class LocationNews {
  private readonly here = new Map<string, number>();
  /** Not said yet; true where others know the object from before. */
  private readonly fresh = new Map<string, boolean>();
  /** Said to be here, and no longer here. */
  private readonly gone = new Set<string>();
  private cancelSoon: (() => void) | undefined;
  private cancelWhole: (() => void) | undefined;
  private lastWhole = -Infinity;
  /** Others may think that there is something here. */
  private spoken = false;
  private stopped = false;

  constructor(
    private readonly timers: Timers,
    private readonly say: (news: News) => void,
  ) {}

  /** Bytes of an object that is here. */
  size(object: string): number | undefined {
    return this.here.get(object);
  }

  added(object: string, size: number): void {
    if (this.here.get(object) === size) return;
    const known = this.fresh.get(object) ?? (this.gone.delete(object) || this.here.has(object));
    this.here.set(object, size);
    this.fresh.set(object, known);
    this.soon();
  }

  removed(object: string): void {
    if (!this.here.delete(object)) return;
    // What came and went in between is nobody's business.
    if (this.fresh.get(object) !== false) this.gone.add(object);
    this.fresh.delete(object);
    this.soon();
  }

  /** Somebody knows nothing yet, or has missed something: say all, not more often than {@link WHOLE_EVERY_MS}. */
  everything(): void {
    if (this.stopped || this.cancelWhole !== undefined) return;
    const wait = Math.max(SETTLE_MS, this.lastWhole + WHOLE_EVERY_MS - this.timers.now());
    this.cancelWhole = this.timers.defer(wait, () => this.sayAll([...this.here]));
  }

  /** The last word: nothing is here any more. */
  stop(): void {
    if (this.stopped) return;
    this.sayAll([]);
    this.stopped = true;
  }

  private soon(): void {
    if (this.stopped) return;
    this.cancelSoon ??= this.timers.defer(SETTLE_MS, () => this.sayChanges());
  }

  private sayChanges(): void {
    const added = [...this.fresh.keys()].map((object): [string, number] => [
      object,
      this.here.get(object) ?? 0,
    ]);
    const removed = [...this.gone];
    this.clear();
    if (added.length + removed.length === 0) return;
    this.spoken ||= added.length > 0;
    this.say({ complete: false, added, removed });
  }

  private sayAll(added: [object: string, size: number][]): void {
    this.cancelWhole?.();
    this.cancelWhole = undefined;
    this.lastWhole = this.timers.now();
    this.clear();
    // A node that had nothing and has nothing is no news, however many others there are to hear it.
    if (added.length === 0 && !this.spoken) return;
    this.spoken = added.length > 0;
    this.say({ complete: true, added, removed: [] });
  }

  private clear(): void {
    this.cancelSoon?.();
    this.cancelSoon = undefined;
    this.fresh.clear();
    this.gone.clear();
  }
}
