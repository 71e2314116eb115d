import { readdirSync } from "node:fs";
import { crc32 } from "node:zlib";
import { expect } from "chai";
import { InvalidArgumentError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { encode, type Arrival } from "../../src/mod.js";
import { Ranges } from "../../src/node/ranges.js";
import { MiB, Node, taken } from "../helpers/node.js";

describe("a node's store: objects that this process fills", function () {
  this.timeout(20_000);

  let node: Node;
  beforeEach(async () => {
    node = await Node.open({ capacity: 16 * MiB });
  });
  afterEach(() => node.close());

  const value = encode(new Uint8Array(5 * MiB).fill(7)).bytes();
  const create = (object: string) =>
    node.store.create({ object, size: value.length, client: "agent", role: "copy" });

  it("takes the bytes in any order, straight into the file, and serves what is there meanwhile", async () => {
    const { store } = node;
    const room = await create("obj.1.0");
    const arrival = store.arrival("obj.1.0");
    expect(store.arrival("obj.1.0", "agent")).to.equal(arrival);
    expect(store.arrival("obj.1.0", "other")).to.equal(undefined);
    if (arrival === undefined) return expect.fail("there is none");
    const step = 300_001;
    const starts = Array.from({ length: Math.ceil(value.length / step) }, (_, i) => i * step).reverse();
    for (const at of starts) {
      const length = Math.min(step, value.length - at);
      // Every second one as it is done where files can't be mapped.
      if (arrival.mapped && at % 2 === 0) {
        arrival.window(at, length).set(value.subarray(at, at + length));
        arrival.arrived(at, length);
      } else arrival.write(at, value.subarray(at, at + length));
    }
    if (arrival.mapped) {
      expect(
        Buffer.compare(arrival.window(step - 5000, 10_000), value.subarray(step - 5000, step + 5000)),
      ).to.equal(0);
    }
    expect([store.has("obj.1.0"), node.client.read("obj.1.0")]).to.deep.equal([false, undefined]);
    expect(arrival.finish(crc32(value))).to.equal(true);
    expect(arrival.finish()).to.equal(false);
    const shared = await store.bytes("obj.1.0");
    expect(shared && Buffer.compare(shared.bytes, value)).to.equal(0);
    shared?.release();
    expect([store.used, store.stat("obj.1.0")?.copy]).to.deep.equal([taken(5 * MiB), true]);
    expect(readdirSync(store.dir)).to.not.include(`.seg.${room.file}`);
    expect(() => arrival.write(0, value)).to.throw(InvalidArgumentError);
  });

  it("what is given up, or freed meanwhile, leaves nothing", async () => {
    const { store } = node;
    await create("obj.1.0");
    const first = store.arrival("obj.1.0");
    first?.close();
    first?.close();
    expect(first?.finish()).to.equal(false);
    await create("obj.2.0");
    const second = store.arrival("obj.2.0");
    store.free(["obj.2.0"]);
    expect(second?.freed).to.equal(true);
    second?.write(0, value);
    expect(second?.finish()).to.equal(false);
    await create("obj.3.0");
    const third = store.arrival("obj.3.0");
    store.clientDied("agent");
    expect(() => third?.write(0, value)).to.throw(InvalidArgumentError);
    third?.close();
    expect(store.arrival("obj.9.0")).to.equal(undefined);
    await eventually(() => store.used === 0 && store.count === 0, "all is given back");
    await eventually(() => node.inMemory === store.figures().warm, "the files are gone");
  });

  for (const end of ["close", "finish"] as const) {
    it(`a file whose windows are still read is not used for others: ${end}`, async function () {
      const { store } = node;
      const { file } = await create("obj.1.0");
      const arrival = store.arrival("obj.1.0");
      if (arrival?.mapped !== true) return this.skip();
      for (let at = 0; at < value.length; at += MiB) {
        const piece = value.subarray(at, at + MiB);
        arrival.window(at, piece.length).set(piece);
        arrival.arrived(at, piece.length);
      }
      const window = arrival.window(MiB, MiB);
      expect([arrival.retain(), arrival.retain()]).to.deep.equal([true, true]);
      arrival[end]();
      expect(arrival.retain(), "it has ended").to.equal(false);
      store.free(["obj.1.0"]);
      expect([store.used, store.figures().lingering]).to.deep.equal([taken(5 * MiB), taken(5 * MiB)]);
      arrival.release();
      await node.put("next.0", 5 * MiB, { fill: 99 });
      expect(
        (await node.store.create({ object: "b.0", size: 5, client: "a", role: "copy" })).file,
      ).not.to.equal(file);
      expect(Buffer.compare(window, value.subarray(MiB, 2 * MiB))).to.equal(0);
      store.free(["next.0"]);
      store.abandon("b.0", "a");
      arrival.release();
      await eventually(() => store.figures().lingering === 0, "nobody makes pages");
      expect(store.used).to.equal(0);
      await node.agrees();
    });
  }

  it("is not complete while bytes of it are missing, whoever says so", async () => {
    const { store } = node;
    const half = value.length / 2;
    const cases: ((arrival: Arrival) => void)[] = [
      () => {},
      (arrival) => arrival.write(0, value.subarray(0, value.length - 1)),
      (arrival) => {
        arrival.write(0, value.subarray(0, half - 1));
        arrival.write(half, value.subarray(half));
      },
      (arrival) => {
        arrival.write(0, value);
        if (arrival.mapped) arrival.window(0, MiB);
      },
    ];
    const whole: (boolean | undefined)[] = [];
    for (const work of cases) {
      await create("obj.1.0");
      const arrival = store.arrival("obj.1.0");
      if (arrival !== undefined) work(arrival);
      whole.push(arrival?.finish());
      expect(store.has("obj.1.0")).to.equal(whole.at(-1));
    }
    expect(whole).to.deep.equal([false, false, false, true]);
    store.free(["obj.1.0"]);
    await eventually(() => store.used === 0, "all is given back");
    await store.create({ object: "empty.0", size: 0, client: "agent", role: "copy" });
    expect(store.arrival("empty.0")?.finish()).to.equal(true);
  });

  it("tells who writes to it that it has ended, before anything is made of it", async () => {
    const { store } = node;
    await create("obj.1.0");
    const arrival = store.arrival("obj.1.0");
    const told: boolean[] = [];
    arrival?.whenEnded(() => told.push(store.has("obj.1.0")));
    arrival?.write(0, value);
    arrival?.finish();
    arrival?.whenEnded(() => told.push(store.has("obj.1.0")));
    expect(told).to.deep.equal([false, true]);
  });

  it("a copy has the tag of its source, and what was uploaded one of its own", async () => {
    const { store } = node;
    const tags: (string | undefined)[] = [];
    for (const [i, role] of (["copy", "copy", "primary"] as const).entries()) {
      const object = `obj.${i}.0`;
      await store.create({ object, size: value.length, client: "agent", role });
      const arrival = store.arrival(object);
      if (i === 0) arrival?.tagged("0123456789abcdef");
      arrival?.write(0, value);
      arrival?.finish();
      const shared = await store.bytes(object);
      tags.push(shared?.tag);
      shared?.release();
    }
    expect(tags.slice(0, 2)).to.deep.equal(["0123456789abcdef", undefined]);
    expect(tags[2]).to.match(/^[0-9a-f]{16}$/);
  });

  it("works on disk as well", async () => {
    const { store } = node;
    const { size } = encode(new Uint8Array(20 * MiB));
    const room = await store.create({ object: "obj.1.0", size, client: "agent", role: "copy" });
    expect(room.file).to.equal(0);
    const arrival = store.arrival("obj.1.0");
    const piece = new Uint8Array(MiB).fill(3);
    for (let at = 0; at < size; at += MiB) arrival?.write(at, piece.subarray(0, Math.min(MiB, size - at)));
    expect(arrival?.finish()).to.equal(true);
    expect(await node.get("obj.1.0")).to.equal(3);
    expect(store.stat("obj.1.0")?.state).to.equal("disk");
  });

  it("ranges in any order are one when nothing is missing between them", () => {
    let seed = 7;
    const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
    for (let round = 0; round < 200; round++) {
      const size = 1 + random(60);
      const ranges = new Ranges();
      const there = new Set<number>();
      for (let i = 0; i < 30; i++) {
        const from = random(size);
        const to = Math.min(size, from + random(8));
        ranges.add(from, to);
        for (let at = from; at < to; at++) there.add(at);
        const first = Array.from({ length: size + 1 }, (_, at) => at).find((at) => !there.has(at)) as number;
        expect([ranges.covers(first), ranges.covers(first + 1)]).to.deep.equal([true, false]);
      }
    }
  });

  it("bytes beyond the object, or before it, are refused", async () => {
    await create("obj.1.0");
    const arrival = node.store.arrival("obj.1.0");
    expect(() => arrival?.window(value.length - 10, 11)).to.throw(InvalidArgumentError);
    expect(() => arrival?.write(-1, new Uint8Array(5))).to.throw(InvalidArgumentError);
    arrival?.close();
  });
});
