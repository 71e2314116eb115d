/** Which other nodes are considered for an actor: all that are heard, and of the others as many as may be asked. */
import { LabelSelector, Resources, type Bid, type ClusterView } from "@stingray/scheduler";
import type { NodeId, Shape } from "@stingray/protocol";

/** Nodes that are not heard are asked so many at a time. */
const MOST_STRANGERS = 3;

/**
 * Bids of other nodes: those that are known, and of nodes that are not heard what they have in all. Of these only a few,
 * at random, that own what is asked for; and every one that the shape names, by itself or by its placement group.
 */
export function otherNodes(view: ClusterView, own: NodeId, shape: Shape, random: () => number): Bid[] {
  const known = view.nodes().filter(({ node }) => node !== own);
  if (view.unheard(own) === 0) return known;
  const strangers = view.candidates(own).filter(({ node }) => !view.has(node));
  if (shape.scheduling?.kind === "group") return [...known, ...strangers];
  const named = shape.scheduling?.kind === "node" ? shape.scheduling.node : undefined;
  const need = Resources.from(shape.resources);
  const selector = new LabelSelector(shape.labels);
  const able = strangers.filter(
    ({ node, total, labels, draining }) =>
      node !== named &&
      !draining &&
      selector.mismatch(labels) === undefined &&
      Resources.from(total).fits(need),
  );
  const chosen = strangers.filter(({ node }) => node === named);
  for (let i = 0; i < MOST_STRANGERS && able.length > 0; i++) {
    chosen.push(...able.splice(Math.floor(random() * able.length), 1));
  }
  return [...known, ...chosen];
}
