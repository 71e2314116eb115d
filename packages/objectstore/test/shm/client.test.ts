import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { InvalidArgumentError, ObjectLostError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { StoreClient, decode, encode, type StoredBytes } from "../../src/mod.js";
import { HEADER_BYTES } from "../../src/shm/header.js";
import { mappedFiles } from "../../src/shm/native.js";
import { gc } from "../helpers/gc.js";
import { place, type Place } from "../helpers/place.js";
import { Reader } from "../helpers/reader.js";
import { Rooms } from "../helpers/rooms.js";

const MiB = 1 << 20;
const mapped = process.platform === "linux" ? it : it.skip;

describe("a reader of the store", function () {
  this.timeout(20_000);

  let at: Place;
  let rooms: Rooms;
  let client: StoreClient;
  let readers: Reader[];

  beforeEach(async () => {
    at = place();
    rooms = new Rooms(at.path);
    client = await StoreClient.open({ dir: rooms.dir });
    readers = [];
  });
  afterEach(async () => {
    client.close();
    await Promise.all(readers.map((reader) => reader.end()));
    rooms.close();
    at.leave();
  });

  function put(object: string, value: unknown): number {
    const encoded = encode(value);
    client.write(rooms.create(object, encoded.size), object, encoded);
    return encoded.size;
  }
  const read = (object: string): StoredBytes => client.read(object) as StoredBytes;
  function value(object: string): unknown {
    const stored = read(object);
    return decode(stored.bytes, { views: stored });
  }
  function reader(): Reader {
    const reader = new Reader();
    readers.push(reader);
    return reader;
  }

  it("reads what was written, small and large", () => {
    for (const size of [0, 10, 1000, 65_535, 65_536, MiB + 1]) {
      const expected = { bytes: new Uint8Array(size).fill(7), name: "x" };
      const length = put("obj.1.0", expected);
      const stored = client.read("obj.1.0", length) as StoredBytes;
      expect(stored.bytes.length).to.equal(length);
      expect(decode(stored.bytes, { views: stored })).to.deep.equal(expected);
    }
    expect(client.read("obj.2.0")).to.equal(undefined);
    expect(client.read("obj.1.0", 5), "another size").to.equal(undefined);
  });

  it("an object at a place in a larger file", () => {
    const length = put("obj.1.0", new Uint8Array(200_000).fill(4));
    const path = join(rooms.spill, "fused.1");
    const file = Buffer.alloc(8192 + 210_000);
    const source = readFileSync(join(rooms.dir, "obj.1.0"));
    source.copy(file, 8192);
    writeFileSync(path, file);
    const stored = client.readSpan([path, 8192, length + HEADER_BYTES], "obj.1.0", length) as StoredBytes;
    expect((decode(stored.bytes, { views: stored }) as Uint8Array).every((byte) => byte === 4)).to.equal(
      true,
    );
    expect(() => client.readSpan([path, 4096, length], "obj.1.0", length)).to.throw(
      ObjectLostError,
      "header",
    );
    expect(client.readSpan([path, 8192, length], "obj.2.0", length), "another object").to.equal(undefined);
  });

  it("does not take for an object what is not complete, cut off, or damaged", () => {
    const length = put("obj.1.0", new Uint8Array(100_000));
    const path = join(rooms.dir, "obj.1.0");
    const whole = readFileSync(path);
    const change = (change: (bytes: Buffer) => void): void => {
      const bytes = Buffer.from(whole);
      change(bytes);
      writeFileSync(path, bytes);
    };
    change((bytes) => (bytes[4] = 1));
    expect(client.read("obj.1.0", length), "still being written").to.equal(undefined);
    for (const damage of [
      (): void => truncateSync(path, HEADER_BYTES + length - 1),
      (): void => truncateSync(path, 20),
      (): void => change((bytes) => bytes.fill(0, 0, HEADER_BYTES)),
      (): void => change((bytes) => (bytes[9] = 0xff)),
    ]) {
      writeFileSync(path, whole);
      damage();
      let thrown: unknown;
      try {
        client.read("obj.1.0", length);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).to.be.instanceOf(ObjectLostError);
      expect((thrown as ObjectLostError).detail["reason"]).to.equal("damaged");
    }
  });

  it("a reading is noted in the times of the file", () => {
    put("obj.1.0", new Uint8Array(100_000));
    const path = join(rooms.dir, "obj.1.0");
    utimesSync(path, 1000, 1000);
    client.read("obj.1.0");
    expect(Date.now() - statSync(path).mtimeMs).to.be.within(-1000, 60_000);
  });

  it("odd ids, missing directories and closed clients are refused", async () => {
    for (const id of ["../x", "", ".owner", "a/b"]) {
      expect(() => client.read(id)).to.throw(InvalidArgumentError, "is no object id");
    }
    let thrown: unknown;
    await StoreClient.open({ dir: join(at.path, "none") }).catch((error: unknown) => (thrown = error));
    expect(thrown).to.be.instanceOf(InvalidArgumentError);
    client.close();
    expect(() => client.read("obj.1.0")).to.throw(InvalidArgumentError, "is closed");
  });

  mapped("two readers write into the same object: each sees its own, the file neither", async () => {
    put("obj.1.0", new Uint8Array(MiB).fill(1));
    const mine = value("obj.1.0") as Uint8Array;
    mine[12_345] = 5;
    const other = reader();
    await other.read(rooms.dir, "obj.1.0");
    expect(await other.tell({ type: "scribble" })).to.equal(9);
    expect(mine[12_345]).to.equal(5);
    expect(mine[12_346]).to.equal(1);
    expect((value("obj.1.0") as Uint8Array)[12_345]).to.equal(1);
    expect(
      readFileSync(join(rooms.dir, "obj.1.0"))
        .subarray(-MiB, -4096)
        .every((byte) => byte === 1),
    ).to.equal(true);
  });

  mapped("a file that is read is not used again, and what was read stays; then it is", async () => {
    put("obj.1.0", new Uint8Array(MiB).fill(3));
    const other = reader();
    await other.read(rooms.dir, "obj.1.0");
    expect(rooms.reuse("obj.1.0", "obj.2.0"), "while it is read").to.equal(undefined);
    expect(await other.tell({ type: "sum" })).to.equal(3 * MiB);
    expect(await other.tell({ type: "drop" }), "mappings left").to.equal(0);
    const room = rooms.reuse("obj.1.0", "obj.2.0");
    const encoded = encode(new Uint8Array(MiB).fill(4));
    client.write(room!, "obj.2.0", encoded);
    expect(value("obj.2.0")).to.deep.equal(new Uint8Array(MiB).fill(4));
    expect(client.read("obj.1.0")).to.equal(undefined);
  });

  mapped("the lock of a reader that is killed goes with it", async () => {
    put("obj.1.0", new Uint8Array(MiB).fill(3));
    const other = reader();
    await other.read(rooms.dir, "obj.1.0");
    expect(rooms.reuse("obj.1.0", "obj.2.0")).to.equal(undefined);
    await other.end();
    expect(rooms.reuse("obj.1.0", "obj.2.0")).not.to.equal(undefined);
  });

  mapped("an object whose file is being taken away is not here", () => {
    put("obj.1.0", new Uint8Array(MiB).fill(3));
    const fd = openSync(join(rooms.dir, "obj.1.0"), "r");
    expect(mappedFiles()?.lock(fd, "exclusive")).to.equal(true);
    expect(client.read("obj.1.0")).to.equal(undefined);
    closeSync(fd);
    expect(client.read("obj.1.0")).not.to.equal(undefined);
  });

  mapped("views share one mapping; small values are copied and hold nothing", () => {
    put("obj.1.0", { a: new Float64Array(100_000).fill(1), b: Buffer.alloc(100_000, 2) });
    const stored = read("obj.1.0");
    const { a, b } = decode(stored.bytes, { views: stored }) as { a: Float64Array; b: Buffer };
    expect(a.buffer).to.equal(stored.bytes.buffer);
    expect(b.buffer).to.equal(stored.bytes.buffer);
    expect(client.maps).to.equal(1);
    put("obj.2.0", new Uint8Array(1000));
    expect(read("obj.2.0").sub).to.equal(undefined);
    expect(client.maps).to.equal(1);
  });

  mapped(
    "a view outlives the file, the client and any garbage collection; then the mapping goes",
    async () => {
      put("obj.1.0", { whole: new Uint8Array(MiB).fill(3).buffer, part: new Uint8Array(MiB).fill(4) });
      let stored: StoredBytes | undefined = read("obj.1.0");
      let all = decode(stored.bytes, { views: stored }) as { whole?: ArrayBuffer; part?: Uint8Array };
      stored = undefined;
      let whole: Uint8Array | undefined = new Uint8Array(all.whole!);
      all = {};
      rooms.close();
      expect(existsSync(rooms.dir)).to.equal(false);
      for (let i = 0; i < 5; i++) {
        gc();
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(client.maps, "one of two buffers is left").to.equal(1);
      expect(whole.every((byte) => byte === 3)).to.equal(true);
      whole = undefined;
      await eventually(() => (gc(), client.maps === 0), "the mapping is undone");
      mkdirSync(rooms.dir);
    },
  );

  mapped("a part may be taken after everything else was let go, and nothing beyond the value", async () => {
    put("obj.1.0", new Uint8Array(MiB).fill(3).buffer);
    let sub = read("obj.1.0").sub;
    for (let i = 0; i < 5; i++) {
      gc();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(new Uint8Array(sub!(4096, 64))).to.deep.equal(new Uint8Array(64).fill(3));
    for (const [offset, length] of [
      [-1, 10],
      [0, MiB * 2],
      [MiB * 2, 1],
      [Number.NaN, 1],
    ] as const) {
      expect(() => sub!(offset, length)).to.throw(RangeError);
    }
    sub = undefined;
    await eventually(() => (gc(), client.maps === 0), "the mapping is undone");
  });

  mapped("many objects: mappings come and go, none is lost", async () => {
    put("obj.1.0", new Uint8Array(MiB).fill(3));
    for (let i = 0; i < 500; i++) expect(client.read("obj.1.0")?.bytes[MiB - 1]).to.equal(3);
    await eventually(() => (gc(), client.maps === 0), "all mappings are undone");
    expect(rooms.reuse("obj.1.0", "obj.2.0")).not.to.equal(undefined);
  });

  mapped(
    "large objects of one size one after the other: each is itself, and holds its own file",
    async () => {
      const SIZE = 5 * MiB;
      for (const n of [1, 2]) put(`obj.${n}.0`, new Uint8Array(SIZE).fill(n));
      const kept: Uint8Array[] = [];
      for (let i = 0; i < 12; i++) {
        const bytes = value(`obj.${1 + (i % 2)}.0`) as Uint8Array;
        expect([bytes[0], bytes[SIZE - 1], bytes.length]).to.deep.equal([1 + (i % 2), 1 + (i % 2), SIZE]);
        bytes.fill(100 + i, 0, MiB);
        kept.push(bytes);
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(client.maps).to.equal(12);
      expect(new Set(kept.map((bytes) => bytes.buffer)).size).to.equal(12);
      kept.forEach((bytes, i) => {
        expect([bytes[MiB - 1], bytes[MiB]]).to.deep.equal([100 + i, 1 + (i % 2)]);
      });
      expect(rooms.reuse("obj.1.0", "obj.3.0")).to.equal(undefined);
      kept.splice(0, 11);
      await eventually(() => (gc(), client.maps === 1), "all but one are undone");
      expect(rooms.reuse("obj.1.0", "obj.3.0")).not.to.equal(undefined);
      expect(rooms.reuse("obj.2.0", "obj.4.0"), "the one that is kept").to.equal(undefined);
      expect(kept[0]?.[SIZE - 1]).to.equal(2);
    },
  );

  mapped("above the limit of mappings values are copied", async () => {
    put("obj.1.0", new Uint8Array(MiB).fill(3));
    const few = await StoreClient.open({ dir: rooms.dir, maxMaps: 2 });
    const kept = Array.from({ length: 5 }, () => few.read("obj.1.0") as StoredBytes);
    expect(few.maps).to.equal(2);
    for (const { bytes } of kept) expect(bytes[MiB]).to.equal(3);
    few.close();
  });

  mapped("mapped memory can't be transferred away", () => {
    put("obj.1.0", new Uint8Array(MiB).fill(3));
    const { buffer } = read("obj.1.0").bytes as Uint8Array<ArrayBuffer>;
    try {
      structuredClone(buffer, { transfer: [buffer] });
    } catch (thrown) {
      expect((thrown as Error).name).to.equal("DataCloneError"); // newer Node refuses, older copies
    }
    expect(buffer.byteLength).to.be.greaterThan(MiB);
    expect(new Uint8Array(buffer)[MiB - 1]).to.equal(3);
  });
});
