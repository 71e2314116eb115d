import { newAgentId, newDriverId, newJobId, newNodeId } from "@stingray/protocol";
import { expect } from "chai";
import { Ask } from "../src/ask.js";
import { ClusterView } from "../src/mod.js";
import { Strangers } from "../src/strangers.js";

describe("nodes that are not heard", () => {
  it("may be asked again when what they refused with is forgotten", () => {
    const [own, node, agent] = [newNodeId(), newNodeId(), newAgentId()];
    const view = new ClusterView();
    const facts = { node, agent, total: { CPU: 4 }, labels: {}, draining: false };
    view.fact(facts);
    const strangers = new Strangers(own, view, { random: () => 0 });
    const ask = new Ask({
      kind: "demand",
      job: newJobId(),
      process: newDriverId(),
      key: "k",
      shape: { resources: { CPU: 1 } },
      want: 1,
      owner: { granted: () => undefined, failed: () => undefined },
    });
    expect(strangers.pick(ask)?.node).to.equal(node);

    // No answer: not at once again.
    ask.refused.set(node, view.guess(node)?.sequence ?? 0);
    expect(strangers.pick(ask)).to.equal(undefined);

    view.observe({ ...facts, available: { CPU: 0 }, queued: 0, idleWorkers: 0, sequence: 3 }, 0);
    ask.refused.set(node, 3);
    expect(strangers.pick(ask), "it is heard now").to.equal(undefined);
    view.forgetBid(node);
    expect(strangers.pick(ask)?.node).to.equal(node);
  });
});
