import {
  StingrayError,
  encodeError,
  newGroupId,
  newJobId,
  newNodeId,
  type GroupView,
} from "@stingray/protocol";
import { expect } from "chai";
import { describeGroups } from "../src/cli/group-text.js";

describe("stingray status: placement groups", () => {
  it("says of each where its bundles are, or what it waits for", () => {
    const [group, other, node] = [newGroupId(), newGroupId(), newNodeId()];
    const view = (o: Partial<GroupView>): GroupView => ({
      group,
      job: newJobId(),
      detached: false,
      namespace: "n",
      strategy: "PACK",
      bundles: [{ CPU: 1, GPU: 0.5 }],
      state: "CREATED",
      nodes: [node],
      revision: 1,
      ...o,
    });
    const bundles = Array.from({ length: 10 }, () => ({ CPU: 1 }));
    const waiting = view({
      group: other,
      name: "train",
      detached: true,
      strategy: "STRICT_SPREAD",
      bundles,
      nodes: bundles.map((_, i) => (i === 0 ? node : "")),
      state: "RESCHEDULING",
      cause: encodeError(new StingrayError("no room")),
    });
    const [first, second] = describeGroups([view({}), waiting]);
    expect(first).to.equal(`  ${group}: CREATED, PACK; bundles 0 { 1 CPU, 0.5 GPU } on ${node}`);
    expect(second).to.match(
      new RegExp(
        `^  "train" \\(${other}\\): RESCHEDULING, STRICT_SPREAD, detached; bundles 0 { 1 CPU } on ${node}, 1 { 1 CPU } nowhere, .*, 2 more; waits: no room$`,
      ),
    );
  });
});
