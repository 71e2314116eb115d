/**
 * After an incarnation has ended out of turn: the calls that it may have been running are begun one at a time, each after
 * it was written down that it is. So a call during which the process ends again and again is found, at no cost in good times.
 */
import type { OpenCall } from "./progress.js";

/** A call that takes longer does not keep the next from being begun: they may wait for each other. Milliseconds. */
const ALONE_MS = 1_000;

export interface SuspectHooks {
  /** A call that was begun so often is not begun again. */
  readonly limit: number;
  /** Writes down that the call is begun. */
  mark(open: OpenCall): Promise<void>;
  begin(open: OpenCall): void;
  giveUp(open: OpenCall): void;
}

export class Suspects {
  private readonly waiting: OpenCall[] = [];
  private current: OpenCall | undefined;
  private busy = false;
  private timer: NodeJS.Timeout | undefined;

  /** @param left calls that may have been begun before */
  constructor(
    private left: number,
    private readonly hooks: SuspectHooks,
  ) {}

  /** Begins the call in its turn: at once when there is no suspicion any more. */
  add(open: OpenCall): void {
    if (this.left === 0 && this.waiting.length === 0) {
      this.hooks.begin(open);
      return;
    }
    this.waiting.push(open);
    if (this.current === undefined) void this.next();
  }

  ended(open: OpenCall): void {
    if (this.current !== open) return;
    this.current = undefined;
    void this.next();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.waiting.length = 0;
    this.left = 0;
  }

  private async next(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    clearTimeout(this.timer);
    try {
      while (this.current === undefined) {
        const open = this.waiting.shift();
        if (open === undefined) break;
        if (this.left === 0) {
          this.hooks.begin(open);
          continue;
        }
        this.left--;
        if (open.tries >= this.hooks.limit) {
          this.hooks.giveUp(open);
          continue;
        }
        this.current = open;
        await this.hooks.mark(open);
        this.hooks.begin(open);
        this.timer = setTimeout(() => this.ended(open), ALONE_MS).unref();
      }
    } finally {
      this.busy = false;
    }
  }
}
