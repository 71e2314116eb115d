/**
 * Offers that were refused lately. Nothing queues for other nodes, but their demand counts when leases are revoked, and what
 * becomes free by that is kept for them until they ask again.
 */
import type { NodeId } from "@stingray/protocol";
import type { Ask } from "./ask.js";
import type { Resources } from "./amounts.js";

interface Claim {
  readonly ask: Ask;
  until: number;
  /** Since when there has been room for it. */
  roomSince: number | undefined;
  /** Where it waits; undefined where that is not known. */
  readonly from: NodeId | undefined;
  /** What was free when it was refused last. */
  free: Resources;
  /** It was told of room since it was refused last, and when it was told at all since it was served. */
  invited: boolean;
  invitedAt: number;
}

/**
 * Who was refused although there was room for it, as where others come first, is told of the same room again after this.
 * Milliseconds.
 */
const INVITE_AGAIN_MS = 50;

/** What claims are looked at with. */
export interface ClaimLook {
  /** Whether what is free here would do for it now. */
  fits: (claim: Ask) => boolean;
  now: number;
  /** Whether the first is to be served before the second. */
  goesFirst: (claim: Ask, ask: Ask) => boolean;
}

const nameOf = (ask: Ask): string => `${ask.submitter}/${ask.key}`;

export class Claims {
  readonly #claims = new Map<string, Claim>();

  /** `keepMs`: how long a refusal is remembered. `roomMs`: how long what is free is kept for one. */
  constructor(
    private readonly keepMs: number,
    private readonly roomMs: number,
  ) {}

  get size(): number {
    return this.#claims.size;
  }

  /** An offer was refused for want of room. The first refusal in a row sets since when it waits. */
  refused(
    ask: Ask,
    {
      waitsFor,
      now,
      free,
      from,
    }: { waitsFor: Ask["waitsFor"]; now: number; free: Resources; from: NodeId | undefined },
  ): void {
    const known = this.#claims.get(nameOf(ask));
    const since = known !== undefined && known.until > now ? known.ask.waitingSince : undefined;
    ask.waitingSince = since ?? now;
    ask.waitsFor = waitsFor;
    const until = now + this.keepMs;
    const invitedAt = known?.invitedAt ?? -Infinity;
    const { roomSince } = known ?? {};
    this.#claims.set(nameOf(ask), { ask, until, roomSince, from, free, invited: false, invitedAt });
  }

  /** It got some, and may want more: whoever waited once goes on until it has not come for what was kept for it. */
  served(ask: Ask, now: number): void {
    const known = this.#claims.get(nameOf(ask));
    if (known === undefined) return;
    known.ask.waitingSince = now;
    known.until = now + this.keepMs;
    known.roomSince = undefined;
    known.invited = false;
    known.invitedAt = -Infinity;
  }

  /**
   * The nodes that may ask again now: there is room for what they were refused, for each of them beside those before it.
   * Each is named once per refusal, and of room that was there when it was refused only now and then.
   */
  invite({ free, fits, now, goesFirst }: ClaimLook & { free: Resources }): Set<NodeId> {
    const nodes = new Set<NodeId>();
    if (this.#claims.size === 0) return nodes;
    let left = free;
    const claims = [...this.#claims.values()].sort((a, b) =>
      goesFirst(a.ask, b.ask) ? -1 : goesFirst(b.ask, a.ask) ? 1 : 0,
    );
    for (const claim of claims) {
      const { ask } = claim;
      if (claim.until <= now || (!ask.bound && !left.fits(ask.need)) || !fits(ask)) continue;
      if (!ask.bound) left = left.subtract(ask.need);
      if (claim.invited || claim.from === undefined) continue;
      if (now - claim.invitedAt < INVITE_AGAIN_MS && !hasGrown(claim, free)) continue;
      claim.invited = true;
      claim.invitedAt = now;
      nodes.add(claim.from);
    }
    return nodes;
  }

  drop(concerns: (ask: Ask) => boolean): void {
    for (const [name, claim] of this.#claims) if (concerns(claim.ask)) this.#claims.delete(name);
  }

  /** Those not older than `keepMs`. */
  live(now: number): Ask[] {
    for (const [name, claim] of this.#claims) if (claim.until <= now) this.#claims.delete(name);
    return [...this.#claims.values()].map((claim) => claim.ask);
  }

  /**
   * Whether what is free is kept for a claim before this ask. A claim for which it was kept in vain is forgotten.
   */
  precedes(ask: Ask, { fits, now, goesFirst }: ClaimLook): boolean {
    if (ask.kind === "reserve") return false;
    let yes = false;
    for (const [name, claim] of this.#claims) {
      if (claim.until <= now || claim.ask.bound) continue;
      if (!fits(claim.ask)) {
        claim.roomSince = undefined;
        continue;
      }
      claim.roomSince ??= now;
      if (now - claim.roomSince > this.roomMs) this.#claims.delete(name);
      else if (name !== nameOf(ask) && overlap(claim.ask, ask) && goesFirst(claim.ask, ask)) yes = true;
    }
    return yes;
  }
}

/** Is there more of something that it needs than when it was refused? */
function hasGrown({ ask, free }: Claim, now: Resources): boolean {
  for (const name of ask.need.names()) if (now.units(name) > free.units(name)) return true;
  return false;
}

function overlap(a: Ask, b: Ask): boolean {
  for (const name of a.need.names()) if (b.need.units(name) > 0) return true;
  return false;
}
