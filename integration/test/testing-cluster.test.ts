/** The cluster of `stingray/testing`: it starts in one line, and goes in any case. */
import { existsSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import {
  InvalidArgumentError,
  InvalidOptionError,
  availableResources,
  cancel,
  clusterResources,
  get,
  getActor,
  init,
  isInitialized,
  nodes,
  put,
  shutdown,
} from "stingray";
import { eventually, isRunning, rejection, testCluster, type TestCluster } from "stingray/testing";
import { Keeper, rest, where } from "./fixtures/life-tasks.js";

describe("testCluster()", function () {
  this.timeout(30_000);
  let cluster: TestCluster;

  describe("with two nodes", () => {
    before(async () => {
      cluster = await testCluster({
        nodes: [{ resources: { left: 1 } }, { cpus: 1 }],
        cpus: 2,
        namespace: "tests",
      });
    });
    after(() => cluster.end());

    it("is a cluster that this process is a driver of, on the first node", async () => {
      expect(isInitialized()).to.equal(true);
      expect(await init()).to.equal(cluster.cluster);
      expect(cluster.cluster.nodeId).to.equal(cluster.node(0).id);
      expect(cluster.cluster.namespace).to.equal("tests");
      expect((await nodes()).map(({ node }) => node)).to.have.members(cluster.nodes.map(({ id }) => id));
      expect(await clusterResources()).to.include({ CPU: 3, left: 1 });
      for (const node of cluster.nodes)
        expect((await get(where.options(node.here).remote())).node).to.equal(node.id);
    });

    it("refuses options that there are not, and a second cluster in one process", async () => {
      const wrong: object = { node: 2 };
      expect((await rejection(testCluster(wrong))).message).to.contain('"nodes"');
      expect(await rejection(testCluster({ cpus: -1 }))).to.be.instanceOf(InvalidOptionError);
      expect(await rejection(testCluster())).to.be.instanceOf(InvalidArgumentError);
      expect(await rejection(cluster.node(0).cut())).to.be.instanceOf(InvalidOptionError);
    });

    it("says what still holds something, and waits until nothing does", async () => {
      await cluster.expectIdle();
      const ref = await put(new Float64Array(1 << 18));
      const running = rest.remote(1_000);
      await eventually(async () => (await availableResources())["CPU"] === 2, "it runs");
      expect((await cluster.leaks()).join("\n"))
        .to.match(/bytes of objects/)
        .and.match(/1 of 2 CPU are free/);
      const error = await rejection(cluster.expectIdle({ timeoutMs: 1_500 }));
      expect(error.message).to.contain("everything is free again").and.contain("bytes of objects");
      await get(running);
      ref.release();
      await cluster.expectIdle();
    });

    it("asks its own nodes, whatever this process is a driver of", async () => {
      const other = await testCluster({
        cpus: 1,
        cluster: "other",
        driver: false,
        broker: cluster.broker,
        clock: 5,
      });
      try {
        expect((await other.sees(1)).map(({ node }) => node)).to.deep.equal([other.node().id]);
        expect(await other.clock.advance(5)).to.equal(10);
        const running = rest.remote(30_000);
        await eventually(async () => (await cluster.leaks()).length > 0, "it runs");
        await other.expectIdle({ timeoutMs: 1_000 });
        await cancel(running, { force: true });
        await rejection(get(running));
        const second = await other.addNode();
        await other.node(0).pause();
        expect((await rejection(other.givesUp(other.node(0), { timeoutMs: 300 }))).message).to.contain(
          "dead",
        );
        await other.heal();
        await second.kill();
      } finally {
        await other.end();
      }
    });

    it("tells node and process of an actor", async () => {
      const actor = Keeper.options(cluster.node(1).here).remote();
      const { pid } = await get(actor.where.remote());
      expect((await cluster.processOf(actor)).pid).to.equal(pid);
      expect(await cluster.nodeOf(actor)).to.equal(cluster.node(1));
      expect(await rejection(cluster.processOf({}))).to.be.instanceOf(InvalidArgumentError);
    });

    it("keeps what is detached over the end of a job, and this process may begin another", async () => {
      const name = { name: "lasting", lifetime: "detached" } as const;
      const actor = Keeper.options(name).remote();
      await get(actor.keep.remote("kept"));
      const before = cluster.cluster.jobId;
      await cluster.join();
      expect(cluster.cluster.jobId).not.to.equal(before);
      const found = await getActor<{ kept(): unknown }>("lasting");
      expect(await get(found.kept.remote())).to.equal("kept");
      await cluster.expectIdle();
    });
  });

  it("refuses to take away a broker whose tables would not come back", async () => {
    cluster = await testCluster({ cpus: 1, storage: "memory" });
    try {
      for (const refused of [cluster.broker.kill(), cluster.broker.restart()]) {
        const error = await rejection(refused);
        expect(error).to.be.instanceOf(InvalidOptionError);
        expect(error.message).to.contain('storage: "file"');
      }
      expect((await get(where.remote())).node).to.equal(cluster.node().id);
    } finally {
      await cluster.end();
    }
  });

  it("goes with everything in it, also after shutdown(), with a node that stands still and without a broker", async () => {
    cluster = await testCluster({ cpus: 1 });
    writeFileSync(cluster.file("notes"), "");
    const worker = (await get(where.remote())).pid;
    const { directory } = cluster;
    const { pid, storeDir } = cluster.node();
    await shutdown();
    await cluster.node().pause();
    await cluster.broker.kill();
    await cluster.end();
    await cluster.end();
    for (const gone of [pid, worker]) expect(isRunning(gone)).to.equal(false);
    for (const path of [directory, storeDir]) expect(existsSync(path)).to.equal(false);
    expect(isInitialized()).to.equal(false);
  });
});
