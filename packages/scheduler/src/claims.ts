/** Offers that were refused lately. Nothing queues for other nodes, but their demand counts when leases are revoked. */
import type { Ask } from "./ask.js";

interface Claim {
  readonly ask: Ask;
  until: number;
}

const nameOf = (ask: Ask): string => `${ask.submitter}/${ask.key}`;

export class Claims {
  readonly #claims = new Map<string, Claim>();

  /** `keepMs`: how long a refusal is remembered. */
  constructor(private readonly keepMs: number) {}

  /** An offer was refused for want of room. The first refusal in a row sets since when it waits. */
  refused(ask: Ask, waitsFor: Ask["waitsFor"], now: number): void {
    const known = this.#claims.get(nameOf(ask));
    const since = known !== undefined && known.until > now ? known.ask.waitingSince : undefined;
    ask.waitingSince = since ?? now;
    ask.waitsFor = waitsFor;
    this.#claims.set(nameOf(ask), { ask, until: now + this.keepMs });
  }

  served(ask: Ask): void {
    this.#claims.delete(nameOf(ask));
  }

  drop(concerns: (ask: Ask) => boolean): void {
    for (const [name, claim] of this.#claims) if (concerns(claim.ask)) this.#claims.delete(name);
  }

  /** Those not older than `keepMs`. */
  live(now: number): Ask[] {
    for (const [name, claim] of this.#claims) if (claim.until <= now) this.#claims.delete(name);
    return [...this.#claims.values()].map((claim) => claim.ask);
  }
}
