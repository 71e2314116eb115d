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
  readonly #entries: { -readonly [K in keyof TrailEntry]: TrailEntry[K] }[] = [];

  /** What came of a step; `of`: who was asked. On the path of everything that waits, so nothing is made for a repetition. */
  add(at: number, kind: TrailEntry["kind"], answer: string, of?: { node?: string; class?: string }): void {
    const last = this.#entries.at(-1);
    if (last?.kind === kind && last.node === of?.node && last.class === of?.class && last.answer === answer) {
      last.at = at;
      last.times++;
      return;
    }
    this.#entries.push({ at, kind, ...of, answer, times: 1 });
    if (this.#entries.length > KEPT) this.#entries.shift();
  }

  /** Oldest first; a copy. */
  get entries(): TrailEntry[] {
    return this.#entries.map((entry) => ({ ...entry }));
  }
}
