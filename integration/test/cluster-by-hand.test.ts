/** A cluster of nodes that were started by hand on one machine, and the programs that use it. */
import { expect } from "chai";
import { availableResources, clusterResources, get, nodes, put } from "stingray";
import { eventually } from "stingray/testing";
import { Keeper, makeNumbers, rest, sum, where } from "./fixtures/life-tasks.js";
import { ClusterByHand } from "./support/by-hand.js";
import { objectBytes } from "./support/object-bytes.js";

const LARGE = 1 << 18; // numbers, 2 MiB
const TOTAL = (LARGE * (LARGE - 1)) / 2;

describe("two nodes started by hand", function () {
  this.timeout(40_000);
  let cluster: ClusterByHand;
  let left: string;
  let right: string;
  before(async () => {
    cluster = await ClusterByHand.start(
      ["--resources", '{"left":1}'],
      ["--resources", '{"right":1}', "--labels", "side=r"],
    );
    await cluster.join();
    [left = "", right = ""] = cluster.started.map(({ node }) => node);
  });
  after(() => cluster.end());

  it("are one cluster, whose resources add up", async () => {
    const seen = await nodes();
    expect(seen.map(({ node }) => node)).to.have.members([left, right]);
    expect(seen.find(({ node }) => node === right)?.labels).to.deep.equal({ side: "r" });
    expect(await clusterResources()).to.include({ CPU: 4, left: 1, right: 1 });
    await eventually(async () => {
      const { CPU } = await availableResources();
      return CPU === 4;
    }, "all CPUs are free");
  });

  it("share the tasks of one program, and account for what runs", async () => {
    const refs = Array.from({ length: 4 }, () => rest.remote(1_500));
    await eventually(async () => (await availableResources())["CPU"] === 0, "all CPUs are in use");
    const places = await get(refs);
    expect(new Set(places.map(({ node }) => node))).to.deep.equal(new Set([left, right]));
    await eventually(async () => (await availableResources())["CPU"] === 4, "all CPUs are free again");
  });

  it("run a task where the resource is that it asks for", async () => {
    for (const [name, node] of [
      ["left", left],
      ["right", right],
    ] as const)
      expect((await get(where.options({ resources: { [name]: 1 } }).remote())).node).to.equal(node);
  });

  it("run a task on the node that is named", async () => {
    for (const node of [left, right])
      expect((await get(where.options({ scheduling: { node } }).remote())).node).to.equal(node);
  });

  it("hand large objects to each other and to the program", async () => {
    const made = makeNumbers.options({ scheduling: { node: left } }).remote(LARGE);
    const there = await get(sum.options({ scheduling: { node: right } }).remote(made));
    expect(there).to.deep.equal({ total: TOTAL, node: right });
    expect((await get(made)).length).to.equal(LARGE);
    const far = makeNumbers.options({ scheduling: { node: right } }).remote(LARGE);
    expect((await get(far))[LARGE - 1]).to.equal(LARGE - 1);
    const put1 = await put(Float64Array.from({ length: LARGE }, (_, i) => i));
    for (const node of [left, right])
      expect((await get(sum.options({ scheduling: { node } }).remote(put1))).total).to.equal(TOTAL);
    for (const ref of [made, far, put1]) ref.release();
    await eventually(async () => (await objectBytes()) === 0, "the stores are empty again");
  });

  it("host actors, which any of them can call", async () => {
    const [a, b] = [left, right].map((node) => Keeper.options({ scheduling: { node } }).remote());
    if (a === undefined || b === undefined) throw new Error("no actors");
    expect((await get(a.where.remote())).node).to.equal(left);
    expect((await get(b.where.remote())).node).to.equal(right);
    await get([a.keep.remote("left"), b.keep.remote("right")]);
    expect(await get([a.kept.remote(), b.kept.remote()])).to.deep.equal(["left", "right"]);
  });

  it("serve a second program at the same time", async () => {
    const refs = Array.from({ length: 20 }, () => rest.remote(50));
    const program = cluster.sandbox.program("life-program.js", ["join and end"], cluster.settings);
    expect((await get(refs)).length).to.equal(20);
    await program.succeeds();
    expect(program.lines.some((line) => line.startsWith("where "))).to.equal(true);
    expect(program.stderr).to.equal("");
    expect((await get(where.remote())).pid).to.be.greaterThan(0);
  });

  it("show in `stingray status`, by address and by what runs on this machine", async () => {
    const command = cluster.sandbox.stingray(["status", "--json"], cluster.settings);
    await command.succeeds();
    const { clusters } = JSON.parse(command.stdout) as {
      clusters: { nodes: { node: string; state: string }[] }[];
    };
    expect(clusters[0]?.nodes.map(({ node, state }) => [node, state])).to.have.deep.members([
      [left, "ALIVE"],
      [right, "ALIVE"],
    ]);
    const local = cluster.sandbox.stingray(["status"]);
    await local.succeeds();
    expect(local.stdout).to.contain(left).and.to.contain(right);
  });
});

describe("nodes in the background", function () {
  this.timeout(40_000);

  it("take programs in, and end by `stingray stop`, after which nothing is left", async () => {
    const cluster = await ClusterByHand.start();
    try {
      for (const name of ["one", "two"]) {
        const start = cluster.sandbox.stingray(
          ["start", "--detach", "--cpus", "1", "--object-store-memory", "64MiB", "--labels", `name=${name}`],
          cluster.settings,
        );
        await start.succeeds();
      }
      cluster.sandbox.look();
      const program = cluster.sandbox.program("life-program.js", ["join and end"], cluster.settings);
      await program.succeeds();
      expect(program.lines.find((line) => line.startsWith("nodes "))).to.match(/^nodes n\w+,n\w+$/);
      const stop = cluster.sandbox.stingray(["stop"]);
      await stop.succeeds();
      expect(stop.stdout.match(/ended node/g)).to.have.length(2);
      await eventually(
        () =>
          cluster.sandbox
            .processes()
            .every(({ command }) => command.includes("nats-server") || command.includes("watchdog")),
        "only the broker runs",
      );
    } finally {
      await cluster.end();
    }
  });
});
