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
  /** It was told of room since it was refused last. */
  invited: boolean;
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
  refused(ask: Ask, waitsFor: Ask["waitsFor"], now: number, from?: NodeId): void {
    const known = this.#claims.get(nameOf(ask));
    const since = known !== undefined && known.until > now ? known.ask.waitingSince : undefined;
    ask.waitingSince = since ?? now;
    ask.waitsFor = waitsFor;
    const until = now + this.keepMs;
    this.#claims.set(nameOf(ask), { ask, until, roomSince: known?.roomSince, from, invited: false });
  }

  /** It got some, and may want more: whoever waited once goes on until it has not come for what was kept for it. */
  served(ask: Ask, now: number): void {
    const known = this.#claims.get(nameOf(ask));
    if (known === undefined) return;
    known.ask.waitingSince = now;
    known.until = now + this.keepMs;
    known.roomSince = undefined;
    known.invited = false;
  }

  /**
   * The nodes that may ask again now: there is room for what they were refused, for each of them beside those before it.
   * Each is named once per refusal.
   */
  invite(free: Resources, now: number, goesFirst: (claim: Ask, ask: Ask) => boolean): Set<NodeId> {
    const nodes = new Set<NodeId>();
    if (this.#claims.size === 0) return nodes;
    let left = free;
    const claims = [...this.#claims.values()].sort((a, b) =>
      goesFirst(a.ask, b.ask) ? -1 : goesFirst(b.ask, a.ask) ? 1 : 0,
    );
    for (const claim of claims) {
      if (claim.until <= now || claim.ask.bound || !left.fits(claim.ask.need)) continue;
      left = left.subtract(claim.ask.need);
      if (claim.invited || claim.from === undefined) continue;
      claim.invited = true;
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
   * @param goesFirst whether the first is to be served before the second
   */
  precedes(
    ask: Ask,
    { free, now, goesFirst }: { free: Resources; now: number; goesFirst: (claim: Ask, ask: Ask) => boolean },
  ): boolean {
    if (ask.kind === "reserve") return false;
    let yes = false;
    for (const [name, claim] of this.#claims) {
      if (claim.until <= now || claim.ask.bound) continue;
      if (!free.fits(claim.ask.need)) {
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

function overlap(a: Ask, b: Ask): boolean {
  for (const name of a.need.names()) if (b.need.units(name) > 0) return true;
  return false;
}
