/** Many tasks: nested, deep, wide, and under limits of resources. */
import { writeFileSync } from "node:fs";
import { expect } from "chai";
import { availableResources, cancel, get, nodes } from "stingray";
import { eventually, testCluster, type TestCluster } from "stingray/testing";
import * as nesting from "./fixtures/nesting.js";
import * as tasks from "./fixtures/tasks.js";
import { objectBytes } from "./support/object-bytes.js";

describe("many tasks", function () {
  this.timeout(20_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster({ resources: { special: 2 } });
  });
  after(() => test.end());
  afterEach("all resources are free again, and nothing is in the store", () =>
    eventually(async () => {
      expect(await availableResources()).to.include({ CPU: 2, special: 2 });
      expect(await objectBytes()).to.equal(0);
      for (const node of await nodes()) {
        expect(node.pending).to.deep.equal([]);
      }
      return true;
    }, "everything is given back"),
  );

  it("nest 1,000 deep on two processors, in few processes", async function () {
    this.timeout(60_000);
    expect(await get(tasks.depth.remote(1_000))).to.equal(1_000);
    for (const node of await nodes()) expect(node.workers).to.be.at.most(8);
  });

  it("nest as deep when they should not share a process, in some more", async function () {
    this.timeout(60_000);
    expect(await get(nesting.depthAlone.remote(200))).to.equal(200);
    for (const node of await nodes()) expect(node.workers).to.be.at.most(16);
  });

  it("nest in the form of a tree", async () => {
    expect(await get(tasks.fibonacci.remote(10))).to.equal(55);
  });

  it("fan out 2,000 wide, in order", async () => {
    const refs = Array.from({ length: 2_000 }, (_, i) => tasks.add.remote(i, i));
    expect(await get(refs)).to.deep.equal(Array.from({ length: 2_000 }, (_, i) => 2 * i));
  });

  it("fan out inside tasks: 10,000 from one, 100 from each of 100, and 100 from those of two", async () => {
    const [wide, tree, sums] = await get([
      nesting.fan.remote(10_000),
      nesting.tree.remote(100, 100),
      nesting.sumOf.remote([100, 100]),
    ]);
    expect([wide, tree, sums]).to.deep.equal([10_000, 10_000, 200]);
    for (const node of await nodes()) expect(node.workers).to.be.at.most(16);
  });

  it("share what each of them takes of a resource: never more at once than there is", async () => {
    const runs = await get(Array.from({ length: 8 }, () => tasks.special.remote(60)));
    const edges = runs
      .flatMap(({ begin, end }) => [
        { at: begin, change: 1 },
        { at: end, change: -1 },
      ])
      .sort((a, b) => a.at - b.at);
    let running = 0;
    let most = 0;
    for (const { change } of edges) most = Math.max(most, (running += change));
    expect(most).to.equal(2);
    for (const { resources } of runs) expect(resources).to.deep.equal({ special: 1 });
  });

  it("say why they wait for what is taken, and run when it is free", async () => {
    const file = test.file("go");
    const first = tasks.whenFile.options({ resources: { special: 2 } }).remote(file);
    const second = tasks.whenFile.options({ resources: { special: 2 } }).remote(file);
    await eventually(async () => {
      const waiting = (await nodes()).flatMap((node) => node.pending);
      return waiting.some(({ shape, reason }) => shape["special"] === 2 && reason !== "");
    }, "the demand is shown");
    writeFileSync(file, "go");
    expect(await get([first, second])).to.deep.equal(["go", "go"]);
  });

  it("fail or wait with a reason where nobody has what they ask for", async () => {
    const ref = tasks.add.options({ resources: { unobtainable: 1 } }).remote(1, 1);
    await eventually(async () => {
      const waiting = (await nodes()).flatMap((node) => node.pending);
      return waiting.some(({ shape, reason }) => shape["unobtainable"] === 1 && reason !== "");
    }, "the demand is shown with its reason");
    await cancel(ref);
  });
});

describe("nesting across nodes", function () {
  this.timeout(30_000);
  let test: TestCluster;
  before(async () => {
    test = await testCluster({ nodes: 2, cpus: 1 });
  });
  after(() => test.end());

  it("each task on another node than the one that waits for it, and back, with one processor each", async () => {
    const visited = await get(nesting.acrossNodes.remote(4));
    expect(new Set(visited).size).to.equal(2);
    const sums = await get([1, 2, 3].map(() => nesting.tree.remote(5, 20)));
    expect(sums).to.deep.equal([100, 100, 100]);
    await eventually(async () => {
      for (const node of await nodes()) {
        expect(node.available).to.deep.equal(node.total);
        expect(node.pending).to.deep.equal([]);
      }
      return true;
    }, "everything is given back");
  });
});
