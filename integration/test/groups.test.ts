/** Placement groups: what they reserve and where, what runs in them, how they end. */
import { expect } from "chai";
import { existsSync } from "node:fs";
import {
  ActorDiedError,
  GroupNotFoundError,
  InvalidArgumentError,
  InvalidOptionError,
  NameTakenError,
  PlacementGroup,
  TimeoutError,
  UnschedulableError,
  availableResources,
  clusterResources,
  get,
  getPlacementGroup,
  kill,
  listPlacementGroups,
  nodes,
  placementGroup,
  ready,
  shutdown,
} from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import {
  churn,
  member,
  useGroup,
  whereAmI,
  whereAmIForever,
  withChild,
  withChildElsewhere,
} from "./fixtures/groups.js";

const SOON = { timeoutMs: 10_000 };

describe("placement groups", function () {
  this.timeout(30_000);
  let test: TestCluster;

  before(async () => {
    const node = { cpus: 2, gpus: 2, memory: 1 << 30 };
    test = await testCluster({ nodes: [node, node, { ...node, resources: { special: 1 } }] });
    await eventually(async () => (await nodes()).length === 3, "all nodes are there");
  });
  after(() => test.end());

  /** Whatever a test did, nothing stays reserved. */
  afterEach(async () => {
    for (const { name, id } of await listPlacementGroups()) {
      await new PlacementGroup({ id, name, bundles: [], strategy: "PACK" }).remove();
    }
    const total = await clusterResources();
    await eventually(async () => {
      expect(await availableResources()).to.deep.equal(total);
      return true;
    }, "everything is free again");
  });

  /** What others have free is known by their heartbeats. */
  const free = (expected: Record<string, number>) =>
    eventually(
      async () => {
        expect(await availableResources()).to.include(expected);
        return true;
      },
      `free: ${JSON.stringify(expected)}`,
    );
  const reasonOf = ({ id }: PlacementGroup) =>
    eventually(
      async () => (await listPlacementGroups()).find((group) => group.id === id)?.reason,
      "it says why it waits",
    );

  describe("are reserved", () => {
    it("on as few nodes as possible by PACK, on one by STRICT_PACK", async () => {
      const packed = placementGroup([{ cpus: 1 }, { cpus: 1 }, { cpus: 1 }]);
      const strict = placementGroup([{ gpus: 1 }, { gpus: 1 }], { strategy: "STRICT_PACK" });
      await Promise.all([packed.ready(SOON), strict.ready(SOON)]);
      expect(new Set(await packed.nodes())).to.have.property("size", 2);
      expect(new Set(await strict.nodes())).to.have.property("size", 1);
      await free({ CPU: 3, GPU: 4 });
    });

    it("on different nodes by SPREAD, as far as there are any; by STRICT_SPREAD or not at all", async () => {
      const spread = placementGroup([{ cpus: 1 }, { cpus: 1 }, { cpus: 1 }, { cpus: 1 }], {
        strategy: "SPREAD",
      });
      await spread.ready(SOON);
      expect(new Set(await spread.nodes())).to.have.property("size", 3);
      const strict = placementGroup([{ gpus: 1 }, { gpus: 1 }, { gpus: 1 }], { strategy: "STRICT_SPREAD" });
      await strict.ready(SOON);
      expect(new Set(await strict.nodes())).to.have.property("size", 3);
      const tooMany = placementGroup(
        Array.from({ length: 4 }, () => ({ gpus: 0.5 })),
        { strategy: "STRICT_SPREAD" },
      );
      await reasonOf(tooMany);
      const error = await rejection(tooMany.ready({ timeoutMs: 100 }));
      expect(error).to.be.instanceOf(TimeoutError);
      expect(error.message).to.match(/can't hold its 4 bundles each on a node of its own/);
      expect(await tooMany.nodes()).to.deep.equal([undefined, undefined, undefined, undefined]);
    });

    it("whole, or hold nothing and say why; and as soon as there is room", async () => {
      const first = placementGroup([{ cpus: 2 }, { cpus: 2 }], { strategy: "STRICT_SPREAD" });
      await first.ready(SOON);
      const second = placementGroup([{ cpus: 2 }, { cpus: 2 }, { gpus: 1 }]);
      expect(await reasonOf(second)).to.match(/not enough free now/);
      await free({ CPU: 2, GPU: 6 });
      const waiting = second.ready(SOON);
      await first.remove();
      await waiting;
      await free({ CPU: 2, GPU: 5 });
    });

    it("one after another where all want the same, whoever asks", async () => {
      const at = (await nodes()).flatMap(({ node }) => [node, node]);
      const rounds = at.map((node, seed) => churn.options({ scheduling: { node } }).remote(3, seed));
      expect(await get(rounds)).to.deep.equal(at);
    });

    it("never where the cluster lacks something, and wait for it", async () => {
      const group = placementGroup([{ resources: { special: 1 } }, { resources: { special: 1 } }]);
      expect(await reasonOf(group)).to.match(/can't hold its 2 bundles/);
      const [info] = await listPlacementGroups();
      expect(info).to.deep.include({ id: group.id, state: "PENDING", nodes: [undefined, undefined] });
    });

    it("not at all where they are asked for wrongly", async () => {
      expect(() => placementGroup([])).to.throw(InvalidArgumentError, "1 to 1000 bundles");
      expect(() => placementGroup([{}])).to.throw(InvalidOptionError, "bundle 0 reserves nothing");
      expect(() => placementGroup([{ cpus: 1 }, { gpus: 1.5 }])).to.throw(InvalidOptionError, "bundle 1");
      const wrong = { strategy: "PACKED" } as object;
      expect(() => placementGroup([{ cpus: 1 }], wrong)).to.throw(InvalidOptionError, "strategy");
      const group = placementGroup([{ cpus: 1 }]);
      expect(() => whereAmI.options({ scheduling: { placementGroup: group, bundle: 1 } })).to.throw(
        InvalidOptionError,
        "0 to 0",
      );
      const none = { scheduling: { placementGroup: { id: "x", bundles: [] } } };
      expect(() => whereAmI.options(none)).to.throw(InvalidOptionError, "a placement group");
    });
  });

  describe("take in", () => {
    it("tasks, in the bundle that they name, with its GPUs", async () => {
      const group = placementGroup(
        [
          { cpus: 1, gpus: 1 },
          { cpus: 1, gpus: 2 },
        ],
        { strategy: "STRICT_SPREAD" },
      );
      const run = (bundle: number, gpus: number) =>
        get(whereAmI.options({ gpus, scheduling: { placementGroup: group, bundle } }).remote());
      const [first, second] = await Promise.all([run(0, 1), run(1, 2)]);
      const [at0, at1] = await group.nodes();
      expect(first.node).to.equal(at0);
      expect(second.node).to.equal(at1);
      expect(first.gpus).to.have.length(1);
      expect(first.visible).to.equal(String(first.gpus[0]));
      expect(second.visible).to.equal("0,1");
      // The same device again, and no other, however often it is asked for.
      expect((await run(0, 1)).gpus).to.deep.equal(first.gpus);
      const halves = await Promise.all([run(0, 0.5), run(0, 0.5)]);
      for (const half of halves) expect(half.gpus).to.deep.equal(first.gpus);
      await free({ CPU: 4, GPU: 3 });
    });

    it("many tasks, as many at a time as there is room for, also from a worker that was given the group", async () => {
      const group = placementGroup([{ cpus: 1 }, { cpus: 2 }], { strategy: "STRICT_SPREAD" });
      const scheduling = { placementGroup: group };
      const seen = await get(Array.from({ length: 40 }, () => whereAmI.options({ scheduling }).remote()));
      const reserved = await group.nodes();
      for (const { node } of seen) expect(reserved).to.include(node);
      expect((await get(useGroup.remote(group))).node).to.equal(reserved[0]);
    });

    it("what they can hold, and refuse for good what they can't", async () => {
      const group = placementGroup([{ cpus: 1 }, { gpus: 1 }]);
      const error = await rejection(
        get(whereAmI.options({ cpus: 2, scheduling: { placementGroup: group } }).remote()),
      );
      expect(error).to.be.instanceOf(UnschedulableError);
      expect(error.message).to.match(/can never hold \{ CPU: 2 \}.*0: \{ CPU: 1 \}, 1: \{ GPU: 1 \}/);
      const handle = member.options({ gpus: 2, scheduling: { placementGroup: group } }).remote();
      expect((await rejection(ready(handle))).message).to.contain("can never hold");
    });

    it("the children of what captures them, unless they say otherwise", async () => {
      const group = placementGroup([{ cpus: 2 }], { strategy: "STRICT_PACK" });
      const other = placementGroup([{ cpus: 2 }, { cpus: 2 }], { strategy: "STRICT_SPREAD" });
      await Promise.all([group.ready(SOON), other.ready(SOON)]);
      const [at] = await group.nodes();
      // All CPUs are taken: only inside of the group is there a place.
      const scheduling = { placementGroup: group, capture: true };
      for (const { node } of await get(withChild.options({ scheduling }).remote())) expect(node).to.equal(at);
      const parent = member.options({ scheduling }).remote();
      expect(await get(parent.child.remote())).to.have.property("node", at);
      expect(await get(parent.childActor.remote())).to.have.property("node", at);
      const elsewhere = withChildElsewhere.options({ scheduling }).remote();
      await rejection(get(elsewhere, { timeoutMs: 500 }));
      await other.remove();
      expect((await get(elsewhere))[1]?.node).to.be.a("string");
    });

    it("actors, for as long as they live", async () => {
      const group = placementGroup([{ cpus: 1, gpus: 1 }, { cpus: 1 }], { strategy: "STRICT_SPREAD" });
      const options = { cpus: 1, gpus: 1, scheduling: { placementGroup: group, bundle: 0 } };
      const first = member.options(options).remote();
      await ready(first, SOON);
      const where = await get(first.where.remote());
      expect(where.node).to.equal((await group.nodes())[0]);
      expect(where.visible).to.equal(String(where.gpus[0]));
      const second = member.options(options).remote();
      await rejection(ready(second, { timeoutMs: 700 }));
      await kill(first);
      await ready(second, SOON);
      expect((await get(second.where.remote())).gpus).to.deep.equal(where.gpus);
    });
  });

  describe("end", () => {
    it("with remove(), and with them what runs and waits in them", async () => {
      const group = placementGroup([{ cpus: 1 }, { cpus: 1 }], { strategy: "STRICT_SPREAD" });
      const scheduling = { placementGroup: group };
      const file = test.file("forever");
      const running = whereAmIForever.options({ scheduling: { ...scheduling, bundle: 0 } }).remote(file);
      const retried = whereAmIForever.options({ maxRetries: 3, scheduling: { ...scheduling, bundle: 0 } });
      const actor = member
        .options({ cpus: 1, maxRestarts: 5, scheduling: { ...scheduling, bundle: 1 } })
        .remote();
      await ready(actor, SOON);
      await eventually(() => existsSync(file), "the task begins");
      const waiting = retried.remote(test.file("never"));
      await group.remove();
      expect((await rejection(get(running))).message).to.match(/placement group .* was removed/);
      expect(await rejection(get(waiting))).to.be.instanceOf(UnschedulableError);
      const died = await rejection(get(actor.where.remote()));
      expect(died).to.be.instanceOf(ActorDiedError);
      expect(died.message).to.match(/was removed/);
      expect(await rejection(group.ready())).to.be.instanceOf(UnschedulableError);
      await group.remove();
    });

    it("and are found by their name until then", async () => {
      const group = placementGroup([{ cpus: 1 }], { name: "g", namespace: "n" });
      await group.ready(SOON);
      const again = await getPlacementGroup("g", { namespace: "n" });
      expect(again).to.deep.include({ id: group.id, strategy: "PACK", bundles: [{ cpus: 1 }], name: "g" });
      const taken = placementGroup([{ cpus: 1 }], { name: "g", namespace: "n" });
      expect(await rejection(taken.ready())).to.be.instanceOf(NameTakenError);
      const inTaken = whereAmI.options({ scheduling: { placementGroup: taken } }).remote();
      expect(await rejection(get(inTaken))).to.be.instanceOf(UnschedulableError);
      await again.remove();
      expect(await rejection(getPlacementGroup("g", { namespace: "n" }))).to.be.instanceOf(
        GroupNotFoundError,
      );
      await placementGroup([{ cpus: 1 }], { name: "g", namespace: "n" }).ready(SOON);
    });
  });
});

describe("placement groups and their jobs", function () {
  this.timeout(30_000);
  let standing: TestCluster;

  before(async () => {
    standing = await testCluster({ cpus: 3, driver: false });
  });
  after(() => standing.end());

  it("end together, but for detached ones: the next program finds those, uses them and removes them", async () => {
    await standing.join({ namespace: "shop" });
    const kept = placementGroup([{ cpus: 1 }, { cpus: 1 }], { name: "kept", lifetime: "detached" });
    const bound = placementGroup([{ cpus: 1 }], { name: "bound" });
    await Promise.all([kept.ready(SOON), bound.ready(SOON)]);
    await shutdown();

    await standing.join({ namespace: "shop" });
    const found = await getPlacementGroup("kept");
    expect(found.id).to.equal(kept.id);
    await found.ready(SOON);
    const inside = [0, 1].map((bundle) =>
      whereAmI.options({ scheduling: { placementGroup: found, bundle } }).remote(),
    );
    const [node] = await found.nodes();
    expect((await get(inside)).map((here) => here.node)).to.deep.equal([node, node]);
    await eventually(
      async () => (await availableResources())["CPU"] === 1,
      "what was bound to the first job is free, the rest is not",
    );
    expect(await rejection(getPlacementGroup("bound"))).to.be.instanceOf(GroupNotFoundError);
    await found.remove();
    expect(await rejection(getPlacementGroup("kept"))).to.be.instanceOf(GroupNotFoundError);
    await eventually(async () => (await availableResources())["CPU"] === 3, "everything is free again");
    await shutdown();
  });
});
