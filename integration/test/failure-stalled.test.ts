/** A node that stands still for so long that it is given up, and then goes on: it does no harm, and comes back. */
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { get, nodes, ready } from "stingray";
import { eventually, isRunning, testCluster, type TestCluster } from "stingray/testing";
import { Tally, square, where } from "./fixtures/life-tasks.js";

describe("a node whose agent stalls", function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster({ nodes: 2 });
  });
  after(() => cluster.end());

  it("loses its work to others, carries nothing of it on, and comes back as a new node", async () => {
    const other = cluster.node(1);
    const { id } = other;
    const file = cluster.file("notes");
    const lines = (): [epoch: number, call: number][] =>
      readFileSync(file, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => line.split(" ").map(Number) as [number, number]);
    const tally = Tally.options({
      maxRestarts: 1,
      maxTaskRetries: 5,
      scheduling: { node: id, soft: true },
    }).remote(file);
    await ready(tally);
    const first = await get(tally.where.remote());
    expect(first.node).to.equal(id);
    const counted = Array.from({ length: 200 }, (_, i) => tally.add.remote(i, 50));
    const squares = Array.from({ length: 40 }, (_, i) => square.remote(i, 100));
    await eventually(() => lines().length > 2, "the actor has begun");

    await other.pause();
    try {
      await cluster.givesUp(other);
      // Its agent can't end them: they do it themselves.
      await eventually(() => !isRunning(first.pid), "the actor's old process is gone");
      const second = await get(tally.where.remote());
      expect(second.node).to.not.equal(id);
    } finally {
      await other.resume();
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
    const own = cluster.node(0).id;
    const back = (await nodes()).find(({ node, state }) => state === "ALIVE" && node !== own);
    expect(back?.node).to.not.equal(id);
    expect(other.id).to.equal(back?.node);
    expect((await get(where.options(other.here).remote())).node).to.equal(back?.node);
  });
});
