/** Large objects between nodes: they arrive whole and right, once per node, over whichever link. */
import { expect } from "chai";
import { get, put, type ObjectRef } from "stingray";
import { KIB, MIB, StoreCluster, everythingIsFreed, figures, listing } from "../support/stores.js";
import { content, expectContent, type Piece } from "./programs/content.js";
import * as pieces from "./programs/pieces.js";
import type { Bytes } from "./programs/pieces.js";

const SIZES = [64 * KIB + 1, MIB - 1, 5 * MIB + 4_097, 12 * MIB];

for (const links of ["auto", "nats"] as const)
  describe(`large objects between nodes, links: ${links}`, function () {
    this.timeout(40_000);
    let test: StoreCluster;
    before(async () => {
      test = await StoreCluster.start({
        links,
        objectStoreMemory: 128 * MIB,
        nodes: [{ cpus: 4 }, { cpus: 4 }, { cpus: 2 }],
      });
    });
    after(async () => {
      await everythingIsFreed();
      await test.end();
    });
    const received = async (node: number): Promise<number> => (await figures(test.node(node))).receivedTotal;

    it("arrive as they were, in each direction and by way of a third", async () => {
      for (const [seed, length] of SIZES.entries()) {
        const piece = { seed, length };
        using mine = await put(content(piece));
        expect(await get(pieces.check.options(test.on(1)).remote(mine, piece))).to.equal(test.node(1).node);
        using theirs = pieces.make.options(test.on(1)).remote(piece);
        expectContent(await get(theirs), piece);
        expect(await get(pieces.check.options(test.on(2)).remote(theirs, piece))).to.equal(test.node(2).node);
        const held = await get(pieces.makeHeld.options(test.on(2)).remote(piece));
        expect(await get(pieces.checkHeld.options(test.on(1)).remote(held, piece))).to.equal(
          test.node(1).node,
        );
        expectContent(await get(held.ref), piece);
        held.ref.release();
      }
    });

    it("are copied once to a node, however many there want them at once, and not again later", async () => {
      const piece = { seed: 8, length: 24 * MIB };
      using ref = await put(content(piece));
      const before = await received(1);
      await get(Array.from({ length: 4 }, () => pieces.check.options(test.on(1)).remote(ref, piece)));
      await get(pieces.checkHeld.options(test.on(1)).remote({ ref }, piece));
      await get(pieces.check.options(test.on(1)).remote(ref, piece));
      expect((await received(1)) - before).to.be.within(piece.length, piece.length + MIB);
    });

    it("go to all nodes at the same time", async () => {
      const all: [Piece, ObjectRef<Bytes>][] = [];
      for (let seed = 20; seed < 24; seed++) {
        const piece = { seed, length: 6 * MIB + seed };
        all.push([piece, pieces.make.options(test.on(seed % 3)).remote(piece)]);
      }
      const checks = all.flatMap(([piece, ref]) =>
        [0, 1, 2].map((node) => pieces.check.options(test.on(node)).remote(ref, piece)),
      );
      expect(new Set(await get(checks)).size).to.equal(3);
      for (const [piece, ref] of all) {
        expectContent(await get(ref), piece);
        ref.release();
      }
    });

    it("are kept in as many copies as were asked for", async () => {
      const piece = { seed: 9, length: 3 * MIB };
      using ref = await put(content(piece), { copies: 3 });
      for (const node of test.nodes) {
        const here = (await listing(node)).objects.filter(({ object }) => object === ref.id);
        expect(here, node.node).to.have.length(1);
      }
      await get(pieces.check.options(test.on(2)).remote(ref, piece));
    });
  });
