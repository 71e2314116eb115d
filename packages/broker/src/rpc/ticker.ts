/** One timer for everything that has something outstanding. Runs only while there is any; never keeps the process alive. */
import { TICK_MS } from "./limits.js";

export interface Ticked {
  /** Set while the ticker looks after it. Only the ticker writes it. */
  ticking: boolean;
  /** Looks at what is outstanding; `now` in milliseconds of `performance.now()`. False: nothing more to look after. */
  tick(now: number): boolean;
}

export class Ticker {
  private watched: Ticked[] = [];
  private timer: NodeJS.Timeout | undefined;
  private closed = false;

  watch(one: Ticked): void {
    if (one.ticking || this.closed) return;
    one.ticking = true;
    this.watched.push(one);
    this.timer ??= setTimeout(this.turn, TICK_MS).unref();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.watched = [];
  }

  private readonly turn = (): void => {
    this.timer = undefined;
    const now = performance.now();
    const looked = this.watched;
    this.watched = [];
    for (const one of looked) {
      one.ticking = false;
      if (one.tick(now)) this.watch(one);
    }
  };
}
