/** A plan for what a group lacks, by the bids that are known, and each node's part of it. */
import { planBundles, type Bid, type PlanRequest } from "@stingray/scheduler";
import type { NodeId, ProcessId } from "@stingray/protocol";
import type { GroupEntry } from "./group-book.js";

export interface Target {
  readonly node: NodeId;
  readonly agent: ProcessId;
}

/** The nodes of all bundles, or why there are none now. */
export function planFor(
  { value }: GroupEntry,
  bids: readonly Bid[],
  refused: ReadonlyMap<NodeId, number>,
): { nodes: readonly NodeId[] } | { reason: string } {
  const willing = bids.filter((bid) => (refused.get(bid.node) ?? -Infinity) < bid.sequence);
  const request = requestOf(value);
  const plan = planBundles(request, willing);
  if (plan.kind === "placed" || willing.length === bids.length) return plan;
  // With those that refused a moment ago there may be a better reason to tell.
  const all = planBundles(request, bids);
  return all.kind === "wait" ? all : { reason: "the nodes that it needs refused it a moment ago" };
}

/** The resources that it asks for. */
export const namesOf = ({ value }: GroupEntry): string[] => [
  ...new Set(value.bundles.flatMap((bundle) => Object.keys(bundle))),
];

/** What is to be planned of a row. */
export function requestOf({ strategy, bundles, nodes }: GroupEntry["value"]): PlanRequest {
  return { strategy, bundles, placed: nodes.map((node) => (node === "" ? undefined : (node as NodeId))) };
}

/** The part of a plan that one node has. */
export interface Share {
  readonly to: Target;
  /** Of the bid that it was chosen for. */
  readonly sequence: number;
  readonly indices: number[];
}

/** The nodes that are to be asked for the chosen bundles. */
export function targetsOf(chosen: ReadonlyMap<number, NodeId>, bids: readonly Bid[]): Share[] {
  const shares = new Map<NodeId, Share>();
  const byNode = new Map(bids.map((bid) => [bid.node, bid]));
  for (const [index, node] of chosen) {
    const known = shares.get(node);
    const bid = byNode.get(node);
    if (known !== undefined) known.indices.push(index);
    else if (bid !== undefined)
      shares.set(node, { to: { node, agent: bid.agent }, sequence: bid.sequence, indices: [index] });
  }
  return [...shares.values()];
}
