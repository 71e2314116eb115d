/** Large values in other processes: views on one memory, private to each reader, whatever they are wrapped in. */
import { Table, tableFromArrays } from "apache-arrow";
import { expect } from "chai";
import { get, put } from "stingray";
import { KIB, MIB, StoreCluster, everythingIsFreed, figures, listing } from "../support/stores.js";
import * as kinds from "./programs/kinds.js";
import * as pieces from "./programs/pieces.js";

const ROWS = 100_000;

describe("large values of other processes", function () {
  this.timeout(30_000);
  let test: StoreCluster;
  before(async () => {
    test = await StoreCluster.start({ objectStoreMemory: 128 * MIB, cpus: 2 });
  });
  after(async () => {
    await everythingIsFreed();
    await test.end();
  });

  const table = (): Table =>
    tableFromArrays({
      id: Int32Array.from({ length: ROWS }, (_, i) => i),
      half: Float64Array.from({ length: ROWS }, (_, i) => i / 2),
    });

  for (const kind of kinds.KINDS)
    it(`come back as they were, and can be written without harm to others: ${kind}`, async () => {
      const value = kinds.sample(kind, 1);
      using ref = await put(value);
      expect(await get(kinds.scribble.remote(ref, kind))).to.equal(true);
      const [mine, other] = await get([ref, ref]);
      expect(kinds.bytesOf(mine)).to.have.length(kinds.bytesOf(value).length);
      expect(kinds.bytesOf(mine).every((byte) => byte === 1)).to.equal(true);
      expect(Object.prototype.toString.call(mine)).to.equal(Object.prototype.toString.call(value));
      expect(Buffer.isBuffer(mine)).to.equal(Buffer.isBuffer(value));
      kinds.bytesOf(mine).fill(9);
      expect(kinds.bytesOf(other).every((byte) => byte === 1)).to.equal(true);
      kinds.bytesOf(other).fill(8);
      expect(kinds.bytesOf(mine).every((byte) => byte === 9)).to.equal(true);
      expect(kinds.bytesOf(await get(ref)).every((byte) => byte === 1)).to.equal(true);
      expect(await get(kinds.allBytesAre.remote(ref, 1))).to.equal(true);
      // What was put is still its owner's: writing into it changes nothing either.
      kinds.bytesOf(value).fill(7);
      expect(await get(kinds.allBytesAre.remote(ref, 1))).to.equal(true);
    });

  it("keep their places in what they are nested in, and what they share", async () => {
    const shared = new Float32Array(64 * KIB).fill(2);
    const value = {
      list: [shared, { again: shared }],
      map: new Map<string, unknown>([
        ["part", shared.subarray(1_000, 40_000)],
        ["text", "x"],
      ]),
      buffer: Buffer.alloc(80 * KIB, 5),
      bare: new ArrayBuffer(96 * KIB),
    };
    using ref = await put(value);
    using echoed = kinds.echo.remote(ref);
    for (const back of (await get([ref, echoed])) as (typeof value)[]) {
      const [first, second] = back.list as [Float32Array, { again: Float32Array }];
      expect(first.length).to.equal(shared.length);
      expect(second.again).to.equal(first);
      const part = back.map.get("part") as Float32Array;
      expect(part.length).to.equal(39_000);
      expect(part.every((x) => x === 2)).to.equal(true);
      // They were views on one buffer, and still are.
      expect(part.buffer).to.equal(first.buffer);
      first[1_000] = 3;
      expect(part[0]).to.equal(3);
      expect(back.buffer.every((byte) => byte === 5)).to.equal(true);
      expect(back.bare.byteLength).to.equal(96 * KIB);
    }
  });

  it("may be Arrow tables, whose columns are views", async () => {
    using ref = await put({ name: "halves", table: table() });
    expect(await get(kinds.sumOfHalves.remote(ref))).to.equal(((ROWS - 1) * ROWS) / 4);
    const one = (await get(ref)).table;
    const two = (await get(ref)).table;
    expect(one).to.be.instanceOf(Table);
    expect(one.numRows).to.equal(ROWS);
    const halves = (of: Table): Float64Array => of.getChild("half")?.data[0]?.values as Float64Array;
    halves(one).fill(-1);
    expect(halves(two)[ROWS - 1]).to.equal((ROWS - 1) / 2);
    expect(await get(kinds.sumOfHalves.remote(ref))).to.equal(((ROWS - 1) * ROWS) / 4);
    using doubled = kinds.doubled.remote(ref);
    const back = await get(doubled);
    expect(back.getChild("half")?.get(3)).to.equal(3);
    expect(back.schema.fields.map(({ name }) => name)).to.deep.equal(["id", "half"]);
  });

  it("take the memory of one, however many read them", async () => {
    using ref = await put(new Float64Array((16 * MIB) / 8).fill(1));
    const { used } = await figures(test.node(0));
    const here = await get(Array.from({ length: 20 }, () => ref));
    const there = await get(Array.from({ length: 8 }, () => kinds.allBytesAre.remote(ref, 1)));
    expect(there.every((all) => !all)).to.equal(true); // bytes of a double
    expect(here.every((view) => view[view.length - 1] === 1)).to.equal(true);
    expect((await figures(test.node(0))).used).to.be.at.most(used + MIB);
  });

  it("are not read at all by who only passes them on", async () => {
    const piece = { seed: 5, length: 24 * MIB };
    using ref = pieces.make.remote(piece);
    let held: pieces.Held = { ref };
    for (let i = 0; i < 3; i++) held = await get(pieces.passOn.remote(held));
    await get(pieces.checkHeld.remote(held, piece));
    const { objects } = await listing(test.node(0));
    expect(objects.filter(({ size }) => size >= piece.length)).to.have.length(1);
    held.ref.release();
  });
});
