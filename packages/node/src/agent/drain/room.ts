/** What other nodes have free for the actors of one that leaves, less what is on its way to them. */
import type { ActorSpec } from "@stingray/protocol";
import { Resources, rank, type Bid } from "@stingray/scheduler";

export class Room {
  private readonly bids: Bid[];
  /** Placements that had no room a moment ago have none now. */
  private readonly without = new Set<string>();

  /** @param bids of the nodes that take on work; not changed */
  constructor(bids: readonly Bid[]) {
    this.bids = [...bids];
  }

  /** Takes the best place that is free for the actor. False: there is none now. */
  take({ placement }: ActorSpec): boolean {
    const key = JSON.stringify(placement);
    if (this.without.has(key)) return false;
    const best = rank(placement, this.bids, { random: Math.random })[0];
    const at = best?.fit === "now" ? this.bids.findIndex(({ node }) => node === best.node) : -1;
    const bid = this.bids[at];
    if (bid === undefined) {
      this.without.add(key);
      return false;
    }
    const left = Resources.from(bid.available).subtract(Resources.from(placement.resources));
    this.bids[at] = { ...bid, available: left.toRecord() };
    return true;
  }
}
