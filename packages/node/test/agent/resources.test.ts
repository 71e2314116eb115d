/** What a node has is changed while it runs: its account, its row, what others see, and an actor that holds some of it. */
import { ControlStore } from "@stingray/gcs-kv";
import { Agent as AgentMethods, ErrorCode, Subjects } from "@stingray/protocol";
import { eventually, rejection } from "@stingray/protocol/testing";
import { expect } from "chai";
import { TestCluster } from "../fixtures/test-cluster.js";

describe("agent: resources of a running node", function () {
  this.timeout(20_000);
  let cluster: TestCluster;
  beforeEach(async () => {
    cluster = await TestCluster.start();
  });
  afterEach(() => cluster.close());

  it("shows in its row and to other nodes, also where changes come at once", async () => {
    const [here, there] = [await cluster.agent(), await cluster.agent({ gpus: 2 })];
    const driver = await cluster.driver(here.identity);
    await cluster.sees(driver, 2);
    const set = (name: string, amount: number): Promise<unknown> =>
      driver.agent(there.identity).request(AgentMethods.nodeSetResource, { name, amount });
    await Promise.all([set("a", 1), set("b", 2.5), set("a", 3), set("GPU", 1), set("CPU", 8), set("b", 0)]);
    const total = { CPU: 8, GPU: 1, memory: 1 << 30, a: 3 };
    await eventually(
      async () => (await cluster.nodes(driver)).find(({ node }) => node === there.node)?.total["a"] === 3,
      "the other node sees it",
    );
    const view = (await cluster.nodes(driver)).find(({ node }) => node === there.node);
    expect([view?.total, view?.available]).to.deep.equal([total, total]);
    const store = await ControlStore.open({
      connection: driver.nc,
      subjects: new Subjects(),
      storage: "memory",
      replicas: 1,
      report: (error) => expect.fail(error.message),
    });
    try {
      const table = await store.table("nodes");
      await eventually(
        async () =>
          JSON.stringify((await table.get(there.node))?.value.total) === JSON.stringify(view?.total),
        "the row says so",
      );
      expect((await table.get(there.node))?.value.state).to.equal("ALIVE");
    } finally {
      await store.close();
    }
    const refused = await rejection(set("GPU", 3));
    expect(refused).to.have.property("code", ErrorCode.InvalidOptionError);
    expect(refused).to.have.property("message").that.contains("began with 2 GPUs");
    expect(cluster.problems).to.deep.equal([]);
  });

  it("takes nothing from an actor, and gives nothing of it to another until it has ended", async () => {
    const agent = await cluster.agent({ resources: { special: 2 } });
    const driver = await cluster.driver(agent.identity);
    const set = (amount: number): Promise<{ available: Record<string, number> }> =>
      driver.agent(agent.identity).request(AgentMethods.nodeSetResource, { name: "special", amount });
    const holds = { running: { special: 2 }, placement: { resources: { special: 2 } } };
    const first = driver.actorSpec("Fine", holds);
    await driver.create(first);
    const alive = await driver.actor(first, "ALIVE");
    expect((await set(1)).available["special"]).to.equal(0);
    expect(await driver.call(alive, "pid")).to.be.a("number");
    driver.demand("one", 1, { resources: { special: 1 } });
    await eventually(
      async () => (await cluster.nodes(driver))[0]?.pending.some(({ shape }) => shape["special"] === 1),
      "a task waits",
    );
    expect(driver.grants).to.deep.equal([]);
    await driver.kill(first);
    const [grant] = await driver.granted("one");
    expect(grant?.node).to.equal(agent.node);
    await driver.endJob();
    await cluster.atRest(driver);
  });
});
