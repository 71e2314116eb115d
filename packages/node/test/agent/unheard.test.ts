/** Clusters with more nodes than are all heard of: here from the second node on, so that few are needed. */
import { expect } from "chai";
import type { Shape } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import type { Agent } from "../../src/agent/agent.js";
import type { FakeDriver, Grant } from "../fixtures/fake-driver.js";
import { TestCluster } from "../fixtures/test-cluster.js";

describe("agent: clusters in which not all nodes are heard", function () {
  this.timeout(30_000);
  const standing = { hearAllUpTo: 1, sample: 1 };
  let cluster: TestCluster;
  let here: Agent;
  let driver: FakeDriver;

  beforeEach(async () => {
    cluster = await TestCluster.start();
    here = await cluster.agent({ cpus: 1, standing });
    driver = await cluster.driver(here.identity);
  });
  afterEach(() => cluster.close());

  it("find room for tasks and actors by calls and by what nodes own, and list all nodes by a census", async () => {
    const plain = await cluster.agent({ cpus: 1, standing });
    const gpu = await cluster.agent({ cpus: 1, gpus: 1, standing });
    const special = await cluster.agent({
      cpus: 1,
      resources: { special: 1 },
      labels: { zone: "a" },
      standing,
    });
    await cluster.sees(driver, 4);
    const wants: [string, Partial<Shape>, Agent][] = [
      ["gpu", { resources: { GPU: 1 } }, gpu],
      ["special", { resources: { special: 1 } }, special],
      ["label", { resources: { CPU: 1 }, labels: { zone: "a" } }, special],
      ["node", { resources: { CPU: 1 }, scheduling: { kind: "node", node: plain.node, soft: false } }, plain],
    ];
    for (const [key, shape, agent] of wants) {
      driver.demand(key, 1, shape);
      const [grant] = (await driver.granted(key)) as [Grant];
      expect(grant.node, key).to.equal(agent.node);
      expect(await driver.run(grant, "pid")).to.be.a("number");
      driver.giveBack(grant);
    }
    const actor = driver.actorSpec("Fine", { placement: { resources: { GPU: 1 } } });
    await driver.create(actor);
    expect((await driver.actor(actor, "ALIVE")).node).to.equal(gpu.node);
    driver.demand("all", 3, { resources: { CPU: 1 } });
    const nodes = (await driver.granted("all", 3)).map(({ node }) => node);
    expect(new Set(nodes).size).to.equal(3);
    await driver.endJob();
    await cluster.atRest(driver);
    expect(cluster.problems).to.deep.equal([]);
  });

  it("wake what waits when room comes", async () => {
    const far = await cluster.agent({ cpus: 1, resources: { special: 1 }, standing });
    await cluster.agent({ cpus: 1, standing });
    await cluster.sees(driver, 3);
    const shape = { resources: { special: 1 } };
    driver.demand("first", 1, shape);
    const [first] = (await driver.granted("first")) as [Grant];
    const other = await cluster.driver(far.identity);
    other.demand("second", 1, shape);
    driver.demand("third", 1, shape);
    driver.giveBack(first);
    // Whoever is first gives it back, for the other.
    const next = await eventually(() => other.grants[0] ?? driver.grants[1], "one of them to be granted");
    (next === other.grants[0] ? other : driver).giveBack(next);
    await Promise.all([other.granted("second"), driver.granted("third")]);
    await other.endJob();
  });

  it("declare a node dead that nobody followed", async () => {
    await cluster.agent({ cpus: 1, standing });
    const victim = await cluster.process({ cpus: 1, resources: { special: 1 }, standing });
    await cluster.sees(driver, 3);
    driver.demand("special", 1, { resources: { special: 1 } });
    await driver.granted("special");
    victim.process.child.kill("SIGKILL");
    await cluster.declaredDead(driver, victim.node);
    await cluster.sees(driver, 2);
  });
});
