/** Which leases to ask back, so that those who wait get their share. Decides only. */
import type { Ask } from "./ask.js";
import type { Resources } from "./amounts.js";
import type { Lease } from "./lease-book.js";
import { Shares, rivals } from "./shares.js";

/** Where two have about the same, and what can't be divided goes back and forth between them: for so long. Milliseconds. */
const TURN_MS = 1_000;

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

interface Candidate {
  readonly lease: Lease;
  readonly since: number;
  readonly share: number;
}

/**
 * The leases to revoke: for each that waits as few as make room for one more unit of it, from those who hold more
 * than it does, and none if that would not be enough. Blocked leases hold no CPUs and are left alone.
 */
export function leasesToRevoke(input: RevokeInput): Lease[] {
  const shares = new Shares();
  const candidates: Candidate[] = [];
  let free = input.free;
  for (const lease of input.leases) {
    if (lease.ask.kind === "reserve") continue;
    if (lease.state.name === "revoking") free = free.add(lease.ask.need);
    if (lease.state.name !== "held") continue;
    const { share } = lease;
    shares.change(lease.ask, share, 1);
    const { since } = lease.state;
    if (input.now - since >= input.minAgeMs) candidates.push({ lease, since, share });
  }
  candidates.sort((a, b) => a.since - b.since);

  const chosen = new Set<Lease>();
  for (const ask of input.waiting) {
    const victims: Candidate[] = [];
    let room = free;
    let slots = ask.waitsFor === "workers" ? 0 : 1;
    while (slots < 1 || !room.fits(ask.need)) {
      // For want of a worker any lease will do.
      const lacks = slots < 1 ? undefined : room.lacks(ask.need);
      const victim = pick(ask, { candidates, chosen, shares, lacks, now: input.now });
      if (victim === undefined) break;
      chosen.add(victim.lease);
      victims.push(victim);
      shares.change(victim.lease.ask, victim.share, -1);
      room = room.add(victim.lease.ask.need);
      slots++;
    }
    if (slots >= 1 && room.fits(ask.need)) {
      free = room.subtract(ask.need);
      continue;
    }
    for (const victim of victims) {
      chosen.delete(victim.lease);
      shares.change(victim.lease.ask, victim.share, 1);
    }
  }
  return [...chosen];
}

interface Choice {
  candidates: readonly Candidate[];
  chosen: ReadonlySet<Lease>;
  shares: Shares;
  lacks: readonly string[] | undefined;
  now: number;
}

/** The lease of the largest holder, the oldest of those, that has some of what is lacking. */
function pick(ask: Ask, { candidates, chosen, shares, lacks, now }: Choice): Candidate | undefined {
  let best: Candidate | undefined;
  let most = 0;
  for (const candidate of candidates) {
    const { lease, since, share } = candidate;
    if (chosen.has(lease)) continue;
    if (lacks !== undefined && !lacks.some((name) => lease.ask.need.units(name) > 0)) continue;
    const { ahead, behind } = lead(lease.ask, ask, shares);
    if (ahead <= most) continue;
    // It would only change sides: that is for those who have nothing, or when a turn is over.
    if (behind > 0 && ahead <= share && now - since < TURN_MS) continue;
    [best, most] = [candidate, ahead];
  }
  return best;
}

/**
 * By how much the holder is ahead of the waiting one, where they first differ, and what the latter has. 0: may keep
 * what it has.
 */
function lead(holder: Ask, waiting: Ask, shares: Shares): { ahead: number; behind: number } {
  const names = rivals(holder, waiting);
  if (holder.priority > waiting.priority || names === undefined) return { ahead: 0, behind: 0 };
  if (holder.priority < waiting.priority || waiting.kind === "reserve") return { ahead: Infinity, behind: 0 };
  const behind = shares.of(names[1]);
  return { ahead: Math.max(0, shares.of(names[0]) - behind), behind };
}
