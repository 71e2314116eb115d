/** Which worker is ended when memory is short. */

export interface MemoryUser {
  readonly worker: string;
  /** Own resident memory, in bytes. */
  readonly memory: number;
  /** As declared by what it runs; undefined: nothing. */
  readonly declared: number | undefined;
  /** `idle`: nobody uses it. `retriable`: what it runs is run again. `final`: it is not, as an actor without restarts. */
  readonly kind: "idle" | "retriable" | "final";
  /** When it was last given something to do; grows. */
  readonly since: number;
}

/** Ending less than this helps nobody. Bytes. */
export const LEAST_GAIN = 32 * 2 ** 20;

/**
 * When the machine is short: idle ones first, then what can be run again before what can't, and among those whoever has
 * more than declared before the others, then the newest: what has run for long has most to lose, and what was begun last
 * is what was too much.
 */
export function chooseVictim(users: readonly MemoryUser[]): MemoryUser | undefined {
  const rank = { idle: 0, retriable: 1, final: 2 } as const;
  return users
    .filter(({ memory }) => memory >= LEAST_GAIN)
    .toSorted(
      (a, b) =>
        rank[a.kind] - rank[b.kind] ||
        Number(exceeds(b)) - Number(exceeds(a)) ||
        b.since - a.since ||
        b.memory - a.memory,
    )[0];
}

/** Whether it uses more than it has declared. */
export function exceeds({ memory, declared }: Pick<MemoryUser, "memory" | "declared">): boolean {
  return declared !== undefined && memory > declared;
}
