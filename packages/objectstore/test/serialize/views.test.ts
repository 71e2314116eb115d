/** What comes back without a copy: whole ArrayBuffers, views of every kind, Arrow data; by address, in another process. */
import { expect } from "chai";
import {
  Dictionary,
  Field,
  FixedSizeList,
  Float32,
  Float64,
  Int32,
  List,
  type RecordBatch,
  Struct,
  Table,
  Utf8,
  makeData,
  makeTable,
  tableFromArrays,
  vectorFromArray,
} from "apache-arrow";
import { StoreClient, decode, encode, type StoredBytes } from "../../src/mod.js";
import { place, type Place } from "../helpers/place.js";
import { memoryOf, type Piece } from "../helpers/memory-of.js";
import { Reader } from "../helpers/reader.js";
import { Rooms } from "../helpers/rooms.js";

const KiB = 1024;
const LARGE = 200 * KiB;

const copies = (value: unknown): unknown => decode(encode(value).bytes());

/** A value as a `StoreClient` gives it, without the file. */
function stored(value: unknown): StoredBytes {
  const bytes = encode(value).bytes();
  const memory = new Uint8Array(bytes.length + 64);
  memory.set(bytes, 64);
  return {
    bytes: memory.subarray(64),
    sub(offset, length) {
      const part = memory.slice(64 + offset, 64 + offset + length).buffer;
      parts.push(part);
      return part;
    },
  };
}
let parts: ArrayBuffer[] = [];

describe("views on encoded values", () => {
  beforeEach(() => (parts = []));
  const back = <T>(value: T): T => {
    const from = stored(value);
    return decode(from.bytes, { views: from }) as T;
  };

  it("whole ArrayBuffers are parts of exactly their size, wherever they are in a value", () => {
    const value = {
      first: new Uint8Array(LARGE).fill(1).buffer,
      map: new Map([["b", [new Uint8Array(LARGE + 4 * KiB).fill(2).buffer]]]),
      small: new Uint8Array(100).fill(3).buffer,
    };
    const copy = back(value);
    expect(copy).to.deep.equal(value);
    expect(parts.map((part) => part.byteLength)).to.deep.equal([LARGE, LARGE + 4 * KiB]);
    expect(parts[0]).to.equal(copy.first);
  });

  it("a buffer and views on it share one part; the same buffer twice is one", () => {
    const buffer = new Uint8Array(LARGE).buffer;
    const value = { view: new Float64Array(buffer, 64, 100), buffer, again: buffer };
    const copy = back(value);
    expect(parts.length).to.equal(1);
    expect(copy.view.buffer).to.equal(copy.buffer);
    expect(copy.again).to.equal(copy.buffer);
    expect(copy.view.byteOffset).to.equal(64);
    copy.view[0] = 1;
    expect(new Float64Array(copy.buffer)[8]).to.equal(1);
  });

  it("without parts, whole buffers are copied and views are not", () => {
    const value = { buffer: new Uint8Array(LARGE).fill(1).buffer, view: new Uint8Array(LARGE).fill(2) };
    const { bytes } = stored(value);
    for (const views of [true, {}]) {
      const copy = decode(bytes, { views }) as typeof value;
      expect(copy).to.deep.equal(value);
      expect(copy.buffer).not.to.equal(bytes.buffer);
      expect(copy.view.buffer).to.equal(bytes.buffer);
    }
    const own = decode(bytes, { views: false }) as typeof value;
    expect(own.view.buffer).not.to.equal(bytes.buffer);
  });

  it("overlapping views share their memory again, of every element type, at their offsets", () => {
    const buffer = new ArrayBuffer(LARGE);
    const bytes = new Uint8Array(buffer).map((_, i) => i);
    new Uint8Array(buffer).set(bytes);
    const value = [
      new Int8Array(buffer, 3, 70_000),
      new Uint8ClampedArray(buffer, 5, 70_001),
      new Int16Array(buffer, 6, 40_000),
      new Uint16Array(buffer, 8, 40_000),
      new Int32Array(buffer, 12, 20_000),
      new Uint32Array(buffer, 16, 20_000),
      new Float32Array(buffer, 20, 20_000),
      new Float64Array(buffer, 24, 10_000),
      new BigInt64Array(buffer, 32, 10_000),
      new BigUint64Array(buffer, 40, 10_000),
      new DataView(buffer, 7, 70_003),
      Buffer.from(buffer, 9, 70_005),
    ];
    const copy = back(value);
    expect(parts.length).to.equal(0);
    const memory = new Set(copy.map((view) => view.buffer));
    expect(memory.size, "one memory").to.equal(1);
    copy.forEach((view, i) => {
      const from = value[i] as ArrayBufferView;
      expect(view.constructor).to.equal(from.constructor);
      const show = (v: ArrayBufferView): Buffer => Buffer.from(v.buffer, v.byteOffset, v.byteLength);
      expect(show(view).equals(show(from)), view.constructor.name).to.equal(true);
      expect(view.byteOffset - (copy[0] as ArrayBufferView).byteOffset).to.equal(from.byteOffset - 3);
    });
    expect(Buffer.isBuffer(copy.at(-1))).to.equal(true);
  });

  it("values that come back do not depend on how they are read", () => {
    const value = { a: new Uint8Array(LARGE).fill(1).buffer, b: [new Float32Array(LARGE)], c: "x" };
    expect(back(value)).to.deep.equal(copies(value));
  });
});

