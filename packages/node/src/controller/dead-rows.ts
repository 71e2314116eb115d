/** How long the rows of dead actors are kept, and how many of them. */
import type { ActorEntry } from "./actor-book.js";

export interface DeadRowLimits {
  /** Rows of dead actors are kept for so long, in milliseconds, for those who ask why. */
  readonly keepMs: number;
  /** More are not kept: those that died first go first. */
  readonly most: number;
}

/** Those whose time is over. `lasts` says whether a condition has held for so long. */
export function overdue(
  dead: readonly ActorEntry[],
  lasts: (condition: string, ms: number) => boolean,
  { keepMs, most }: DeadRowLimits,
): ActorEntry[] {
  // A revision only grows, and the last one of a dead actor is that of its death.
  const inOrder = dead.length > most ? dead.toSorted((a, b) => a.revision - b.revision) : dead;
  const surplus = new Set(inOrder.slice(0, Math.max(0, dead.length - most)));
  return dead.filter((entry) => {
    const old = lasts(`dead ${entry.value.spec.actor}`, keepMs);
    return old || surplus.has(entry);
  });
}
