/** Several nodes inside one program. */
import { expect } from "chai";
import { UnschedulableError, availableResources, get, init, nodes, shutdown } from "stingray";
import { eventually } from "stingray/testing";
import { Keeper, makeNumbers, rest, sum, where } from "./fixtures/life-tasks.js";
import { Sandbox } from "./support/sandbox.js";

describe("a cluster of three nodes inside one program", function () {
  this.timeout(40_000);
  let sandbox: Sandbox;
  let leave: () => void;
  let ids: string[];
  before(async () => {
    sandbox = new Sandbox();
    leave = sandbox.enter({});
    const third = { resources: { third: 1 }, labels: { zone: "c" } };
    await init({ nodes: [{}, {}, third], cpus: 2, gpus: 0, objectStoreMemory: 64 << 20, logToDriver: false });
    ids = await eventually(async () => {
      const seen = (await nodes()).map(({ node }) => node);
      return seen.length === 3 && seen;
    }, "three nodes");
  });
  after(async () => {
    sandbox.look();
    await shutdown();
    await sandbox.nothingRemains();
    leave();
    await sandbox.end();
  });

  it("spreads tasks evenly, however long a worker takes to start", async () => {
    // An environment of its own has no workers yet: the first to start could do it all before the second is there.
    const runtimeEnv = { envVars: { SPREAD: "yes" } };
    for (const [ms, options] of [
      [50, { runtimeEnv }],
      [300, {}],
      [300, { runtimeEnv }],
    ] as const) {
      await eventually(async () => (await availableResources())["CPU"] === 6, "all CPUs are free");
      const spread = rest.options({ ...options, scheduling: "spread" });
      const places = await get(Array.from({ length: 6 }, () => spread.remote(ms)));
      const counts = ids.map((id) => places.filter(({ node }) => node === id).length);
      expect(counts, `tasks of ${ms} ms per node`).to.deep.equal([2, 2, 2]);
    }
  });

  it("spreads actors over all of them", async () => {
    await eventually(async () => (await availableResources())["CPU"] === 6, "all CPUs are free");
    // An actor that holds nothing while it lives makes its node no fuller.
    const spread = Keeper.options({ scheduling: "spread", cpus: 1 });
    const actors = Array.from({ length: 3 }, () => spread.remote());
    const places = await get(actors.map((actor) => actor.where.remote()));
    expect(new Set(places.map(({ node }) => node))).to.deep.equal(new Set(ids));
  });

  it("runs a task on the node that is named, which a soft wish for an unknown one does not prevent", async () => {
    for (const node of ids)
      expect((await get(where.options({ scheduling: { node } }).remote())).node).to.equal(node);
    const gone = "n000000000000";
    expect(ids).to.include(
      (await get(where.options({ scheduling: { node: gone, soft: true } }).remote())).node,
    );
    const error: unknown = await get(where.options({ scheduling: { node: gone } }).remote()).catch(
      (e: unknown) => e,
    );
    expect(error).to.be.instanceOf(UnschedulableError);
  });

  it("runs a task where its labels and resources are", async () => {
    const byResource = await get(where.options({ resources: { third: 1 } }).remote());
    const byLabel = await get(where.options({ labels: { zone: "c" } }).remote());
    expect(byResource.node).to.equal(byLabel.node);
  });

  it("moves objects between them", async () => {
    const made = ids.map((node) => makeNumbers.options({ scheduling: { node } }).remote(1 << 17));
    const total = ((1 << 17) * ((1 << 17) - 1)) / 2;
    for (const node of ids)
      for (const ref of made)
        expect(await get(sum.options({ scheduling: { node } }).remote(ref))).to.deep.equal({ total, node });
  });
});