(process.platform === "linux" ? describe : describe.skip)("zero copy in another process", function () {
  this.timeout(20_000);

  let at: Place;
  let rooms: Rooms;
  let client: StoreClient;
  let reader: Reader;

  before(() => (reader = new Reader()));
  after(() => reader.end());
  beforeEach(async () => {
    at = place();
    rooms = new Rooms(at.path);
    client = await StoreClient.open({ dir: rooms.dir });
  });
  afterEach(() => {
    client.close();
    rooms.close();
    at.leave();
  });

  let made = 0;
  /** What another process reads, and where it lies there. */
  async function elsewhere(value: unknown): Promise<{ pieces: Piece[]; rows: string[]; object: string }> {
    const object = `obj.${++made}.0`;
    const encoded = encode(value);
    client.write(rooms.create(object, encoded.size), object, encoded);
    return { ...(await reader.read(rooms.dir, object)), object };
  }

  it("binary data of all kinds lies in the file, aligned to 64", async () => {
    const n = 70_000;
    const value = {
      buffer: new Uint8Array(n).buffer,
      bytes: new Uint8Array(n),
      nested: [[new Float64Array(n)], { x: new BigInt64Array(n) }],
      view: new DataView(new ArrayBuffer(n)),
      node: Buffer.alloc(n),
      small: new Uint8Array(10),
    };
    const { pieces, object } = await elsewhere(value);
    expect(pieces.map(({ bytes }) => bytes)).to.deep.equal([n, n, n * 8, n * 8, n, n, 10]);
    for (const piece of pieces.slice(0, -1)) {
      expect(piece.file).to.equal(object);
      expect(piece.align).to.equal(0);
    }
    expect(pieces.at(-1)?.file, "small ones are copies").to.equal("");
  });

  const large = Array.from({ length: 30_000 }, (_, i) => i);
  const rowsOf = (table: Table): string[] => table.toArray().map((row) => JSON.stringify(row));
  const tables: [string, () => Table][] = [
    ["plain columns", () => tableFromArrays({ a: Float64Array.from(large), b: Int32Array.from(large) })],
    [
      "text and absent values",
      () =>
        new Table({
          s: vectorFromArray(
            large.map((i) => (i % 3 === 0 ? null : `row ${i}`)),
            new Utf8(),
          ),
        }),
    ],
    [
      "dictionaries",
      () =>
        new Table({
          d: vectorFromArray(
            large.map((i) => `word ${i % 100}`),
            new Dictionary(new Utf8(), new Int32()),
          ),
        }),
    ],
    [
      "nested lists",
      () =>
        new Table({
          l: vectorFromArray(
            large.slice(0, 9000).map((i) => [[i, i + 1], [i * 2]]),
            new List(new Field("x", new List(new Field("y", new Float64())))),
          ),
          f: vectorFromArray(
            large.slice(0, 9000).map((i) => [i, i + 1]),
            new FixedSizeList(2, new Field("z", new Float32())),
          ),
        }),
    ],
    [
      "structs",
      () =>
        new Table({
          s: vectorFromArray(
            large.slice(0, 9000).map((i) => ({ a: i, b: `t${i}` })),
            new Struct([new Field("a", new Float64()), new Field("b", new Utf8())]),
          ),
        }),
    ],
    [
      "several batches",
      () => {
        const batches = [0, 1, 2].map(
          (k) => makeTable({ a: Float64Array.from(large, (i) => i + k) }).batches,
        );
        return new Table(batches.flat());
      },
    ],
    [
      "a part of a table",
      () => tableFromArrays({ a: Float64Array.from(large), b: Int32Array.from(large) }).slice(100, 20_000),
    ],
  ];
  for (const [what, make] of tables) {
    it(`an Arrow table of ${what} lies in the file`, async () => {
      const table = make();
      const { pieces, rows, object } = await elsewhere(table);
      expect(rows).to.deep.equal(rowsOf(table));
      const filled = pieces.filter(({ bytes }) => bytes > 0);
      expect(filled.length).to.be.greaterThan(0);
      for (const piece of filled) {
        expect(piece.file, `${piece.bytes} bytes`).to.equal(object);
        expect(piece.align % 8).to.equal(0);
      }
    });
  }

  it("record batches and vectors too", async () => {
    const values = Float64Array.from(large);
    const batch = makeTable({ a: values }).batches[0] as RecordBatch;
    for (const value of [batch, [vectorFromArray(values)], { d: [makeTable({ b: values })] }]) {
      const { pieces, object } = await elsewhere(value);
      expect(pieces.filter(({ bytes }) => bytes >= LARGE).map(({ file }) => file)).to.deep.equal([object]);
    }
    expect(makeData({ type: new Float64(), data: values }).length).to.equal(large.length);
  });

  it("a whole ArrayBuffer is the reader's own: it writes, nobody else sees it", async () => {
    const { object } = await elsewhere(new Uint8Array(LARGE).fill(1).buffer);
    const mine = client.read(object) as StoredBytes;
    const buffer = decode(mine.bytes, { views: mine }) as ArrayBuffer;
    expect(buffer.byteLength).to.equal(LARGE);
    expect(memoryOf(buffer)[0]?.file).to.equal(object);
    expect(await reader.tell({ type: "scribble" })).to.equal(9);
    expect(new Uint8Array(buffer).every((byte) => byte === 1)).to.equal(true);
    new Uint8Array(buffer).fill(7);
    expect(await reader.tell({ type: "sum" })).to.equal(9 * LARGE);
    const fresh = client.read(object) as StoredBytes;
    expect((decode(fresh.bytes) as ArrayBuffer).byteLength).to.equal(LARGE);
    expect(new Uint8Array(decode(fresh.bytes) as ArrayBuffer).every((byte) => byte === 1)).to.equal(true);
  });
});
