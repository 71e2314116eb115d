/** Placement groups when nodes, planners and jobs end, with drivers that speak the protocol by hand. */
import {
  Agent as AgentMethods,
  ErrorCode,
  newGroupId,
  type GroupSpec,
  type GroupView,
  type Shape,
} from "@stingray/protocol";
import { eventually, rejection } from "@stingray/protocol/testing";
import { expect } from "chai";
import type { Agent, AgentIdentity } from "../../src/agent/agent.js";
import type { AgentOptions } from "../../src/agent/options.js";
import type { FakeDriver, Grant } from "../fixtures/fake-driver.js";
import { TestCluster } from "../fixtures/test-cluster.js";

type Killable = Awaited<ReturnType<TestCluster["process"]>>;

describe("agent: placement groups", function () {
  this.timeout(30_000);
  let cluster: TestCluster;
  let agent: Agent;
  let driver: FakeDriver;

  before(async () => {
    cluster = await TestCluster.start();
    agent = await cluster.agent();
  });
  beforeEach(async () => {
    driver = await cluster.driver(agent.identity);
  });
  afterEach(async () => {
    await driver.endJob();
    await cluster.atRest(driver);
    await driver.close();
  });
  after(() => cluster.close());

  const spec = (strategy: GroupSpec["strategy"], bundles: number, o: Partial<GroupSpec> = {}): GroupSpec => ({
    group: newGroupId(),
    job: driver.spec.job,
    detached: false,
    namespace: "test",
    strategy,
    bundles: Array.from({ length: bundles }, () => ({ CPU: 1 })),
    ...o,
  });
  const create = (group: GroupSpec, by = driver): Promise<object> =>
    by.agent().request(AgentMethods.groupCreate, { spec: group });
  const view = async ({ group }: GroupSpec, by = driver): Promise<GroupView> => {
    const { view: seen } = await by.agent().request(AgentMethods.groupState, { group, after: 0, waitMs: 0 });
    if (seen === undefined) throw new Error(`group ${group} is not known`);
    return seen;
  };
  const inState = (group: GroupSpec, state: GroupView["state"], by = driver): Promise<GroupView> =>
    eventually(async () => {
      const seen = await view(group, by);
      return seen.state === state ? seen : undefined;
    }, `the group ${state}`);
  const inBundle = ({ group }: GroupSpec, bundle: number): Partial<Shape> => ({
    scheduling: { kind: "group", group, bundle, capture: false },
  });
  const others = async (count: number, o: Partial<AgentOptions> = {}): Promise<Killable[]> => {
    const made = await Promise.all(Array.from({ length: count }, () => cluster.process(o)));
    await cluster.sees(driver, count + 1);
    return made;
  };
  const kill = async (victim: Killable): Promise<void> => {
    victim.process.child.kill("SIGKILL");
    await cluster.declaredDead(driver, victim.node);
  };
  const free = async (of: AgentIdentity): Promise<number> => {
    const node = (await cluster.nodes(driver)).find((n) => n.node === of.node);
    return node?.available["CPU"] ?? 0;
  };

  it("lose a bundle with its node and get it back elsewhere, while the others go on", async () => {
    const killables = await others(2);
    try {
      const group = spec("STRICT_SPREAD", 2);
      await create(group);
      const { nodes } = await inState(group, "CREATED");
      const lostIndex = nodes.findIndex((node) => killables.some((k) => k.node === node));
      const keptIndex = 1 - lostIndex;
      driver.demand("kept", 1, inBundle(group, keptIndex));
      driver.demand("lost", 1, inBundle(group, lostIndex));
      const [kept] = await driver.granted("kept");
      const [lost] = await driver.granted("lost");
      expect([kept?.node, lost?.node]).to.deep.equal([nodes[keptIndex], nodes[lostIndex]]);
      const victim = killables.find((k) => k.node === lost?.node) as Killable;
      await kill(victim);
      const after = await eventually(async () => {
        const seen = await view(group);
        return seen.state === "CREATED" && seen.nodes[lostIndex] !== victim.node ? seen : undefined;
      }, "the bundle has another node");
      expect(after.nodes[keptIndex]).to.equal(nodes[keptIndex]);
      expect(after.nodes[lostIndex]).not.to.equal(nodes[keptIndex]);
      // The grant of the first may have been on its way when the node died: then that is made good for.
      driver.demand("again", 1, inBundle(group, lostIndex));
      await eventually(
        () => driver.grants.some(({ node }) => node === after.nodes[lostIndex]),
        "a lease in the bundle at its new place",
      );
      expect(driver.lost.map(({ lease }) => lease)).not.to.include(kept?.lease);
    } finally {
      await Promise.all(killables.map((k) => k.process.stop(5_000)));
    }
  });

  it("move as a whole where they must be on one node, ahead of new groups", async () => {
    const killables = await others(2, { resources: { odd: 2 } });
    const remove = ({ group }: GroupSpec): Promise<object> =>
      driver.agent().request(AgentMethods.groupRemove, { group, reason: "test" });
    const odd = (): GroupSpec => spec("STRICT_PACK", 2, { bundles: [{ odd: 1 }, { odd: 1 }] });
    try {
      const [packed, other, newcomer] = [odd(), odd(), odd()];
      for (const group of [packed, other]) {
        await create(group);
        await inState(group, "CREATED");
      }
      await create(newcomer);
      const [at] = (await view(packed)).nodes;
      await kill(killables.find((k) => k.node === at) as Killable);
      expect((await inState(packed, "RESCHEDULING")).nodes).to.deep.equal(["", ""]);
      await remove(other);
      const { nodes } = await inState(packed, "CREATED");
      expect(nodes[0]).to.equal(nodes[1]).and.not.equal(at);
      expect((await view(newcomer)).state).to.equal("PENDING");
      await remove(packed);
      await inState(newcomer, "CREATED");
    } finally {
      await Promise.all(killables.map((k) => k.process.stop(5_000)));
    }
  });

  it("leave a node that is drained, once nothing runs in them there", async () => {
    const killables = await others(2, { resources: { odd: 1 } });
    try {
      const group = spec("PACK", 1, { bundles: [{ CPU: 1, odd: 1 }] });
      await create(group);
      const [at] = (await inState(group, "CREATED")).nodes;
      driver.demand("inside", 1, inBundle(group, 0));
      const [lease] = await driver.granted("inside");
      const leaving = killables.find((k) => k.node === at) as Killable;
      await driver.agent(leaving).request(AgentMethods.nodeDrain, { reason: "test", deadlineMs: 20_000 });
      await eventually(() => driver.revoked.includes(lease?.lease ?? ""), "the lease is asked back");
      expect((await view(group)).nodes).to.deep.equal([at]);
      driver.giveBack(lease as Grant);
      const after = await eventually(async () => {
        const seen = await view(group);
        return seen.state === "CREATED" && seen.nodes[0] !== at ? seen : undefined;
      }, "the bundle is elsewhere");
      expect(after.nodes[0]).to.equal(killables.find((k) => k !== leaving)?.node);
    } finally {
      await Promise.all(killables.map((k) => k.process.stop(5_000)));
    }
  });

  it("are planned on by another agent when the one that was asked dies", async () => {
    const [planner] = (await others(1, { cpus: 1 })) as [Killable];
    const far = await cluster.driver(planner, { local: false });
    const taken = spec("STRICT_PACK", 2);
    const waiting = spec("STRICT_PACK", 2);
    try {
      await create(taken);
      await inState(taken, "CREATED");
      await create(waiting, far);
      await eventually(async () => (await view(waiting)).cause !== undefined, "it says why it waits");
      await kill(planner);
      expect((await view(waiting)).state).to.equal("PENDING");
      await driver.agent().request(AgentMethods.groupRemove, { group: taken.group, reason: "test" });
      const [node] = (await inState(waiting, "CREATED")).nodes;
      expect(node).to.equal(agent.identity.node);
    } finally {
      await planner.process.stop(5_000);
    }
  });

  it("leave nothing behind of a planner that died between the two phases", async () => {
    const group = spec("PACK", 1);
    const answer = await driver.agent().request(AgentMethods.bundlePrepare, {
      group: group.group,
      job: group.job,
      detached: false,
      attempt: "of nobody",
      bundles: [{ index: 0, resources: { CPU: 2 } }],
      deadlineMs: 300,
    });
    expect(answer).to.deep.include({ reserved: true });
    expect(await free(agent.identity)).to.equal(0);
    const refused = await driver.agent().request(AgentMethods.bundlePrepare, {
      group: newGroupId(),
      job: group.job,
      detached: false,
      attempt: "of another",
      bundles: [
        { index: 0, resources: { GPU: 1 } },
        { index: 1, resources: { CPU: 1 } },
      ],
      deadlineMs: 300,
    });
    expect(refused).to.include({ reserved: false });
    await eventually(async () => (await free(agent.identity)) === 2, "the reservation ends");
  });

  it("end with their job, detached ones by removal only; a name is given to one of many", async () => {
    const o = { name: "shared", detached: true };
    const specs = Array.from({ length: 4 }, () => spec("PACK", 1, o));
    const outcomes = await Promise.allSettled(specs.map((one) => create(one)));
    const made = specs.filter((_, i) => outcomes[i]?.status === "fulfilled");
    expect(made).to.have.length(1);
    const [lasting] = made as [GroupSpec];
    const ending = spec("PACK", 1);
    await create(ending);
    await Promise.all([inState(lasting, "CREATED"), inState(ending, "CREATED")]);
    await driver.endJob();
    const second = await cluster.driver(agent.identity);
    try {
      const find = (): Promise<GroupView> =>
        second.agent().request(AgentMethods.groupFind, { namespace: "test", name: "shared" });
      expect(await find()).to.include({ group: lasting.group, state: "CREATED" });
      await eventually(async () => (await free(agent.identity)) === 1, "the other one is given back");
      second.demand("inside", 1, inBundle(lasting, 0));
      expect((await second.granted("inside"))[0]?.node).to.equal(agent.identity.node);
      const { group } = lasting;
      await second.agent().request(AgentMethods.groupRemove, { group, reason: "test" });
      expect(await rejection(find())).to.have.property("code", ErrorCode.GroupNotFoundError);
      await eventually(async () => (await free(agent.identity)) === 2, "all is given back");
      second.demand("late", 1, inBundle(lasting, 0));
      await eventually(() => second.failed.some(({ key }) => key === "late"), "a late demand fails");
      expect(second.failed.find(({ key }) => key === "late")?.error.code).to.equal(
        ErrorCode.UnschedulableError,
      );
    } finally {
      await second.endJob();
    }
  });
});
