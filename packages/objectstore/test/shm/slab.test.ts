import { readFileSync } from "node:fs";
import { expect } from "chai";
import { InvalidArgumentError, ObjectStoreFullError, type StoreRoom } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { Slab, decode, encode, type SlabBlock } from "../../src/mod.js";
import { place, type Place } from "../helpers/place.js";
import { Rooms } from "../helpers/rooms.js";

const SLAB = 64 * 1024;

(process.platform === "linux" ? describe : describe.skip)("a slab", function () {
  this.timeout(20_000);

  let at: Place;
  let rooms: Rooms;
  let slab: Slab;
  let leases: number;
  /** Stands in for the agent's answer where a test needs another one. */
  let answer: (bytes: number) => Promise<StoreRoom>;

  beforeEach(() => {
    at = place();
    rooms = new Rooms(at.path);
    leases = 0;
    answer = (bytes) => rooms.lease(bytes);
    slab = Slab.create({
      lease: (bytes) => (leases++, answer(bytes)),
      giveBack: (files) => rooms.giveBack(files),
      slabBytes: SLAB,
    });
  });
  afterEach(async () => {
    slab.close();
    await eventually(() => rooms.leased.size === 0, "all leases are given back");
    expect(rooms.names).to.deep.equal([]);
    rooms.close();
    at.leave();
  });

  async function allocate(size: number): Promise<SlabBlock> {
    for (;;) {
      const block = slab.allocate(size);
      if (block !== undefined) return block;
      await slab.ready(size);
    }
  }

  it("asks for nothing before it is needed, and keeps what is written", async () => {
    expect(slab.allocate(5)).to.equal(undefined);
    expect(leases).to.equal(0);
    const encoded = encode({ hello: "world" });
    await allocate(5);
    const block = await allocate(encoded.size);
    encoded.writeTo(block.view);
    expect(block.offset % 64).to.equal(0);
    expect(block.size).to.equal(encoded.size);
    expect(decode(block.view)).to.deep.equal({ hello: "world" });
    const room = [...rooms.leased.values()][0] as StoreRoom;
    const bytes = readFileSync(room.path).subarray(block.offset, block.offset + block.size);
    expect(decode(bytes)).to.deep.equal({ hello: "world" });
  });

  it("all pages of a slab exist before it is written", async () => {
    await slab.ready(1);
    const room = [...rooms.leased.values()][0] as StoreRoom;
    expect(readFileSync(room.path).length).to.be.at.least(SLAB);
    expect(slab.capacity).to.equal(SLAB);
  });

  it("blocks never overlap while they live, whatever is freed in between", async () => {
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
        const block = await allocate(seed % 3000);
        block.view.fill(round % 251);
        live.set(block, round % 251);
      }
    }
    expect(slab.live).to.equal(live.size);
    for (const block of live.keys()) slab.free(block);
    expect(slab.live).to.equal(0);
    await eventually(() => rooms.leased.size <= 2, "what was asked for ahead is here");
    expect(slab.capacity).to.be.at.most(2 * SLAB);
  });

  it("an emptied slab is used again: steady use takes no more memory", async () => {
    for (let round = 0; round < 1000; round++) slab.free(await allocate(10_000));
    expect(leases).to.equal(1);
    const first = await allocate(100);
    slab.free(first);
    slab.free(first);
    expect((await allocate(100)).offset).to.equal(first.offset);
    expect(slab.live).to.equal(1);
  });

  it("grows by another slab when one is full, and gives all but a spare back", async () => {
    const blocks: SlabBlock[] = [];
    for (let i = 0; i < 60; i++) blocks.push(await allocate(SLAB / 4));
    expect(slab.capacity).to.be.within(15 * SLAB, 16 * SLAB);
    for (const block of blocks) slab.free(block);
    await eventually(() => rooms.leased.size <= 2, "the rest is given back");
    expect(slab.capacity).to.be.at.most(2 * SLAB);
  });

  it("the next slab is asked for when half of one is used, so that a steady writer never waits", async () => {
    await slab.ready(1);
    for (let i = 0; i < 40; i++) {
      expect(slab.allocate(SLAB / 16 - 64), `block ${i}`).not.to.equal(undefined);
      const before = leases;
      await eventually(() => before === leases || slab.capacity > before * SLAB, "the next one is there");
      await new Promise((resolve) => setImmediate(resolve));
      if (i % 16 > 8) await eventually(() => slab.capacity === leases * SLAB, "the next one is there");
    }
  });

  it("all that wait share one lease", async () => {
    await Promise.all(Array.from({ length: 20 }, () => slab.ready(100)));
    expect(leases).to.equal(1);
  });

  it("a refused lease is told to those who wait, asked again by the next, and not by every put", async () => {
    await slab.ready(1);
    const full = new ObjectStoreFullError("full");
    answer = () => Promise.reject(full);
    const allocated: SlabBlock[] = [];
    for (;;) {
      const block = slab.allocate(1000);
      if (block === undefined) break;
      allocated.push(block);
      await Promise.resolve();
    }
    expect(leases, "one ahead").to.equal(2);
    let thrown: unknown;
    await slab.ready(1000).catch((error: unknown) => (thrown = error));
    expect(thrown).to.equal(full);
    answer = (bytes) => rooms.lease(bytes);
    await slab.ready(1000);
    expect(slab.allocate(1000)).not.to.equal(undefined);
    expect(allocated.length).to.be.greaterThan(50);
  });

  it("a leased file that is not there is an error, and is given back", async () => {
    answer = async (bytes) => {
      const room = await rooms.lease(bytes);
      return { ...room, path: `${room.path}x` };
    };
    let thrown: unknown;
    await slab.ready(1).catch((error: unknown) => (thrown = error));
    expect(thrown).to.be.instanceOf(Error);
    expect(rooms.leased.size).to.equal(0);
  });

  it("closing while a lease is under way gives it back when it comes", async () => {
    let come!: () => void;
    answer = async (bytes) => {
      await new Promise<void>((resolve) => (come = resolve));
      return rooms.lease(bytes);
    };
    const waiting = slab.ready(1).catch((error: unknown) => error);
    slab.close();
    come();
    expect(await waiting).to.be.instanceOf(InvalidArgumentError);
    expect(rooms.leased.size).to.equal(0);
    expect(slab.allocate(1)).to.equal(undefined);
    expect(slab.capacity).to.equal(0);
  });

  it("a view that is held too long is no danger: not to the process, not to others", async () => {
    const block = await allocate(1000);
    block.view.fill(7);
    slab.free(block);
    slab.close();
    expect(block.view[0]).to.equal(0);
    block.view.fill(8);
    expect(block.view[999]).to.equal(8);
  });

  it("leaves large values to files, and bad options to their caller", async () => {
    expect(slab.takes(SLAB)).to.equal(false);
    expect(slab.allocate(SLAB)).to.equal(undefined);
    await slab.ready(SLAB);
    expect(leases).to.equal(0);
    const options = { lease: answer, giveBack: (): void => {} };
    expect(() => Slab.create({ ...options, slabBytes: 1.5 })).to.throw(InvalidArgumentError);
  });
});
