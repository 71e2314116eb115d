/** Time that passes only when told to. */
interface Timer {
  at: number;
  order: number;
  fn: () => void;
}

/** Lets every promise that is settled run its consequences. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class Clock {
  #now = 0;
  #order = 0;
  #timers: Timer[] = [];

  now = (): number => this.#now;

  defer = (ms: number, fn: () => void): (() => void) => {
    const timer = { at: this.#now + Math.max(0, ms), order: this.#order++, fn };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((t) => t !== timer);
    };
  };

  get pendingTimers(): number {
    return this.#timers.length;
  }

  /** Runs timers in order until `ms` from now. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const next = this.#next();
      if (next === undefined || next.at > end) break;
      this.#timers = this.#timers.filter((t) => t !== next);
      this.#now = Math.max(this.#now, next.at);
      next.fn();
      await settle();
    }
    this.#now = end;
  }

  /** Advances in steps until the condition holds; fails after `limitMs` of this time. */
  async until(what: string, condition: () => boolean, limitMs = 60_000): Promise<void> {
    const end = this.#now + limitMs;
    await settle();
    while (!condition()) {
      const next = this.#next();
      if (this.#now >= end || next === undefined) {
        throw new Error(
          `${what}: not so ${next === undefined ? "and nothing is left to happen" : `after ${limitMs} ms`}`,
        );
      }
      await this.advance(Math.max(0, next.at - this.#now));
    }
  }

  #next(): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (
        first === undefined ||
        timer.at < first.at ||
        (timer.at === first.at && timer.order < first.order)
      ) {
        first = timer;
      }
    }
    return first;
  }
}

/** A small random number generator (mulberry32), so that a failing run can be repeated by its seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
