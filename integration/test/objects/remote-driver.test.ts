/** A program on a machine without a node: its objects lie on one that has some, and it reads them from there. */
import { expect } from "chai";
import { get, put } from "stingray";
import { testCluster, type TestCluster } from "stingray/testing";
import { MIB, aliveNodes, everythingIsFreed, listing, total } from "../support/stores.js";
import { content, expectContent } from "./programs/content.js";
import * as pieces from "./programs/pieces.js";

describe("a program without a node on its machine", function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster({ nodes: 2, objectStoreMemory: 192 * MIB, driver: "remote" });
  });
  after(async () => {
    await everythingIsFreed();
    await cluster.end();
  });

  it("puts and gets 64 MiB, as itself and through tasks", async () => {
    const piece = { seed: 64, length: 64 * MIB };
    using ref = await put(content(piece));
    expect(await total("objects")).to.be.at.least(1);
    expectContent(await get(ref), piece);
    for (const { node } of await aliveNodes())
      expect(await get(pieces.check.options({ scheduling: { node } }).remote(ref, piece))).to.equal(node);
    using result = pieces.make.remote({ seed: 65, length: 64 * MIB });
    expectContent(await get(result), { seed: 65, length: 64 * MIB });
  });

  it("has small and large values as every other program", async () => {
    const refs = await Promise.all(
      Array.from({ length: 200 }, (_, seed) => put(content({ seed, length: seed * 1_000 }))),
    );
    for (const [seed, bytes] of (await get(refs)).entries())
      expectContent(bytes, { seed, length: seed * 1_000 });
    const held = await get(pieces.makeHeld.remote({ seed: 7, length: 3 * MIB }));
    expectContent(await get(held.ref), { seed: 7, length: 3 * MIB });
    const mine = await get(held.ref);
    mine.fill(1);
    expectContent(await get(held.ref), { seed: 7, length: 3 * MIB });
    await get(
      pieces.checkHeld.remote({ ref: refs[199] as pieces.Held["ref"] }, { seed: 199, length: 199_000 }),
    );
    held.ref.release();
    for (const ref of refs) ref.release();
  });

  it("can have several copies of what it puts", async () => {
    const piece = { seed: 11, length: 2 * MIB };
    using ref = await put(content(piece), { copies: 2 });
    for (const node of await aliveNodes())
      expect((await listing(node)).objects.map(({ object }) => object)).to.contain(ref.id);
    await get(pieces.check.remote(ref, piece));
  });
});
