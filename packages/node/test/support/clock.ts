/** Time that passes only when told to. */
import type { Timers } from "../../src/agent/timers.js";

interface Timer {
  at: number;
  fn: () => void;
}

/** Lets every promise that is settled run its consequences. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class Clock implements Timers {
  private time = 0;
  private timers = new Set<Timer>();

  now(): number {
    return this.time;
  }
  defer(ms: number, fn: () => void): () => void {
    const timer = { at: this.time + ms, fn };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }
  get pending(): number {
    return this.timers.size;
  }

  /** Runs what is due within `ms` from now, in order. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settle();
    for (;;) {
      const [next] = [...this.timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.timers.delete(next);
      this.time = next.at;
      next.fn();
      await settle();
    }
    this.time = end;
  }
}
