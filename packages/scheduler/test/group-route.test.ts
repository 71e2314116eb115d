import { expect } from "chai";
import { newAgentId, newDriverId, newGroupId, newJobId, newNodeId, type NodeId } from "@stingray/protocol";
import { Ask } from "../src/ask.js";
import { routeInGroup, type GroupPlacement, type GroupRouteParts } from "../src/group-route.js";
import { ClusterView, ResourceAccount } from "../src/mod.js";

describe("routing into a placement group", () => {
  const [here, there, elsewhere] = [newNodeId(), newNodeId(), newNodeId()] as [NodeId, NodeId, NodeId];
  const group = newGroupId();
  const account = new ResourceAccount({ CPU: 1 });
  let known: GroupPlacement;
  let full: boolean;
  let waited: number;
  let refused: NodeId[];

  beforeEach(() => {
    known = {
      kind: "placed",
      nodes: [there, here, elsewhere],
      bundles: [{ CPU: 1 }, { CPU: 1 }, { GPU: 1 }],
    };
    full = false;
    waited = 0;
    refused = [];
  });

  const route = (bundle: number, resources: Record<string, number> = { CPU: 1 }): string => {
    const where = { kind: "group", group, bundle, capture: false } as const;
    const process = newDriverId();
    const ask = new Ask({
      kind: "demand",
      job: newJobId(),
      process,
      key: "k",
      shape: { resources, scheduling: where },
      want: 1,
      owner: { granted: () => undefined, failed: () => undefined },
    });
    const view = new ClusterView();
    for (const node of [here, there, elsewhere])
      view.fact({ node, agent: newAgentId(), total: { CPU: 4 }, labels: {}, draining: false });
    const parts: GroupRouteParts = {
      node: here,
      view,
      groups: () => known,
      unknownMs: 100,
      local: (one) => {
        const allocation = full ? undefined : account.acquire(one.need);
        if (allocation === undefined) return { to: "wait", for: "resources", reason: "it is in use" };
        account.release(allocation);
        return { to: "here", allocation };
      },
      waited: () => waited,
      isRefused: (_, { node }) => refused.includes(node),
      knock: () => undefined,
    };
    const answer = routeInGroup(ask, where, parts);
    if (answer.to === "node") return answer.node;
    if (answer.to === "wait") return `waits: ${answer.reason}`;
    return answer.to === "fail" ? `fails: ${answer.error.message}` : answer.to;
  };

  it("takes the bundle that was named, wherever it is, or the nearest with room", () => {
    expect(route(1)).to.equal("here");
    expect(route(0)).to.equal(there);
    expect(route(-1)).to.equal("here");
    full = true;
    expect(route(-1)).to.equal(there);
    refused = [there];
    expect(route(-1)).to.match(/^waits: it is in use/);
    expect(route(-1, { GPU: 1 })).to.equal(elsewhere);
  });

  it("waits for a group that has no place yet, or was not heard of, and fails for one that is gone", () => {
    known = { kind: "pending", reason: "no room" };
    expect(route(0)).to.match(/^waits: .*no place yet: no room/);
    known = { kind: "unknown" };
    expect(route(0)).to.match(/^waits: nothing was heard/);
    waited = 200;
    expect(route(0)).to.match(/^fails: .*not known in this cluster/);
    known = { kind: "removed", reason: "was removed: by hand" };
    expect(route(0)).to.match(/^fails: .*was removed: by hand; make a new group/);
  });

  it("fails for what no bundle can ever hold, and waits for one that was lost", () => {
    expect(route(-1, { CPU: 2 })).to.match(/^fails: .*0: \{ CPU: 1 \}, 1: \{ CPU: 1 \}, 2: \{ GPU: 1 \}/);
    expect(route(2)).to.match(/^fails: .*can never hold \{ CPU: 1 \}: its bundles are 2: \{ GPU: 1 \}/);
    expect(route(3)).to.match(/^fails: .*has no bundle 3, only 3/);
    known = { kind: "placed", nodes: ["", here], bundles: [{ CPU: 1 }, { CPU: 1 }] };
    expect(route(0)).to.match(/^waits: bundle 0 of group .* was lost and is being placed anew/);
    expect(route(-1)).to.equal("here");
  });
});
