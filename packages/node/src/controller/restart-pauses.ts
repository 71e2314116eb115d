/** Actors whose processes end again and again soon after they began: they come back after growing pauses. */

/** As many ends in a row cost no pause. */
const FREE = 5;
/** The first pause, in milliseconds; it doubles with each further end. */
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 10_000;
/** Where memory was short. */
const FIRST_MEMORY_PAUSE_MS = 500;
/** An incarnation that lived for so long has nothing to do with those before it. Milliseconds. */
const LIVED_MS = 10_000;
/** Actors that are remembered. */
const REMEMBERED = 10_000;

export interface RestartPause {
  /** Milliseconds before the next incarnation. */
  readonly ms: number;
  readonly inARow: number;
}

export class RestartPauses {
  private readonly ends = new Map<string, { inARow: number; nextAt: number }>();

  /**
   * An incarnation has ended and another is to come. `now` in milliseconds, on a clock that never goes back.
   * @param forMemory it ended for want of memory: what took it needs time to end, so there is a pause from the first on
   */
  next(actor: string, now: number, forMemory = false): RestartPause {
    const known = this.ends.get(actor);
    const inARow = known === undefined || now - known.nextAt > LIVED_MS ? 1 : known.inARow + 1;
    const ms = forMemory
      ? Math.min(FIRST_MEMORY_PAUSE_MS * 2 ** (inARow - 1), MAX_PAUSE_MS)
      : inARow <= FREE
        ? 0
        : Math.min(FIRST_PAUSE_MS * 2 ** (inARow - FREE - 1), MAX_PAUSE_MS);
    this.ends.delete(actor); // the newest at the end
    this.ends.set(actor, { inARow, nextAt: now + ms });
    for (const oldest of this.ends.keys()) {
      if (this.ends.size <= REMEMBERED) break;
      this.ends.delete(oldest);
    }
    return { ms, inARow };
  }
}
