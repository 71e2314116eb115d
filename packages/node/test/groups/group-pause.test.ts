import { newAgentId, newNodeId } from "@stingray/protocol";
import { ClusterView, type Bid } from "@stingray/scheduler";
import { expect } from "chai";
import { GroupPause } from "../../src/groups/group-pause.js";

describe("placement groups: pauses between tries", () => {
  const LONG_MS = 60_000;
  const bid = (cpus: number, more: Partial<Bid> = {}): Bid => ({
    node: newNodeId(),
    agent: newAgentId(),
    available: { CPU: cpus, other: 1 },
    total: { CPU: 8, other: 8 },
    labels: {},
    queued: 0,
    idleWorkers: 0,
    draining: false,
    sequence: 1,
    ...more,
  });
  const own = bid(1);
  const there = bid(2);
  let view: ClusterView;
  let ownNow: Bid;
  let pause: GroupPause;
  let refused: Map<Bid["node"], number>;

  beforeEach(() => {
    view = new ClusterView();
    view.update(there, 0);
    ownNow = own;
    refused = new Map();
    pause = new GroupPause(view, { bids: [own, there], names: ["CPU"], refused, own: () => ownNow });
  });
  afterEach(() => pause.close());

  const over = (leastMs: number): { readonly yet: boolean; readonly promise: Promise<void> } => {
    const state = { yet: false, promise: Promise.resolve() };
    state.promise = pause.over(leastMs, LONG_MS, new AbortController().signal).then(() => {
      state.yet = true;
    });
    return state;
  };
  let sequence = 1;
  const hear = async (cpus: number, other = 1): Promise<void> => {
    view.update({ ...there, available: { CPU: cpus, other }, sequence: ++sequence }, 0);
    await new Promise((resolve) => setImmediate(resolve));
  };

  it("end with what could help, and nothing else", async () => {
    const state = over(0);
    await hear(1);
    await hear(2, 4);
    expect(state.yet).to.equal(false);
    await hear(3);
    await state.promise;
  });

  it("end when this node or one that refused is heard of anew", async () => {
    ownNow = { ...own, available: { CPU: 2 } };
    const first = over(0);
    await hear(1);
    await first.promise;
    pause.close();
    ownNow = own;
    pause = new GroupPause(view, { bids: [own, there], names: ["CPU"], refused, own: () => ownNow });
    refused.set(there.node, there.sequence);
    const second = over(0);
    await hear(1);
    await second.promise;
  });

  it("last as long as they must, whatever is heard", async () => {
    const began = performance.now();
    const state = over(60);
    await hear(8);
    expect(state.yet).to.equal(false);
    await state.promise;
    expect(performance.now() - began).to.be.above(55);
  });
});
