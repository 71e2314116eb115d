/** A node that stands still for so long that it is given up, and then goes on: it does no harm, and comes back. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { get, nodes, ready } from "stingray";
import { Tally, square, where } from "./fixtures/life-tasks.js";
import { ClusterByHand } from "./support/by-hand.js";
import { eventually, isRunning } from "./support/eventually.js";

describe("a node whose agent stalls", function () {
  this.timeout(60_000);
  let cluster: ClusterByHand;
  before(async () => {
    cluster = await ClusterByHand.start([], []);
  });
  after(() => cluster.end());

  it("loses its work to others, carries nothing of it on, and comes back as a new node", async () => {
    const joined = await cluster.join();
    const other = cluster.started.find(({ node }) => node !== joined.nodeId);
    if (other === undefined) throw new Error("there is no other node");
    const file = join(cluster.sandbox.directory, "notes");
    const lines = (): [epoch: number, call: number][] =>
      readFileSync(file, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => line.split(" ").map(Number) as [number, number]);
    const tally = Tally.options({
      maxRestarts: 1,
      maxTaskRetries: 5,
      scheduling: { node: other.node, soft: true },
    }).remote(file);
    await ready(tally);
    const first = await get(tally.where.remote());
    expect(first.node).to.equal(other.node);
    const counted = Array.from({ length: 200 }, (_, i) => tally.add.remote(i, 50));
    const squares = Array.from({ length: 40 }, (_, i) => square.remote(i, 100));
    await eventually(() => lines().length > 2, "the actor has begun");

    const agent = cluster.agentOf(other);
    process.kill(agent, "SIGSTOP");
    try {
      await eventually(
        async () => (await nodes()).every(({ node, state }) => node !== other.node || state === "DEAD"),
        "it is given up",
      );
      // Its agent can't end them: they do it themselves.
      await eventually(() => !isRunning(first.pid), "the actor's old process is gone");
      const second = await get(tally.where.remote());
      expect(second.node).to.not.equal(other.node);
    } finally {
      process.kill(agent, "SIGCONT");
    }
    expect(await get(squares)).to.deep.equal(Array.from({ length: 40 }, (_, i) => i * i));
    await get(counted);
    const [before, after] = [...new Set(lines().map(([epoch]) => epoch))];
    expect(after).to.be.greaterThan(before ?? 0);
    // Once the second incarnation has begun, the first does nothing any more; and no call ran twice in one of them.
    const order = lines().map(([epoch]) => epoch);
    expect(order).to.deep.equal(order.toSorted((a, b) => a - b));
    expect(new Set(lines().map(String)).size).to.equal(lines().length);
    await cluster.sees(2);
    const back = (await nodes()).find(({ node, state }) => state === "ALIVE" && node !== joined.nodeId);
    expect(back?.node).to.not.equal(other.node);
    const there = where.options({ scheduling: { node: back?.node ?? "" } });
    expect((await get(there.remote())).node).to.equal(back?.node);
  });
});
