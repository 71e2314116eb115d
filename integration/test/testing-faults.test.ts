/** The faults of `stingray/testing`: each does what it says, and is undone. */
import { expect } from "chai";
import { get, ready } from "stingray";
import { isRunning, rejection, testCluster, type TestCluster } from "stingray/testing";
import { Keeper, where } from "./fixtures/life-tasks.js";

describe("faults in a test cluster", function () {
  this.timeout(40_000);
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster({
      nodes: 2,
      gates: true,
      heartbeatMs: 300,
      deadAfterMs: 2_500,
    });
  });
  after(() => cluster.end());

  const keeperOn = (index: number): ReturnType<typeof Keeper.remote> =>
    Keeper.options({ maxRestarts: 5, ...cluster.node(index).here }).remote();

  it("kill the process of an actor, which comes back in another", async () => {
    const actor = keeperOn(1);
    const process = await cluster.processOf(actor);
    await process.kill();
    expect(process.running).to.equal(false);
    await ready(actor);
    expect((await cluster.processOf(actor)).pid).not.to.equal(process.pid);
  });

  it("pause a process, which goes on as if nothing had been", async () => {
    const actor = keeperOn(1);
    await get(actor.keep.remote(1));
    const process = await cluster.processOf(actor);
    await process.pause();
    const kept = get(actor.kept.remote());
    expect(process.paused).to.equal(true);
    const elsewhere = get(where.options(cluster.node(1).here).remote());
    expect(await Promise.race([kept, elsewhere])).to.have.property("pid");
    await process.resume();
    expect(await kept).to.equal(1);
  });

  it("cut a node off: it is declared dead, and comes back as a new one", async () => {
    const node = cluster.node(1);
    const { id, pid } = node;
    await node.cut();
    await cluster.givesUp(node);
    expect(isRunning(pid)).to.equal(true);
    await node.heal();
    await cluster.sees(2);
    expect(node.id).not.to.equal(id);
    expect((await get(where.options(node.here).remote())).node).to.equal(node.id);
  });

  it("cut a node off for a moment, and nothing is lost", async () => {
    const actor = keeperOn(1);
    await get(actor.keep.remote("a"));
    await cluster.node(1).cut();
    const asked = get(actor.keep.remote("b"));
    await cluster.node(1).heal();
    await asked;
    expect(await get(actor.kept.remote())).to.equal("b");
  });

  it("refuse a line: who uses it connects again, and nothing is lost", async () => {
    const actor = keeperOn(1);
    await get(actor.keep.remote("a"));
    await cluster.driver.cut({ refuse: true });
    const asked = get(actor.kept.remote());
    await cluster.heal();
    expect(await asked).to.equal("a");
  });

  it("make a line slow", async () => {
    const actor = keeperOn(1);
    await get(actor.keep.remote("a"));
    await cluster.driver.delay(100);
    const began = performance.now();
    await get(actor.kept.remote());
    // There and back.
    expect(performance.now() - began).to.be.at.least(200);
    await cluster.driver.heal();
  });

  it("stop the broker in its tracks, kill it, and bring it back with its tables", async () => {
    const actor = keeperOn(1);
    await get(actor.keep.remote("a"));
    await cluster.broker.pause();
    const asked = get(actor.kept.remote());
    await cluster.broker.resume();
    expect(await asked).to.equal("a");
    await cluster.broker.kill();
    expect(cluster.broker.pid).to.equal(undefined);
    await cluster.broker.restart();
    expect(await get(actor.kept.remote())).to.equal("a");
    await get(keeperOn(1).keep.remote("b"));
  });

  it("kill a node, which stays dead until it is started again; others come and leave", async () => {
    const node = cluster.node(1);
    const actor = Keeper.options(node.here).remote();
    await get(actor.keep.remote(1));
    const { id } = node;
    await node.kill();
    expect(await rejection(get(actor.kept.remote()))).to.be.an("error");
    await cluster.sees(1);
    const added = await cluster.addNode({ labels: { late: "yes" } });
    expect((await get(where.options({ labels: { late: "yes" } }).remote())).node).to.equal(added.id);
    await node.restart();
    await cluster.sees(3);
    expect(node.id).not.to.equal(id);
    await cluster.removeNode(added);
    await cluster.sees(2);
    expect(added.state).to.equal("left");
    await cluster.expectIdle();
  });

  it("undo all of it at once", async () => {
    await Promise.all(cluster.nodes.map((node) => node.cut()));
    await cluster.broker.pause();
    await cluster.node(1).pause();
    await cluster.heal();
    await cluster.sees(2);
    for (const index of [0, 1]) await get(keeperOn(index).keep.remote(index));
  });
});
