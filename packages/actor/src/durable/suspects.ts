/**
 * After an incarnation has ended out of turn: the calls that it may have been running are begun one at a time, each after
 * it was written down that it is. So a call during which the process ends again and again is found, at no cost in good times.
 */
import type { OpenCall } from "./progress.js";

/**
 * A call that takes longer does not keep the next from being begun: they may wait for each other. The more often the
 * process has ended in its time the longer it is left alone, so that none is blamed for another. Milliseconds.
 */
const ALONE_MS = 1_000;
const ALONE_FACTOR = 8;
const LONGEST_ALONE_MS = 64_000;

export interface SuspectHooks {
  /** A call that was begun so often is not begun again. */
  readonly limit: number;
  /** What the process did when it ended the last time, as `Class.method`; undefined: nobody knows. */
  readonly blamed?: string | undefined;
  /** As {@link SuspectHooks.blamed} has it. */
  nameOf(open: OpenCall): string;
  /** Writes down that the call is begun. @returns whether that is stored; where not, nothing is begun any more */
  mark(open: OpenCall): Promise<boolean>;
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
    if (this.left === 0 && this.waiting.length === 0 && !this.busy) {
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
      // The last that is suspicious holds up none of those that are not.
      while (this.left === 0 || this.current === undefined) {
        const open = this.waiting.shift();
        if (open === undefined) break;
        if (this.left === 0) {
          this.hooks.begin(open);
          continue;
        }
        this.left--;
        if (open.tries >= this.hooks.limit) {
          if (this.isToBlame(open)) {
            this.hooks.giveUp(open);
            continue;
          }
          open.tries = this.hooks.limit - 1;
        }
        this.current = open;
        if (!(await this.hooks.mark(open))) return;
        this.hooks.begin(open);
        if (this.current !== open) continue; // it has ended at once
        const alone = Math.min(ALONE_MS * ALONE_FACTOR ** (open.tries - 1), LONGEST_ALONE_MS);
        this.timer = setTimeout(() => this.ended(open), alone).unref();
      }
    } finally {
      this.busy = false;
    }
  }

  /** Another that was begun beside it, and in which the process ended, is found in its own turn. */
  private isToBlame(open: OpenCall): boolean {
    const { blamed } = this.hooks;
    return blamed === undefined || blamed === this.hooks.nameOf(open);
  }
}
