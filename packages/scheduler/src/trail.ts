/** What was tried for an ask, and what came of it: the last few steps, for people. */

/** One step. `node` or `class`: who was asked; neither for this node itself. */
export interface TrailEntry {
  /** Milliseconds of the scheduler's clock (`LeaseEffects.now`); of the last time, where it was the same again. */
  readonly at: number;
  readonly kind: "local" | "offer" | "call";
  readonly node?: string | undefined;
  readonly class?: string | undefined;
  /** `granted 2`, or why not. */
  readonly answer: string;
  /** How often in a row it was so. */
  readonly times: number;
}

/** Steps that are kept per ask. */
const KEPT = 32;

/** Bounded; the same step again is counted, not repeated. */
export class Trail {
  #entries: TrailEntry[] = [];

  add(entry: Omit<TrailEntry, "times">): void {
    const last = this.#entries.at(-1);
    if (
      last !== undefined &&
      last.kind === entry.kind &&
      last.node === entry.node &&
      last.class === entry.class &&
      last.answer === entry.answer
    ) {
      this.#entries[this.#entries.length - 1] = { ...entry, times: last.times + 1 };
      return;
    }
    this.#entries.push({ ...entry, times: 1 });
    if (this.#entries.length > KEPT) this.#entries.shift();
  }

  /** Oldest first; a copy. */
  get entries(): TrailEntry[] {
    return [...this.#entries];
  }
}
