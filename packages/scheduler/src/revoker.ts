/** Which leases to ask back, so that those who wait get their share. Decides only. */
import type { Ask } from "./ask.js";
import type { Resources } from "./amounts.js";
import type { Lease } from "./lease-book.js";

export interface RevokeInput {
  /** Who has waited long enough, in the order in which they are to be served. */
  waiting: readonly Ask[];
  leases: Iterable<Lease>;
  /** What is free now; below zero when overcommitted. */
  free: Resources;
  now: number;
  /** Leases younger than this, in milliseconds, are left alone. */
  minAgeMs: number;
}

/**
 * The leases to revoke: for each that waits as few as make room for one more unit of it, from those who hold more
 * than it does, and none if that would not be enough. Blocked leases hold no CPUs and are left alone.
 */
export function leasesToRevoke(input: RevokeInput): Lease[] {
  const shares = new Shares();
  const candidates: { lease: Lease; since: number }[] = [];
  let free = input.free;
  for (const lease of input.leases) {
    if (lease.ask.kind === "reserve") continue;
    if (lease.state.name === "revoking") free = free.add(lease.ask.need);
    if (lease.state.name !== "held") continue;
    shares.change(lease.ask, 1);
    if (input.now - lease.state.since >= input.minAgeMs) candidates.push({ lease, since: lease.state.since });
  }
  candidates.sort((a, b) => a.since - b.since);

  const chosen = new Set<Lease>();
  for (const ask of input.waiting) {
    const victims: Lease[] = [];
    let room = free;
    let slots = ask.waitsFor === "workers" ? 0 : 1;
    while (slots < 1 || !room.fits(ask.need)) {
      // For want of a worker any lease will do.
      const lacks = slots < 1 ? undefined : room.lacks(ask.need);
      const victim = pick(ask, candidates, chosen, shares, lacks);
      if (victim === undefined) break;
      chosen.add(victim);
      victims.push(victim);
      shares.change(victim.ask, -1);
      room = room.add(victim.ask.need);
      slots++;
    }
    if (slots >= 1 && room.fits(ask.need)) {
      free = room.subtract(ask.need);
      continue;
    }
    for (const victim of victims) {
      chosen.delete(victim);
      shares.change(victim.ask, 1);
    }
  }
  return [...chosen];
}

/** The lease of the largest holder, the oldest of those, that has some of what is lacking. */
function pick(
  ask: Ask,
  candidates: readonly { lease: Lease }[],
  chosen: ReadonlySet<Lease>,
  shares: Shares,
  lacks: readonly string[] | undefined,
): Lease | undefined {
  let best: Lease | undefined;
  let most = 0;
  for (const { lease } of candidates) {
    if (chosen.has(lease)) continue;
    if (lacks !== undefined && !lacks.some((name) => lease.ask.need.units(name) > 0)) continue;
    const excess = shares.excess(lease.ask, ask);
    if (excess > most) [best, most] = [lease, excess];
  }
  return best;
}

/** How many leases each job, submitter and key holds. */
class Shares {
  readonly #counts = new Map<string, number>();

  change(ask: Ask, by: number): void {
    for (const name of [ask.job, `${ask.job}/${ask.submitter}`, `${ask.job}/${ask.submitter}/${ask.key}`]) {
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
    }
  }

  /** By how many leases the holder is ahead of the waiting one, where they first differ. 0: may keep what it has. */
  excess(holder: Ask, waiting: Ask): number {
    if (holder.priority > waiting.priority) return 0;
    const same = holder.job === waiting.job && holder.submitter === waiting.submitter;
    if (same && holder.key === waiting.key) return 0;
    if (holder.priority < waiting.priority || waiting.kind === "reserve") return Infinity;
    const path = (ask: Ask): string => {
      if (same) return `${ask.job}/${ask.submitter}/${ask.key}`;
      return holder.job === waiting.job ? `${ask.job}/${ask.submitter}` : ask.job;
    };
    const ahead = (this.#counts.get(path(holder)) ?? 0) - (this.#counts.get(path(waiting)) ?? 0);
    return Math.max(0, ahead);
  }
}
