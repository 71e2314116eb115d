import { expect } from "chai";
import { newAgentId, newNodeId, type GroupStrategy, type NodeId } from "@stingray/protocol";
import { Resources, planBundles, type Bid, type BundlePlan, type PlanRequest } from "../src/mod.js";

const STRATEGIES: GroupStrategy[] = ["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"];

const bid = (total: Record<string, number>, more: Partial<Bid> = {}): Bid => ({
  node: newNodeId(),
  agent: newAgentId(),
  available: total,
  total,
  labels: {},
  queued: 0,
  idleWorkers: 0,
  draining: false,
  sequence: 1,
  ...more,
});
const times = (n: number, bundle: Record<string, number>): Record<string, number>[] =>
  Array.from({ length: n }, () => bundle);
const nodesOf = (plan: BundlePlan): readonly NodeId[] => {
  if (plan.kind !== "placed") throw new Error(`it waits: ${plan.reason}`);
  return plan.nodes;
};
const distinct = (nodes: readonly NodeId[]): number => new Set(nodes).size;

describe("planning the bundles of a placement group", () => {
  const three = (): Bid[] => [bid({ CPU: 4 }), bid({ CPU: 4 }), bid({ CPU: 4 })];

  it("packs onto few nodes, and onto one where it must", () => {
    expect(
      distinct(nodesOf(planBundles({ strategy: "PACK", bundles: times(4, { CPU: 1 }) }, three()))),
    ).to.equal(1);
    expect(
      distinct(nodesOf(planBundles({ strategy: "PACK", bundles: times(5, { CPU: 2 }) }, three()))),
    ).to.equal(3);
    expect(
      distinct(nodesOf(planBundles({ strategy: "STRICT_PACK", bundles: times(2, { CPU: 2 }) }, three()))),
    ).to.equal(1);
    const tooMuch = planBundles({ strategy: "STRICT_PACK", bundles: times(3, { CPU: 2 }) }, three());
    expect(tooMuch).to.include({ kind: "wait", never: true });
  });

  it("spreads as far as there are nodes, or waits where it must be farther", () => {
    const plan = (strategy: GroupStrategy, n: number): BundlePlan =>
      planBundles({ strategy, bundles: times(n, { CPU: 1 }) }, three());
    expect(distinct(nodesOf(plan("SPREAD", 3)))).to.equal(3);
    const seven = nodesOf(plan("SPREAD", 7));
    for (const node of new Set(seven)) expect(seven.filter((n) => n === node).length).to.be.within(2, 3);
    expect(distinct(nodesOf(plan("STRICT_SPREAD", 3)))).to.equal(3);
    expect(plan("STRICT_SPREAD", 4)).to.include({ kind: "wait", never: true });
  });

  it("finds the one way in which they fit apart", () => {
    const nodes = [bid({ CPU: 4, GPU: 1 }), bid({ CPU: 8 }), bid({ CPU: 2, GPU: 1 })];
    const bundles: Record<string, number>[] = [{ CPU: 1 }, { CPU: 2, GPU: 1 }, { CPU: 3, GPU: 1 }];
    expect(nodesOf(planBundles({ strategy: "STRICT_SPREAD", bundles }, nodes))).to.deep.equal([
      nodes[1]?.node,
      nodes[2]?.node,
      nodes[0]?.node,
    ]);
  });

  it("keeps what is placed, and places the rest as the strategy says", () => {
    const nodes = three();
    const [a, b, c] = nodes.map(({ node }) => node) as [NodeId, NodeId, NodeId];
    const rest = (strategy: GroupStrategy, placed: (NodeId | undefined)[]): readonly NodeId[] =>
      nodesOf(planBundles({ strategy, bundles: times(3, { CPU: 1 }), placed }, nodes));
    expect(rest("STRICT_SPREAD", [a, undefined, b])).to.deep.equal([a, c, b]);
    expect(rest("SPREAD", [a, undefined, b])).to.deep.equal([a, c, b]);
    expect(rest("PACK", [b, undefined, b])).to.deep.equal([b, b, b]);
    expect(rest("STRICT_PACK", [c, undefined, undefined])).to.deep.equal([c, c, c]);
  });

  it("leaves draining nodes alone, and tells what never can be from what can't be now", () => {
    const busy = bid({ CPU: 4 }, { available: { CPU: 1 } });
    const request: PlanRequest = { strategy: "PACK", bundles: [{ CPU: 2 }] };
    expect(planBundles(request, [busy])).to.include({ kind: "wait", never: false });
    expect(planBundles(request, [bid({ CPU: 4 }, { draining: true }), busy])).to.include({ never: false });
    const never = planBundles({ strategy: "PACK", bundles: [{ CPU: 1 }, { GPU: 1 }] }, [busy]);
    expect(never).to.include({ kind: "wait", never: true });
    expect(never.kind === "wait" && never.reason).to.contain("bundle 1 wants, GPU: 1");
    expect(planBundles({ strategy: "PACK", bundles: [{ GPU: 1.5 }] }, [bid({ GPU: 4 })])).to.include({
      never: true,
    });
  });

  it("places a thousand on a thousand nodes, and sees that one is missing", () => {
    const nodes = Array.from({ length: 1_000 }, () => bid({ CPU: 2 }, { available: { CPU: 1 } }));
    for (const strategy of ["PACK", "SPREAD", "STRICT_SPREAD"] as const) {
      const bundles = times(1_000, { CPU: 1 });
      expect(distinct(nodesOf(planBundles({ strategy, bundles }, nodes)))).to.equal(1_000);
      expect(planBundles({ strategy, bundles }, nodes.slice(1)).kind).to.equal("wait");
    }
  });

  it("holds for any nodes and bundles: nothing is overcommitted, the strategy is kept, and what fits is found", () => {
    let seed = 20_261_121;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    let placed = 0;
    for (let round = 0; round < 1_500; round++) {
      const nodes = Array.from({ length: 1 + random(5) }, () => {
        const total = { CPU: 1 + random(6), GPU: random(3) };
        return bid(total, {
          available: { CPU: random(total.CPU + 1), GPU: random(total.GPU + 1) },
          draining: random(9) === 0,
        });
      });
      const bundles = Array.from({ length: 1 + random(5) }, () => ({ CPU: random(4), GPU: random(2) }));
      const strategy = STRATEGIES[round % 4] as GroupStrategy;
      const plan = planBundles({ strategy, bundles }, nodes);
      const what = JSON.stringify({ strategy, bundles, nodes });
      const best = bruteForce(
        strategy,
        bundles,
        nodes.filter((node) => !node.draining),
      );
      expect(plan.kind, what).to.equal(best === undefined ? "wait" : "placed");
      if (plan.kind !== "placed") continue;
      placed++;
      expectFits(plan.nodes, bundles, nodes, what);
      if (strategy === "STRICT_PACK") expect(distinct(plan.nodes), what).to.equal(1);
      if (strategy === "STRICT_SPREAD") expect(distinct(plan.nodes), what).to.equal(bundles.length);
      // As few as possible is bin packing: at most one more than that. As many as possible is exact where all can be apart.
      if (strategy === "PACK") expect(distinct(plan.nodes), what).to.be.at.most((best ?? 0) + 1);
      if (strategy === "SPREAD" && best === bundles.length) expect(distinct(plan.nodes), what).to.equal(best);
    }
    expect(placed).to.be.above(300);
  });
});

