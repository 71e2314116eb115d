/** What comes after the end of a node or a worker: a node in its place, its objects made again, its tasks run again. */
import { expect } from "chai";
import { availableResources, get, nodes } from "stingray";
import { eventually, isRunning } from "stingray/testing";
import { makeNumbers, square, sum, where } from "./fixtures/life-tasks.js";
import { ClusterByHand } from "./support/by-hand.js";

describe("a node whose agent was killed", function () {
  this.timeout(60_000);
  let cluster: ClusterByHand;
  beforeEach(async () => {
    cluster = await ClusterByHand.start([], []);
  });
  afterEach(() => cluster.end());

  it("is replaced by its command under a new id, with room for new work", async () => {
    const [, other] = await cluster.joinOne();
    process.kill(cluster.agentOf(other), "SIGKILL");
    const replaced = await eventually(
      async () =>
        (await nodes()).find(
          ({ node, state }) => state === "ALIVE" && cluster.started.every((s) => s.node !== node),
        ),
      "a new node is there",
    );
    expect((await get(where.options({ scheduling: { node: replaced.node } }).remote())).node).to.equal(
      replaced.node,
    );
  });

  it("has its lost objects made again", async () => {
    const [, other] = await cluster.joinOne();
    const made = makeNumbers.options({ scheduling: { node: other.node, soft: true } }).remote(1 << 18);
    const on = sum.options({ scheduling: { node: other.node, soft: true } });
    expect((await get(on.remote(made))).node).to.equal(other.node);
    process.kill(cluster.agentOf(other), "SIGKILL");
    expect((await get(made)).length).to.equal(1 << 18);
  });

  it("may lose a worker at any moment", async () => {
    await cluster.joinOne();
    const { pid } = await get(where.remote());
    const values = get(Array.from({ length: 60 }, (_, i) => square.remote(i, 100)));
    await eventually(async () => (await availableResources())["CPU"] === 0, "every worker is at work");
    process.kill(pid, "SIGKILL");
    expect(await values).to.deep.equal(Array.from({ length: 60 }, (_, i) => i * i));
    await eventually(() => !isRunning(pid), "it is gone");
  });
});
