import { readFileSync, readdirSync, statSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { InvalidArgumentError, ObjectLostError, type StoreRoom } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { StoreClient, decode, encode, type Encoded, type StoredBytes } from "../../src/mod.js";
import { HEADER_BYTES, readHeader } from "../../src/shm/header.js";
import { gc } from "../helpers/gc.js";
import { place, type Place } from "../helpers/place.js";
import { Rooms } from "../helpers/rooms.js";

const MiB = 1 << 20;
const mapped = process.platform === "linux" ? it : it.skip;

describe("a writer of the store", function () {
  this.timeout(20_000);

  let at: Place;
  let rooms: Rooms;
  let client: StoreClient;
  /** Holds no locks, so that files can be used again at once. */
  let copying: StoreClient;

  beforeEach(async () => {
    at = place();
    rooms = new Rooms(at.path);
    client = await StoreClient.open({ dir: rooms.dir });
    copying = await StoreClient.open({ dir: rooms.dir, maxMaps: 0 });
  });
  afterEach(() => {
    client.close();
    copying.close();
    rooms.close();
    at.leave();
  });

  function value(object: string): unknown {
    return decode((copying.read(object) as StoredBytes).bytes);
  }
  /** The same file again and again, as `obj.<n>.0`. */
  function* reused(size: number): Generator<[StoreRoom, string]> {
    yield [rooms.create("obj.0.0", size), "obj.0.0"];
    for (let n = 1; ; n++) yield [rooms.reuse(`obj.${n - 1}.0`, `obj.${n}.0`) as StoreRoom, `obj.${n}.0`];
  }

  it("a value of thousands of buffers is written whole", () => {
    const many = Array.from({ length: 3000 }, (_, i) => new Uint8Array(1100 + (i % 7)).fill(i));
    const encoded = encode(many);
    for (const [room, object] of reused(encoded.size)) {
      client.write(room, object, encoded);
      expect(value(object)).to.deep.equal(many);
      if (object === "obj.3.0") break;
    }
  });

  it("files are for this user only, and begin with a header", () => {
    const encoded = encode(new Uint8Array(100_000));
    client.write(rooms.create("obj.1.0", encoded.size), "obj.1.0", encoded);
    const path = join(rooms.dir, "obj.1.0");
    expect(statSync(path).mode & 0o777).to.equal(0o600);
    const { tag, ...header } = readHeader(readFileSync(path), path);
    expect(tag).to.match(/^[0-9a-f]{16}$/);
    expect(header).to.deep.equal({
      object: "obj.1.0",
      size: encoded.size,
      complete: true,
      crc: undefined,
    });
  });

  it("what a file had before is nowhere in the next object, nor between its parts", () => {
    const sizes = [900_000, 300_000, 700_001, 70_003];
    const room = reused(2 * MiB);
    for (const size of sizes) {
      // Regions of 1 KiB and more are aligned to 64, so that there are gaps.
      const encoded = encode([new Uint8Array(size).fill(0xee), new Uint8Array(1025).fill(0xee), "x"]);
      const [at, object] = room.next().value as [StoreRoom, string];
      client.write(at, object, encoded);
      const file = readFileSync(join(rooms.dir, object));
      expect(file.subarray(HEADER_BYTES, HEADER_BYTES + encoded.size).equals(encoded.bytes())).to.equal(true);
    }
  });

  mapped(
    "a warm file that comes again is written through a mapping, also when it is larger or smaller",
    () => {
      const counts: number[] = [];
      for (const [room, object] of reused(MiB)) {
        const n = Number(object.split(".")[1]);
        const bytes = new Uint8Array(MiB - (n % 3) * 200_000 - 1000).fill(n);
        client.write(room, object, encode(bytes));
        expect(value(object)).to.deep.equal(bytes);
        counts.push(client.writeMapCount);
        if (n === 5) break;
      }
      expect(counts).to.deep.equal([0, 1, 1, 1, 1, 1]);
    },
  );

  mapped(
    "another file of the same number, or one that shrank, is never written through the old mapping",
    () => {
      const encoded = encode(new Uint8Array(MiB).fill(1));
      const files = reused(encoded.size);
      for (let i = 0; i < 2; i++) client.write(...(files.next().value as [StoreRoom, string]), encoded);
      const [room] = files.next().value as [StoreRoom, string];
      expect(client.writeMapCount).to.equal(1);
      unlinkSync(room.path);
      const other = rooms.create("obj.9.0", encoded.size);
      client.write({ ...other, file: room.file, warm: true }, "obj.9.0", encoded);
      expect(value("obj.9.0")).to.deep.equal(new Uint8Array(MiB).fill(1));
    },
  );

  mapped("mappings for writing are bounded in number and bytes, and go with the client", async () => {
    const few = await StoreClient.open({ dir: rooms.dir, writeMaps: { maxMaps: 3, maxBytes: 5 * MiB } });
    const encoded = encode(new Uint8Array(1.5 * MiB).fill(1));
    for (let n = 0; n < 6; n++) few.write(rooms.create(`a.${n}`, encoded.size), `a.${n}`, encoded);
    for (let n = 0; n < 6; n++) {
      few.write(rooms.reuse(`a.${n}`, `b.${n}`) as StoreRoom, `b.${n}`, encoded);
      expect(few.writeMapCount).to.be.at.most(3);
    }
    expect(few.writeMapCount).to.equal(3);
    for (let n = 0; n < 6; n++)
      expect((few.read(`b.${n}`) as StoredBytes).bytes.subarray(-10)).to.deep.equal(
        new Uint8Array(10).fill(1),
      );
    few.close();
    expect(few.writeMapCount).to.equal(0);
    await eventually(() => (gc(), few.maps === 0), "the mappings of the reader are undone");
  });

  it("an object on disk is written beside its room, and read there", () => {
    const encoded = encode(new Uint8Array(MiB).fill(6));
    const room = rooms.onDisk("obj.1.0", encoded.size);
    client.write(room, "obj.1.0", encoded);
    expect(readdirSync(rooms.spill)).to.deep.equal(["obj.1.0"]);
    expect(rooms.names).to.deep.equal([]);
    const path = join(dirname(room.path), "obj.1.0");
    const stored = client.readSpan([path, 0, room.length], "obj.1.0", encoded.size) as StoredBytes;
    expect(decode(stored.bytes, { views: stored })).to.deep.equal(new Uint8Array(MiB).fill(6));
  });

  it("nothing is seen of an object before it is complete, nor of one that failed", () => {
    const encoded = encode(new Uint8Array(100_000));
    const failing: Encoded = {
      size: encoded.size,
      refs: [],
      bytes: () => encoded.bytes(),
      writeTo: (target) => encoded.writeTo(target),
      get parts(): readonly Uint8Array[] {
        return [...encoded.parts, null as unknown as Uint8Array];
      },
    };
    const room = rooms.create("obj.1.0", encoded.size);
    expect(() => client.write(room, "obj.1.0", failing)).to.throw(TypeError);
    expect(client.read("obj.1.0")).to.equal(undefined);
    const short: Encoded = { ...failing, parts: [new Uint8Array(10)] };
    expect(() => client.write(room, "obj.1.0", short)).to.throw(InvalidArgumentError, "was said to have");
    expect(client.read("obj.1.0")).to.equal(undefined);
    client.write(room, "obj.1.0", encoded);
    expect(value("obj.1.0")).to.deep.equal(new Uint8Array(100_000));
  });

  it("rooms that are none, too small or gone are refused", () => {
    const encoded = encode(new Uint8Array(100_000));
    const room = rooms.create("obj.1.0", encoded.size);
    const bad: StoreRoom[] = [
      { ...room, path: "/etc/passwd" },
      { ...room, path: join(rooms.dir, "obj.7.0") },
      { ...room, path: join(rooms.spill, ".obj.7.0"), file: 0 },
      { ...room, length: encoded.size },
    ];
    for (const room of bad) {
      expect(() => client.write(room, "obj.1.0", encoded)).to.throw(InvalidArgumentError);
    }
    unlinkSync(room.path);
    expect(() => client.write(room, "obj.1.0", encoded)).to.throw(ObjectLostError, "is gone");
    expect(() => client.write({ ...room, warm: true }, "obj.1.0", encoded)).to.throw(ObjectLostError);
    expect(rooms.names).to.deep.equal([]);
  });
});
