import { expect } from "chai";
import { decode, encode } from "../../src/mod.js";

const back = (value: unknown): unknown => decode(encode(value).bytes());

/** An array that had this length has no slots for absent items. */
const LONGEST = 2 ** 32 - 1;

describe("values come back as they were", function () {
  this.timeout(20_000);

  const cases: [string, unknown][] = [
    ["undefined", undefined],
    ["null", null],
    ["true", true],
    ["false", false],
    ["0", 0],
    ["63, 64, 255, 256, 65535, 65536", [63, 64, 255, 256, 65535, 65536]],
    ["-1 and 32-bit limits", [-1, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, 2 ** 32]],
    ["large and small numbers", [Number.MAX_SAFE_INTEGER, Number.MIN_VALUE, 1.5, -1e300]],
    ["infinities", [Infinity, -Infinity]],
    ["bigints", [0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 63n, -(2n ** 200n), 2n ** 5000n]],
    [
      "strings",
      ["", "x", "a".repeat(31), "a".repeat(32), "a".repeat(85), "a".repeat(86), "a".repeat(70_000)],
    ],
    ["unicode", ["é", "日本語".repeat(20), "😀", "é".repeat(100), "\0\n\u{10ffff}"]],
    ["lone surrogates", ["\ud800", "a\udc00b", "\ud800".repeat(50)]],
    ["a plain object", { a: 1, b: { c: [1, 2, { d: "x" }] }, "": 0, "with space": 1, 5: 6 }],
    ["many properties", Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, i]))],
    ["rows of one shape", Array.from({ length: 50 }, (_, i) => ({ id: i, name: `n${i}` }))],
    ["names of built-ins", { constructor: 1, toString: 2, hasOwnProperty: 3 }],
    ["an array", [1, "two", [3], null, undefined]],
    ["a long array", Array.from({ length: 1000 }, (_, i) => i)],
    [
      "a Map",
      new Map<unknown, unknown>([
        ["a", 1],
        [{ k: 1 }, new Map([[1, 2]])],
      ]),
    ],
    ["a Set", new Set<unknown>([1, "a", { x: 1 }])],
    ["a Date", new Date(1234567890123)],
    ["an invalid Date", new Date(Number.NaN)],
    ["a RegExp", /a\/b(?<n>c)/giu],
    ["ArrayBuffer", new Uint8Array([1, 2, 3]).buffer],
    ["empty buffers", [new ArrayBuffer(0), new Uint8Array(0), Buffer.alloc(0)]],
    [
      "typed arrays",
      [
        new Int8Array([-1]),
        new Uint8Array([255]),
        new Uint8ClampedArray([9]),
        new Int16Array([-2]),
        new Uint16Array([7]),
        new Int32Array([-3]),
        new Uint32Array([8]),
        new Float32Array([1.5]),
        new Float64Array([Math.PI]),
        new BigInt64Array([-5n]),
        new BigUint64Array([5n]),
      ],
    ],
    ["large typed arrays", [new Float64Array(1000).fill(1.25), new Uint8Array(200_000).fill(3)]],
  ];
  for (const [name, value] of cases) {
    it(name, () => expect(back(value)).to.deep.equal(value));
  }

  it("NaN and -0", () => {
    const [nan, zero] = back([Number.NaN, -0]) as number[];
    expect(Number.isNaN(nan)).to.equal(true);
    expect(Object.is(zero, -0)).to.equal(true);
  });

  it("arrays that are empty but long take no memory, however many there are", () => {
    const lengths = Array.from({ length: 40 }, (_, i) => 30 * 2 ** 20 + i);
    const empty = (length: number): unknown[] => {
      const array: unknown[] = [];
      array.length = LONGEST;
      array.length = length;
      return array;
    };
    const bytes = encode(lengths.map(empty)).bytes().slice();
    expect(bytes.length).to.be.lessThan(500);
    const before = process.memoryUsage().rss;
    const value = decode(bytes) as unknown[][];
    expect(process.memoryUsage().rss - before).to.be.lessThan(100 * 2 ** 20);
    expect(value.map((array) => array.length)).to.deep.equal(lengths);
    expect(value.every((array) => Object.keys(array).length === 0)).to.equal(true);
  });

  it("nor do many short ones, and many gaps in one take no time", () => {
    const short = Array.from({ length: 20_000 }, (_, i) => {
      const array: unknown[] = [];
      array.length = LONGEST;
      array.length = 1001;
      array[1000] = i & 1;
      return array;
    });
    const bytes = encode(short).bytes().slice();
    short.length = 0;
    const before = process.memoryUsage().rss;
    const value = decode(bytes) as unknown[][];
    expect(process.memoryUsage().rss - before).to.be.lessThan(120 * 2 ** 20);
    expect(value.every((array, i) => array.length === 1001 && array[1000] === (i & 1))).to.equal(true);

    const gaps: unknown[] = [];
    for (let at = 500; at < 5_000_000; at += 900) gaps[at] = 1;
    const start = performance.now();
    expect((decode(encode(gaps).bytes()) as unknown[]).length).to.equal(gaps.length);
    expect(performance.now() - start).to.be.lessThan(3000);
  });

  it("arrays with long gaps are what they were, and can be filled", () => {
    const sparse: unknown[] = [1, 2];
    for (let at = 1000; at < 5_000_000; at += 5000) sparse[at] = at;
    const back = decode(encode(sparse).bytes()) as unknown[];
    expect([back.length, Object.keys(back)]).to.deep.equal([sparse.length, Object.keys(sparse)]);
    back.push("end");
    back[2] = 3;
    expect([back.slice(0, 3), back.at(-1), back.length, back[1000]]).to.deep.equal([
      [1, 2, 3],
      "end",
      sparse.length + 1,
      1000,
    ]);
  });

  it("holes stay holes, also billions of them", () => {
    // oxlint-disable-next-line no-sparse-arrays
    const small = back([, 1, , undefined, ,]) as unknown[];
    expect(small.length).to.equal(5);
    expect(Object.keys(small)).to.deep.equal(["1", "3"]);
    const huge: unknown[] = [];
    huge[5] = "five";
    huge[4_000_000_000] = "far";
    const huge2 = back(huge) as unknown[];
    expect(huge2.length).to.equal(4_000_000_001);
    expect(Object.keys(huge2)).to.deep.equal(["5", "4000000000"]);
    expect(huge2[4_000_000_000]).to.equal("far");
  });

  it("named properties of arrays, as matches have them", () => {
    const match = /(b)(?<x>c)/.exec("abc") as RegExpExecArray;
    const copy = back(match) as RegExpExecArray;
    expect([...copy]).to.deep.equal(["bc", "b", "c"]);
    expect([copy.index, copy.input, copy.groups?.["x"]]).to.deep.equal([1, "abc", "c"]);
  });

  it("objects without a prototype", () => {
    const value = Object.assign(Object.create(null) as object, { a: 1 });
    const copy = back(value) as object;
    expect(Object.getPrototypeOf(copy)).to.equal(null);
    expect({ ...copy }).to.deep.equal({ a: 1 });
  });

  it("boxed primitives", () => {
    // oxlint-disable-next-line no-new-wrappers
    const copy = back([new Number(-0), new String("s"), new Boolean(false), Object(5n)]) as object[];
    expect(copy.map((o) => Object.prototype.toString.call(o))).to.deep.equal([
      "[object Number]",
      "[object String]",
      "[object Boolean]",
      "[object BigInt]",
    ]);
    expect(Object.is(copy[0]?.valueOf(), -0)).to.equal(true);
    expect(copy.slice(1).map((o) => o.valueOf())).to.deep.equal(["s", false, 5n]);
  });

  it("Buffer as Buffer, DataView as DataView", () => {
    const [buffer, view] = back([Buffer.from("hello"), new DataView(new ArrayBuffer(8), 2, 4)]) as [
      Buffer,
      DataView,
    ];
    expect(Buffer.isBuffer(buffer)).to.equal(true);
    expect(buffer.toString()).to.equal("hello");
    expect(view).to.be.instanceOf(DataView);
    expect(view.byteLength).to.equal(4);
  });

  it("a __proto__ key is an ordinary key", () => {
    const evil = JSON.parse('{"__proto__": {"polluted": 1}, "a": 2}') as object;
    const wide = JSON.parse(
      `{"__proto__": {"polluted": 1}, ${Array.from({ length: 100 }, (_, i) => `"k${i}": 0`).join()}}`,
    ) as object;
    for (const value of [evil, wide]) {
      const copy = back(value) as Record<string, unknown>;
      expect(Object.getPrototypeOf(copy)).to.equal(Object.prototype);
      expect(Object.hasOwn(copy, "__proto__")).to.equal(true);
      expect(copy["polluted"]).to.equal(undefined);
    }
  });

  it("shared identity and cycles", () => {
    const shared = { x: 1 };
    const map = new Map<unknown, unknown>();
    const value: Record<string, unknown> = { a: shared, b: [shared, shared], map };
    value["self"] = value;
    map.set(map, value);
    for (let i = 0; i < 20; i++) value[`more${i}`] = { i, shared };
    const copy = back(value) as typeof value & { map: Map<unknown, unknown>; b: unknown[] };
    expect(copy["self"]).to.equal(copy);
    expect(copy.b[0]).to.equal(copy["a"]);
    expect(copy.b[1]).to.equal(copy["a"]);
    expect(copy.map.get(copy.map)).to.equal(copy);
    expect((copy["more19"] as { shared: unknown }).shared).to.equal(copy["a"]);
  });

  it("views that share memory still do, and only the bytes that they show are sent", () => {
    const memory = new ArrayBuffer(1 << 20);
    const value = {
      bytes: new Uint8Array(memory, 1, 15),
      floats: new Float64Array(memory, 8, 1),
      apart: new Uint8Array(memory, 500_000, 4),
      twice: [new Uint8Array(memory, 600_000, 4)],
    };
    value.twice.push(value.twice[0] as Uint8Array<ArrayBuffer>);
    const encoded = encode(value);
    expect(encoded.size).to.be.lessThan(1000);
    const copy = decode(encoded.bytes()) as typeof value;
    copy.floats[0] = 1;
    expect([...copy.bytes.subarray(7, 15)]).to.deep.equal([...new Uint8Array(Float64Array.of(1).buffer)]);
    expect(copy.bytes.buffer).to.equal(copy.floats.buffer);
    expect(copy.apart.buffer).not.to.equal(copy.bytes.buffer);
    expect(copy.twice[0]).to.equal(copy.twice[1]);
  });

  it("a buffer and its views stay together", () => {
    for (const size of [64, 5000, 100_000]) {
      const buffer = new ArrayBuffer(size);
      const bytes = encode({ view: new Uint16Array(buffer, 4, 2), buffer }).bytes();
      for (const views of [true, false]) {
        const copy = decode(bytes, { views }) as { view: Uint16Array; buffer: ArrayBuffer };
        expect(copy.buffer.byteLength).to.equal(size);
        expect(copy.view.buffer).to.equal(copy.buffer);
        expect(copy.view.byteOffset).to.equal(4);
      }
    }
  });

  it("large buffers are aligned to 64 bytes, and are views if asked for, from 64 KiB on", () => {
    const value = {
      small: new Uint8Array(2000).fill(1),
      large: new Float64Array(8192).fill(2),
      odd: Buffer.alloc(65_537, 3),
    };
    const encoded = encode(value);
    const target = new Uint8Array(encoded.size + 10);
    encoded.writeTo(target);
    expect(target.subarray(0, encoded.size)).to.deep.equal(encoded.bytes());
    const copy = decode(target.subarray(0, encoded.size), { views: true }) as typeof value;
    expect(copy).to.deep.equal(value);
    expect(copy.large.buffer).to.equal(target.buffer);
    expect(copy.odd.buffer).to.equal(target.buffer);
    expect(copy.small.buffer).not.to.equal(target.buffer);
    expect(copy.large.byteOffset % 64).to.equal(0);
    expect(copy.odd.byteOffset % 64).to.equal(0);
    const own = decode(target.subarray(0, encoded.size)) as typeof value;
    expect(own.large.buffer).not.to.equal(target.buffer);
  });

  it("what is decoded later is not changed by what is encoded next", () => {
    const first = encode({ text: "first", bytes: new Uint8Array(10).fill(1) }).bytes();
    for (let i = 0; i < 5000; i++) encode({ text: "another", bytes: new Uint8Array(10).fill(2), i });
    expect(decode(first)).to.deep.equal({ text: "first", bytes: new Uint8Array(10).fill(1) });
  });

  it("what user code encodes while it is being encoded does not mix", () => {
    const value = {
      before: 1,
      get nested(): unknown {
        return decode(encode({ inner: [1, 2, 3] }).bytes());
      },
      after: "x",
    };
    expect(back(value)).to.deep.equal({ before: 1, nested: { inner: [1, 2, 3] }, after: "x" });
  });
});