function expectFits(
  plan: readonly NodeId[],
  bundles: readonly Record<string, number>[],
  nodes: readonly Bid[],
  what: string,
): void {
  for (const { node, available, draining } of nodes) {
    const here = bundles.filter((_, i) => plan[i] === node);
    const sum = here.reduce((all, one) => all.add(Resources.from(one)), Resources.none);
    expect(Resources.from(available).fits(sum), what).to.equal(true);
    if (here.length > 0) expect(draining, what).to.equal(false);
  }
}

/** How many nodes the best of all ways takes (most for those that spread, fewest for those that pack); undefined: there is none. */
function bruteForce(
  strategy: GroupStrategy,
  bundles: readonly Record<string, number>[],
  nodes: readonly Bid[],
): number | undefined {
  const needs = bundles.map((bundle) => Resources.from(bundle));
  const spread = strategy.endsWith("SPREAD");
  let best: number | undefined;
  const rooms = nodes.map(({ available }) => Resources.from(available));
  const used: number[] = nodes.map(() => 0);
  const put = (index: number): void => {
    const need = needs[index];
    if (need === undefined) {
      const count = used.filter((n) => n > 0).length;
      if (strategy === "STRICT_PACK" && count > 1) return;
      if (strategy === "STRICT_SPREAD" && count < needs.length) return;
      if (best === undefined || (spread ? count > best : count < best)) best = count;
      return;
    }
    for (const [at, room] of rooms.entries()) {
      if (!room.fits(need)) continue;
      rooms[at] = room.subtract(need);
      used[at] = (used[at] ?? 0) + 1;
      put(index + 1);
      rooms[at] = room;
      used[at] = (used[at] ?? 0) - 1;
    }
  };
  put(0);
  return best;
}
