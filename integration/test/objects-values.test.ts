/** Values: large ones as views on shared memory and private to their reader, and classes that travel. */
import { expect } from "chai";
import { InvalidArgumentError, SerializationError, get, put, registerSerializer } from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import { makeNumbers } from "./fixtures/objects.js";
import { Point, Temperature, Unregistered, hide, mirror, norm, warmer } from "./fixtures/task-values.js";
import * as tasks from "./fixtures/tasks.js";
import { objectBytes } from "./support/object-bytes.js";

const MIB = 1024 * 1024;

describe("values", function () {
  this.timeout(20_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster({ objectStoreMemory: 256 * MIB });
  });
  after(() => test.end());

  describe("of 64 KiB and more", () => {
    it("survive the way in each direction, put, passed and returned", async () => {
      const array = Float64Array.from({ length: (5 * MIB) / 8 }, (_, i) => i);
      using ref = await put(array);
      using back = tasks.echo.remote(ref);
      using direct = tasks.echo.remote(array);
      for (const value of (await get([ref, back, direct])) as Float64Array[]) {
        expect(value).to.be.instanceOf(Float64Array).with.lengthOf(array.length);
        expect(
          Buffer.compare(
            Buffer.from(value.buffer, value.byteOffset, value.byteLength),
            Buffer.from(array.buffer),
          ),
        ).to.equal(0);
      }
      expect(await get(tasks.sum.remote(ref))).to.equal((array.length * (array.length - 1)) / 2);
    });

    it("keep the kinds of all typed arrays, buffers and the objects around them", async () => {
      const kinds = [
        Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
        Float32Array, Float64Array, BigInt64Array, BigUint64Array, DataView, ArrayBuffer,
      ] as const; // prettier-ignore
      const values = kinds.map((Kind) =>
        Kind === DataView || Kind === ArrayBuffer
          ? Kind === ArrayBuffer
            ? new ArrayBuffer(96 * 1024)
            : new DataView(new ArrayBuffer(96 * 1024))
          : new (Kind as typeof Float64Array)(96 * 1024),
      );
      expect(await get(tasks.kindOf.remote(...values))).to.deep.equal(kinds.map((Kind) => Kind.name));
      const mixed = {
        name: "mixed",
        parts: new Map([["a", new Float32Array(100_000).fill(0.5)]]),
        buffer: Buffer.alloc(70_000, 7),
      };
      using ref = await put(mixed);
      const back = await get(ref);
      expect(back.parts.get("a")?.[99_999]).to.equal(0.5);
      expect(Buffer.isBuffer(back.buffer)).to.equal(true);
      expect(back.buffer.equals(mixed.buffer)).to.equal(true);
    });

    it("are views: reading one many times takes the memory of one", async () => {
      using ref = await put(new Float64Array(MIB));
      const before = process.memoryUsage();
      const views = await get(Array.from({ length: 50 }, () => ref));
      expect(views.every((view) => view.length === MIB && view[MIB - 1] === 0)).to.equal(true);
      const after = process.memoryUsage();
      expect(after.heapUsed - before.heapUsed).to.be.below(50 * MIB);
      expect(await objectBytes()).to.be.below(12 * MIB);
    });

    it("are private: who writes into a view changes nothing for anybody else", async () => {
      using ref = await put(new Float64Array(MIB / 8).fill(1));
      const mine = await get(ref);
      mine.fill(7);
      expect(await get(tasks.scribble.remote(ref))).to.equal(-1);
      expect(await get(tasks.sum.remote(ref))).to.equal(MIB / 8);
      expect((await get(ref))[0]).to.equal(1);
      expect(mine[0]).to.equal(7);
    });

    it("can be read after their reference is gone", async () => {
      const ref = await put(new Float64Array(MIB / 8).fill(3));
      const view = await get(ref);
      ref.release();
      await eventually(async () => (await objectBytes()) === 0, "the object is freed");
      using _other = await put(new Float64Array(MIB / 8).fill(9));
      expect(view.every((x) => x === 3)).to.equal(true);
    });

    it("are aligned, whatever lies before them", async () => {
      for (let odd = 0; odd < 4; odd++) {
        using ref = await put({
          text: "x".repeat(odd),
          small: new Uint8Array(odd),
          array: new Float64Array(20_000).fill(odd),
        });
        const { array } = await get(ref);
        expect(array.byteOffset % 8).to.equal(0);
        expect(array[19_999]).to.equal(odd);
      }
    });

    it("may be strings and objects as well", async () => {
      const text = "ö".repeat(300_000);
      const list = Array.from({ length: 50_000 }, (_, i) => ({ i, half: i / 2 }));
      using textRef = await put(text);
      expect(await get(textRef)).to.equal(text);
      expect(await get(tasks.echo.remote(textRef))).to.equal(text);
      expect(await get(tasks.echo.remote(list))).to.deep.equal(list);
    });

    it("that nobody refers to any more do not fill the store, also when nobody releases them", async () => {
      let most = 0;
      for (let i = 0; i < 240; i++) {
        const value = await get(makeNumbers.remote(MIB / 8, i));
        if (value[0] !== i) throw new Error(`got ${value[0]} instead of ${i}`);
        if (i % 20 === 0) most = Math.max(most, await objectBytes());
      }
      expect(most).to.be.below(160 * MIB);
    });
  });

  describe("of classes", () => {
    it("travel with their fields and prototype once registered, without a call of the constructor", async () => {
      const made = Point.made;
      const back = await get(mirror.remote(new Point(3, 4)));
      expect(back).to.be.instanceOf(Point).and.include({ x: 4, y: 3 });
      expect(back.norm).to.equal(5);
      expect(Point.made).to.equal(made + 1);
      const [size, isPoint] = await get(norm.remote(await put(new Point(6, 8))));
      expect([size, isPoint]).to.deep.equal([10, true]);
    });

    it("travel as their codec says", async () => {
      const warm = await get(warmer.remote(new Temperature(273.15), 20));
      expect(warm).to.be.instanceOf(Temperature);
      expect(warm.celsius).to.be.closeTo(20, 1e-9);
    });

    it("are refused where nobody registered them, in either direction, with the path", async () => {
      const refused = await rejection(put({ list: [new Unregistered()] }));
      expect(refused).to.be.instanceOf(SerializationError);
      expect(refused.message).to.match(/value\.list\[0\].*Unregistered.*registerSerializer/s);
      const result = await rejection(get(hide.remote()));
      expect(result).to.be.instanceOf(SerializationError);
      expect(result.message).to.match(/^result\.list\[0\].*Unregistered/s);
    });

    it("can't take a name that another class has", () => {
      class Other {}
      expect(() => registerSerializer(Other, { name: "thermometer" })).to.throw(
        InvalidArgumentError,
        "thermometer",
      );
    });
  });

  it("of all other kinds arrive as they are", async () => {
    const cycle: { self?: unknown; list: number[] } = { list: [1] };
    cycle.self = cycle;
    const shared = { n: 1 };
    const value = {
      cycle,
      twice: [shared, shared],
      set: new Set([1, "a"]),
      date: new Date(5),
      pattern: /x+/gi,
      big: -(2n ** 70n),
      numbers: [NaN, -0, Infinity, 1e300],
      error: new RangeError("no", { cause: "because" }),
      holes: [1, , 3], // oxlint-disable-line no-sparse-arrays -- they must stay holes
      nothing: null,
      undefinedOne: undefined,
    };
    const back = (await get(tasks.echo.remote(value))) as typeof value;
    expect(back.cycle.self).to.equal(back.cycle);
    expect(back.twice[0]).to.equal(back.twice[1]);
    expect(back.set).to.deep.equal(value.set);
    expect(back.date).to.deep.equal(value.date);
    expect(String(back.pattern)).to.equal("/x+/gi");
    expect(back.big).to.equal(value.big);
    expect(back.numbers.map((n) => Object.is(n, -0) || n)).to.deep.equal([NaN, true, Infinity, 1e300]);
    expect(back.error).to.be.instanceOf(RangeError).with.property("cause", "because");
    expect(1 in back.holes).to.equal(false);
    expect("undefinedOne" in back).to.equal(true);
  });
});
