/** Which bundles of a placement group go to which node. A pure function of the request and the standing bids. */
import type { GroupStrategy, NodeId } from "@stingray/protocol";
import { Resources } from "./amounts.js";
import { GpuPool } from "./gpus.js";
import { assignPacked, assignSpread, matchApart, type Assign } from "./bundle-assign.js";
import type { Place } from "./bundle-grid.js";
import type { Bid } from "./view.js";

/** What is to be planned. */
export interface PlanRequest {
  readonly strategy: GroupStrategy;
  /** In the user's units. */
  readonly bundles: readonly Record<string, number>[];
  /** Where bundles are already, by index; undefined or missing: to be placed. */
  readonly placed?: readonly (NodeId | undefined)[];
}

/**
 * `placed`: a node for every bundle, those that had one unchanged. `wait`: not now; `never`: not even if all nodes
 * were free, as the cluster stands. `reason` is for people.
 */
export type BundlePlan =
  | { readonly kind: "placed"; readonly nodes: readonly NodeId[] }
  | { readonly kind: "wait"; readonly never: boolean; readonly reason: string };

/** Plans whole groups or what was lost of them. `nodes` that drain get nothing. */
export function planBundles(request: PlanRequest, nodes: readonly Bid[]): BundlePlan {
  const needs = request.bundles.map((bundle) => Resources.from(bundle));
  const placed = needs.map((_, i) => request.placed?.[i]);
  const usable = nodes.filter((bid) => !bid.draining);
  const impossible = needs.findIndex((need) => !GpuPool.isPossible(need.units("GPU")));
  if (impossible >= 0) {
    return {
      kind: "wait",
      never: true,
      reason: `bundle ${impossible} wants ${(needs[impossible] as Resources).toString()}, but above 1 GPUs are only given whole`,
    };
  }
  const now = attempt(request.strategy, needs, placed, usable, (bid) => Resources.from(bid.available));
  if (now !== undefined) return { kind: "placed", nodes: now };
  const all = attempt(request.strategy, needs, placed, usable, (bid) => Resources.from(bid.total));
  return {
    kind: "wait",
    never: all === undefined,
    reason: explain(request, needs, usable, all !== undefined),
  };
}

function attempt(
  strategy: GroupStrategy,
  needs: readonly Resources[],
  placed: readonly (NodeId | undefined)[],
  bids: readonly Bid[],
  roomOf: (bid: Bid) => Resources,
): NodeId[] | undefined {
  const open = needs.flatMap((need, index) => (placed[index] === undefined ? [{ index, need }] : []));
  const here = new Map<NodeId, number>();
  for (const node of placed) if (node !== undefined) here.set(node, (here.get(node) ?? 0) + 1);
  const places: Place[] = bids.map((bid) => ({
    node: bid.node,
    room: roomOf(bid),
    total: Resources.from(bid.total),
    bundles: here.get(bid.node) ?? 0,
  }));
  const found = ASSIGN[strategy](open, places);
  if (found === undefined) return undefined;
  return placed.map((node, index) => node ?? (found.get(index) as NodeId));
}

const ASSIGN: Record<GroupStrategy, Assign> = {
  PACK: assignPacked,
  STRICT_PACK: (open, places) => {
    const sum = open.reduce((total, { need }) => total.add(need), Resources.none);
    // What is left of the group already says where it is.
    const anchored = places.filter((place) => place.bundles > 0);
    const one = assignPacked([{ index: 0, need: sum }], anchored.length > 0 ? anchored : places);
    const node = one?.get(0);
    return node === undefined ? undefined : new Map(open.map(({ index }) => [index, node]));
  },
  SPREAD: assignSpread,
  STRICT_SPREAD: matchApart,
};

const WANTS: Record<GroupStrategy, string> = {
  PACK: "",
  SPREAD: "",
  STRICT_PACK: "together on one node (STRICT_PACK)",
  STRICT_SPREAD: "each on a node of its own (STRICT_SPREAD)",
};

function explain(
  { strategy }: PlanRequest,
  needs: readonly Resources[],
  nodes: readonly Bid[],
  couldBe: boolean,
): string {
  const count = `${nodes.length} ${nodes.length === 1 ? "node" : "nodes"}`;
  if (couldBe) return `the nodes that could hold it (of ${count}) have not enough free now`;
  const totals = nodes.map((bid) => Resources.from(bid.total));
  const alone = needs.findIndex((need) => !totals.some((total) => total.fits(need)));
  if (alone >= 0) {
    const need = (needs[alone] as Resources).toString();
    return `no node of the cluster (${count}) has what bundle ${alone} wants, ${need}, even when it is free`;
  }
  const how = WANTS[strategy] === "" ? "at the same time" : WANTS[strategy];
  return `the cluster (${count}) can't hold its ${needs.length} bundles ${how}, even when it is free`;
}
