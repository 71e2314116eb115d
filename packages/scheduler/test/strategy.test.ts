import { expect } from "chai";
import { newAgentId, newNodeId, type NodeId, type Shape } from "@stingray/protocol";
import { ClusterView, rank, type Bid } from "../src/mod.js";
import { seeded } from "./support/clock.js";

const ids = Array.from({ length: 10 }, newNodeId).toSorted();
function bid(index: number, free: number, o: Partial<Bid> = {}): Bid {
  return {
    node: ids[index] as NodeId,
    agent: newAgentId(),
    available: { CPU: free },
    total: { CPU: 10 },
    labels: {},
    queued: 0,
    idleWorkers: 0,
    draining: false,
    sequence: 1,
    ...o,
  };
}
const one: Shape = { resources: { CPU: 1 } };
const first = (shape: Shape, bids: Bid[], random = () => 0.5): number =>
  ids.indexOf(rank(shape, bids, { random })[0]?.node as NodeId);

describe("rank", () => {
  it("packs until half full, then spreads", () => {
    expect(first(one, [bid(0, 10), bid(1, 7), bid(2, 9)])).to.equal(1);
    expect(first(one, [bid(0, 4), bid(1, 1), bid(2, 3)])).to.equal(0);
    expect(first(one, [bid(0, 5), bid(1, 10)])).to.equal(1);
  });

  it("spreads when asked to", () => {
    const spread: Shape = { ...one, scheduling: { kind: "spread" } };
    expect(first(spread, [bid(0, 7), bid(1, 10), bid(2, 9)])).to.equal(1);
  });

  it("chooses at random among the best few only", () => {
    const random = seeded(3);
    const bids = ids.map((_, i) => bid(i, 10 - i / 2));
    const chosen = new Set(Array.from({ length: 200 }, () => first(one, bids, random)));
    expect(chosen).to.deep.equal(new Set([7, 8]));
  });

  it("puts nodes with the data before all others", () => {
    const bids = [bid(0, 10), bid(1, 1)];
    const localBytes = (node: NodeId): number => (node === ids[1] ? 1e6 : 0);
    expect(rank(one, bids, { random: () => 0, localBytes })[0]?.node).to.equal(ids[1]);
  });

  it("gives a reason for every node that does not do", () => {
    const bids = [
      bid(0, 10, { labels: { zone: "a" }, total: { CPU: 10, GPU: 1 }, available: { CPU: 10, GPU: 0 } }),
      bid(1, 10, { labels: { zone: "b" } }),
      bid(2, 10, { labels: { zone: "a" } }),
      bid(3, 10, { labels: { zone: "a" }, draining: true }),
    ];
    const shape: Shape = { resources: { GPU: 1 }, labels: { zone: "a" } };
    const got = rank(shape, bids, { random: () => 0 }).map((r) => [ids.indexOf(r.node), r.fit, r.reason]);
    expect(got).to.deep.equal([
      [0, "later", "needs GPU: 1, 0 of 1 free"],
      [1, "never", "wants label zone a, this node has b"],
      [2, "never", "needs GPU: 1, this node has none"],
      [3, "never", "is draining"],
    ]);
  });

  it("binds hard affinity to its node and lets soft affinity prefer it", () => {
    const bids = [bid(0, 10), bid(1, 1)];
    const to = (soft: boolean): Shape => ({
      ...one,
      scheduling: { kind: "node", node: ids[1] as string, soft },
    });
    expect(rank(to(false), bids, { random: () => 0 }).map((r) => r.fit)).to.deep.equal(["now", "never"]);
    expect(rank(to(true), bids, { random: () => 0 }).map((r) => r.fit)).to.deep.equal(["now", "now"]);
    expect(first(to(true), bids)).to.equal(1);
  });
});

describe("ClusterView", () => {
  it("takes newer bids only, and charges until the next", () => {
    const view = new ClusterView();
    const seen: string[] = [];
    const stop = view.onChange((c) => seen.push(c.kind));
    expect(view.update(bid(0, 10, { sequence: 5 }), 0)).to.equal(true);
    expect(view.update(bid(0, 3, { sequence: 4 }), 1)).to.equal(false);
    view.charge(ids[0] as NodeId, { CPU: 4 });
    view.charge(ids[0] as NodeId, { CPU: 8 });
    expect(view.get(ids[0] as NodeId)).to.deep.include({ available: { CPU: 0 }, queued: 2 });
    view.update(bid(0, 9, { sequence: 6 }), 2);
    expect(view.nodes().map((b) => b.available)).to.deep.equal([{ CPU: 9 }]);
    expect(seen).to.deep.equal(["bid", "bid"]);
    stop();
    view.update(bid(0, 8, { sequence: 7 }), 3);
    expect(seen).to.have.length(2);
  });

  it("does not bring a dead node back for a late bid, but for a newer one", () => {
    const view = new ClusterView();
    const node = ids[0] as NodeId;
    view.update(bid(0, 10, { sequence: 5 }), 0);
    view.remove(node);
    expect([view.nodes().length, view.isGone(node)]).to.deep.equal([0, true]);
    expect(view.update(bid(0, 10, { sequence: 5 }), 0)).to.equal(false);
    expect(view.update(bid(0, 10, { sequence: 6 }), 0)).to.equal(true);
    expect(view.isGone(node)).to.equal(false);
  });
});
