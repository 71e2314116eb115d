/** Whether somebody else should have what this node was called for. */
import type { NodeId } from "@stingray/protocol";
import { rank, type RankOptions } from "./strategy.js";
import type { OfferedDemand } from "./types.js";
import type { Bid, ClusterView } from "./view.js";

/** A node is busy from half of its resources on: scores are 1 and the used share. */
const BUSY = 1.5;
/** So much less used another one has to be. */
const MUCH_LESS = 0.25;

/** Nodes with room for it now, by their bids, best first; neither this one nor the one that asks. */
export function nodesWithRoom(
  d: OfferedDemand,
  { node, view, effects }: { node: NodeId; view: ClusterView; effects: RankOptions },
): Bid[] {
  const bids = view.nodes().filter((bid) => bid.node !== node && bid.node !== d.askerNode);
  try {
    const ranked = rank(d.shape, bids, effects).filter(({ fit }) => fit === "now");
    return ranked.flatMap((r) => view.get(r.node) ?? []);
  } catch {
    return []; // a bad shape is refused with its reason in any case
  }
}

/** Busy here, and much less so there. What is to be spread stays where chance has put it. */
export function isMuchBetter(d: OfferedDemand, own: Bid, other: Bid | undefined, o: RankOptions): boolean {
  if (other === undefined || d.shape.scheduling?.kind === "spread") return false;
  const [here] = rank(d.shape, [own], o);
  const [there] = rank(d.shape, [other], o);
  return (
    here !== undefined && there !== undefined && here.score > BUSY && there.score < here.score - MUCH_LESS
  );
}
