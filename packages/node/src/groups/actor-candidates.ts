/** Where an actor may live that is bound to a placement group: on the nodes of the bundles that it fits into. */
import { Resources, groupTarget, type Bid, type GroupLookup, type Ranked } from "@stingray/scheduler";
import { UnschedulableError, type ActorSpec, type NodeId } from "@stingray/protocol";

/** A group may be used before its row has come to us. Milliseconds. */
const UNKNOWN_MS = 2_000;

/** The candidates as `rank` gives them, or why there are none yet. */
export type GroupCandidates = { readonly ranked: Ranked[] } | { readonly waitsFor: string };

/**
 * This node before others; what refused since its last bid comes last. Undefined where the actor is bound to no group.
 * @param waitedMs how long it has been looked for
 * @throws UnschedulableError where the group is gone, or no bundle of it can ever hold the actor
 */
export function groupCandidates(
  spec: ActorSpec,
  what: string,
  nodes: { own: Bid; others: readonly Bid[]; refused: ReadonlyMap<NodeId, number> },
  lookup: GroupLookup,
  waitedMs: number,
): GroupCandidates | undefined {
  const { scheduling, resources } = spec.placement;
  if (scheduling?.kind !== "group") return undefined;
  const target = groupTarget(scheduling, Resources.from(resources), what, lookup);
  if (target.kind === "fail") throw target.error;
  if (target.kind === "wait") return { waitsFor: target.reason };
  if (target.kind === "unknown") {
    if (waitedMs < UNKNOWN_MS)
      return { waitsFor: `nothing was heard of placement group ${scheduling.group} yet` };
    throw new UnschedulableError(
      `${what} is bound to placement group ${scheduling.group}, which is not known in this cluster: it was removed, or its job is over; make a new group`,
      { detail: { group: scheduling.group } },
    );
  }
  const { own, others, refused } = nodes;
  const ranked = [own, ...others]
    .filter((bid) => target.nodes.includes(bid.node))
    .map((bid): Ranked => {
      const full = bid.node !== own.node && (refused.get(bid.node) ?? -Infinity) >= bid.sequence;
      const fit = full ? "later" : "now";
      return { node: bid.node, agent: bid.agent, fit, score: 0, reason: "has no room in its bundle" };
    });
  ranked.sort((a, b) => Number(a.fit === "later") - Number(b.fit === "later"));
  if (ranked.length > 0) return { ranked };
  return { waitsFor: target.waiting ?? "the nodes of its bundles were not heard yet" };
}
