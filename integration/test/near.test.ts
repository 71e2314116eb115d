/** Tasks run where most bytes of their arguments lie. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { availableResources, clusterResources, get, type ObjectRef } from "stingray";
import { eventually } from "stingray/testing";
import { work } from "./fixtures/leases.js";
import * as pieces from "./objects/programs/pieces.js";
import { MIB, StoreCluster, everythingIsFreed, figures } from "./support/stores.js";

describe("tasks with large arguments", function () {
  this.timeout(40_000);
  let test: StoreCluster;

  before(async () => {
    test = await StoreCluster.start({ objectStoreMemory: 160 * MIB, nodes: [{ cpus: 2 }, { cpus: 2 }] });
  });
  after(async () => {
    await everythingIsFreed();
    await test.end();
  });
  const received = async (node: number): Promise<number> => (await figures(test.node(node))).receivedTotal;

  async function allIsFree(): Promise<void> {
    await eventually(async () => {
      expect(await availableResources()).to.deep.equal(await clusterResources());
      return true;
    }, "all resources are free");
  }

  it("run where these lie, which then don't travel", async () => {
    const piece = { seed: 1, length: 64 * MIB };
    using big = pieces.make.options(test.on(1)).remote(piece);
    using small = pieces.make.options(test.on(0)).remote({ seed: 2, length: MIB });
    await get(small);
    await get(pieces.check.options(test.on(1)).remote(big, piece));
    await allIsFree();
    const before = [await received(0), await received(1)];
    const refs = Array.from({ length: 2 }, () => pieces.check.options({ cpus: 0.25 }).remote(big, piece));
    expect(new Set(await get(refs))).to.deep.equal(new Set([test.node(1).node]));
    await allIsFree();
    const both = pieces.checkAll.remote([piece, { seed: 2, length: MIB }], big, small);
    expect(await get(both)).to.equal(65 * MIB);
    expect((await received(0)) - (before[0] ?? 0)).to.equal(0);
    expect((await received(1)) - (before[1] ?? 0)).to.be.at.most(2 * MIB);
  });

  it("run elsewhere when there is no room, and where the user says", async () => {
    const [log, go] = [test.file("log"), test.file("go")];
    const piece = { seed: 3, length: 4 * MIB };
    using here = pieces.make.options(test.on(1)).remote(piece);
    const held: ObjectRef[] = [0, 1].map((id) => work.options(test.on(1)).remote({ id, log, until: go }));
    await eventually(() => readFileSync(log, "utf8").split("\n").length === 3, "both run");
    expect(await get(pieces.check.remote(here, piece))).to.equal(test.node(0).node);
    writeFileSync(go, "");
    await get(held);
    using there = pieces.make.options(test.on(1)).remote(piece);
    expect(await get(pieces.check.options(test.on(0)).remote(there, piece))).to.equal(test.node(0).node);
  });
});
