/** Who holds how much of a node: what fairness goes by. */
import type { Ask } from "./ask.js";
import type { Resources } from "./amounts.js";

/** What a lease of nothing counts for, so that those who hold many of them are seen. */
const LEAST = 1e-6;
/** Sums are rounded to it, so that equal ones are equal. */
const STEP = 1e9;

/** The share of a node that a request takes: of the resource of which it takes most. From 0 to 1. */
export function shareOf(need: Resources, total: Resources): number {
  let most = LEAST;
  for (const [name, units] of need.entries()) {
    const all = total.units(name);
    if (all > 0) most = Math.max(most, units / all);
  }
  return most;
}

/** Job, submitter and key of an ask: on each level those that compete are to have the same. */
export function levelsOf(ask: Ask): [job: string, submitter: string, key: string] {
  const submitter = `${ask.job}/${ask.submitter}`;
  return [ask.job, submitter, `${submitter}/${ask.key}`];
}

/** The names under which two asks compete: on the first level on which they differ. Undefined for the same one. */
export function rivals(a: Ask, b: Ask): [a: string, b: string] | undefined {
  if (a.job !== b.job) return [a.job, b.job];
  const [, aSubmitter, aKey] = levelsOf(a);
  const [, bSubmitter, bKey] = levelsOf(b);
  if (aSubmitter !== bSubmitter) return [aSubmitter, bSubmitter];
  return aKey === bKey ? undefined : [aKey, bKey];
}

export class Shares {
  readonly #held = new Map<string, number>();

  /** @param sign 1: the ask holds one more lease of this share; -1: one less. */
  change(ask: Ask, share: number, sign: 1 | -1): void {
    for (const name of levelsOf(ask)) {
      const sum = Math.round(((this.#held.get(name) ?? 0) + sign * share) * STEP) / STEP;
      if (sum > 0) this.#held.set(name, sum);
      else this.#held.delete(name);
    }
  }

  /** What is held under the name of a job, submitter or key. */
  of(name: string): number {
    return this.#held.get(name) ?? 0;
  }
}
