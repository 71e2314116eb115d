import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { InvalidArgumentError } from "@stingray/protocol";
import { NodeStore, Slab, StoreClient, decode, encode, type SlabBlock } from "../../src/mod.js";
import { place, type Place } from "../helpers/place.js";

const SLAB = 64 * 1024;

(process.platform === "linux" ? describe : describe.skip)("a slab", function () {
  this.timeout(20_000);

  let at: Place;
  let store: NodeStore;
  let slab: Slab;

  beforeEach(async () => {
    at = place();
    store = await NodeStore.open({ dir: join(at.path, "node"), capacity: 1 << 20 });
    slab = Slab.create({ dir: store.dir, name: "w1", slabBytes: SLAB });
  });
  afterEach(async () => {
    slab.close();
    expect(readdirSync(store.dir)).to.deep.equal([".owner"]);
    await store.close();
    at.leave();
  });

  const allocate = (size: number): SlabBlock => slab.allocate(size) as SlabBlock;

  it("what is written into a block can be read through its file", async () => {
    const client = await StoreClient.open({ dir: store.dir });
    const encoded = encode({ hello: "world" });
    allocate(5);
    const block = allocate(encoded.size);
    encoded.writeTo(block.view);
    expect(block.offset % 64).to.equal(0);
    const bytes = client.readBlock(block.path, block.offset, block.size) as Uint8Array;
    expect(decode(bytes)).to.deep.equal({ hello: "world" });
  });

  it("blocks never overlap while they live, whatever is freed in between", () => {
    const live = new Map<SlabBlock, number>();
    let seed = 1;
    for (let round = 0; round < 5000; round++) {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      if (live.size > 40 || (live.size > 0 && seed % 3 === 0)) {
        const [block, mark] = [...live][seed % live.size] as [SlabBlock, number];
        expect(block.view.every((byte) => byte === mark)).to.equal(true);
        live.delete(block);
        slab.free(block);
      } else {
        const block = allocate(seed % 3000);
        block.view.fill(round % 251);
        live.set(block, round % 251);
      }
    }
    expect(slab.live).to.equal(live.size);
    for (const block of live.keys()) slab.free(block);
    expect(slab.live).to.equal(0);
    expect(slab.capacity).to.be.at.most(3 * SLAB);
  });

  it("an emptied slab is used again: steady use takes no more memory", () => {
    for (let round = 0; round < 1000; round++) slab.free(allocate(10_000));
    expect(slab.capacity).to.equal(SLAB);
    const first = allocate(100);
    slab.free(first);
    slab.free(first);
    expect(allocate(100).offset).to.equal(first.offset);
    expect(slab.live).to.equal(1);
  });

  it("grows by another slab when one is full, and gives most back", () => {
    const blocks = Array.from({ length: 60 }, () => allocate(SLAB / 4));
    expect(slab.capacity).to.equal(15 * SLAB);
    for (const block of blocks) slab.free(block);
    expect(slab.capacity).to.be.at.most(3 * SLAB);
    expect(readdirSync(store.dir).filter((name) => name.startsWith("slab.")).length).to.be.at.most(3);
  });

  it("leaves large values to files, and bad options to their caller", () => {
    expect(slab.allocate(SLAB)).to.equal(undefined);
    expect(() => Slab.create({ dir: store.dir, name: "../x" })).to.throw(InvalidArgumentError);
    expect(() => Slab.create({ dir: store.dir, name: "x", slabBytes: 1.5 })).to.throw(InvalidArgumentError);
  });
});
