import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { InvalidArgumentError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { encode } from "../../src/mod.js";
import { KiB, MiB, Node, refused, taken } from "../helpers/node.js";

describe("a node's store: memory", function () {
  this.timeout(20_000);

  let node: Node;
  beforeEach(async () => {
    node = await Node.open({ capacity: 8 * MiB });
  });
  afterEach(() => node.close());

  it("counts what is reserved and what is there, down to zero", async () => {
    const { store } = node;
    const { size } = encode(new Uint8Array(100 * KiB).fill(1));
    const room = await store.create({ object: "obj.1.0", size, client: "w1", role: "primary" });
    expect([store.used, store.count, store.has("obj.1.0")]).to.deep.equal([room.length, 1, false]);
    expect(room.warm).to.equal(false);
    await node.put("obj.1.0", 100 * KiB);
    expect([store.used, store.count, store.has("obj.1.0")]).to.deep.equal([taken(100 * KiB), 1, true]);
    expect(store.stat("obj.1.0")).to.deep.equal({ size, sealed: true, state: "memory", copy: false });
    expect(await node.get("obj.1.0")).to.equal(1);
    store.free(["obj.1.0", "obj.1.0", "obj.9.0"]);
    expect([store.used, store.count, store.has("obj.1.0")]).to.deep.equal([0, 0, false]);
    expect(store.stat("obj.1.0")).to.equal(undefined);
    expect(await store.open("obj.1.0")).to.equal(undefined);
    await node.agrees();
  });

  it("uses a freed file again: the same number, warm, for the same size without a system call", async () => {
    const { store } = node;
    const first = await node.put("obj.1.0", MiB);
    store.free(["obj.1.0"]);
    expect(readdirSync(store.dir).sort()).to.deep.equal([".owner", `.seg.${first}`]);
    const room = await store.create({ object: "obj.2.0", size: MiB, client: "w1", role: "primary" });
    expect([room.file, room.warm]).to.deep.equal([first, true]);
    expect(node.client.read("obj.1.0")).to.equal(undefined);
  });

  it("gives a client the file back that it wrote itself, and grows or cuts one that nearly fits", async () => {
    const { store } = node;
    const files = [await node.put("obj.1.0", MiB, { by: "a" }), await node.put("obj.2.0", MiB, { by: "b" })];
    store.free(["obj.1.0", "obj.2.0"]);
    const again = [await node.put("obj.3.0", MiB, { by: "b" }), await node.put("obj.4.0", MiB, { by: "a" })];
    expect(again).to.deep.equal([files[1], files[0]]);
    store.free(["obj.3.0", "obj.4.0"]);
    const cut = await store.create({ object: "obj.5.0", size: 600 * KiB, client: "c", role: "primary" });
    expect(files).to.include(cut.file);
    expect([cut.length, statSync(cut.path).size, cut.warm]).to.deep.equal([604 * KiB, 604 * KiB, true]);
    const grown = await store.create({ object: "obj.6.0", size: 1200 * KiB, client: "c", role: "primary" });
    expect(files).to.include(grown.file);
    expect([grown.length, statSync(grown.path).size, grown.warm]).to.deep.equal([
      1204 * KiB,
      1204 * KiB,
      false,
    ]);
    await node.agrees();
  });

  it("keeps used and warm files together within the capacity", async () => {
    const { store } = node;
    for (let i = 0; i < 7; i++) await node.put(`obj.${i}.0`, MiB);
    store.free(Array.from({ length: 7 }, (_, i) => `obj.${i}.0`));
    expect(store.figures().warm).to.equal(7 * taken(MiB));
    await store.create({ object: "big.0", size: 6 * MiB, client: "w1", role: "primary" });
    expect(store.used + store.figures().warm).to.be.at.most(store.capacity);
    await node.agrees();
  });

  it("a recycled file never looks complete", async () => {
    const file = await node.put("obj.1.0", MiB);
    node.store.free(["obj.1.0"]);
    const room = await node.store.create({ object: "obj.1.0", size: MiB, client: "w2", role: "primary" });
    expect(room.file).to.equal(file);
    expect(node.store.seal("obj.1.0", MiB)).to.equal(false);
    expect(node.store.has("obj.1.0")).to.equal(false);
  });

  it("an object made again can be read until the new one is complete, also if its maker dies", async () => {
    const { store } = node;
    await node.put("obj.1.0", MiB, { fill: 1 });
    const encoded = encode(new Uint8Array(MiB).fill(2));
    const creation = { object: "obj.1.0", size: encoded.size, client: "w2", role: "primary" } as const;
    await store.create(creation);
    expect([store.used, await node.get("obj.1.0")]).to.deep.equal([2 * taken(MiB), 1]);
    store.clientDied("w2");
    expect([store.used, await node.get("obj.1.0")]).to.deep.equal([taken(MiB), 1]);
    await node.put("obj.1.0", MiB, { by: "w3", fill: 3 });
    expect([store.used, await node.get("obj.1.0")]).to.deep.equal([taken(MiB), 3]);
    await node.agrees();
  });

  it("two that make the same object at a time do not harm each other", async () => {
    const { store, client } = node;
    const value = (fill: number) => encode(new Uint8Array(MiB).fill(fill));
    const { size } = value(1);
    const rooms = await Promise.all(
      ["a", "b"].map((client) => store.create({ object: "obj.1.0", size, client, role: "primary" })),
    );
    client.write(rooms[0]!, "obj.1.0", value(1));
    client.write(rooms[1]!, "obj.1.0", value(2));
    expect(store.seal("obj.1.0", size)).to.equal(true);
    expect(store.seal("obj.1.0", size)).to.equal(true);
    expect(await node.get("obj.1.0")).to.equal(2);
    store.clientDied("a");
    store.free(["obj.1.0"]);
    expect([store.used, store.count]).to.deep.equal([0, 0]);
    await node.agrees();
  });

  it("the same client asking again gets the same room", async () => {
    const creation = { object: "obj.1.0", size: MiB, client: "a", role: "primary" } as const;
    expect(await node.store.create(creation)).to.deep.equal(await node.store.create(creation));
    expect(node.store.used).to.equal(MiB + 4 * KiB);
    node.store.abandon("obj.1.0", "a");
    expect([node.store.used, node.store.count]).to.deep.equal([0, 0]);
  });

  it("what is freed while it is written goes when its writer is done", async () => {
    const { store, client } = node;
    const encoded = encode(new Uint8Array(MiB));
    const { size } = encoded;
    const room = await store.create({ object: "obj.1.0", size, client: "a", role: "primary" });
    store.free(["obj.1.0"]);
    client.write(room, "obj.1.0", encoded);
    expect(store.seal("obj.1.0", size)).to.equal(false);
    expect([store.used, store.count, client.read("obj.1.0")]).to.deep.equal([0, 0, undefined]);
    expect(readdirSync(store.dir).sort()).to.deep.equal([".owner", `.seg.${room.file}`]);
  });

  it("a dead client's unfinished objects and leases go, what it had written whole stays", async () => {
    const { store, client } = node;
    const encoded = encode(new Uint8Array(MiB).fill(4));
    const { size } = encoded;
    const rooms = await store.reserve(
      ["obj.1.0", "obj.2.0"].map((object) => ({ object, size, client: "a", role: "primary" as const })),
    );
    client.write(rooms[0]!, "obj.1.0", encoded);
    await store.lease("a", MiB);
    await node.put("obj.3.0", MiB, { by: "b" });
    store.clientDied("a");
    expect([store.has("obj.1.0"), store.has("obj.2.0"), store.count]).to.deep.equal([true, false, 2]);
    expect(store.used).to.equal(2 * taken(MiB));
    expect(await node.get("obj.1.0")).to.equal(4);
    await node.agrees();
  });

  it("a process that has ended gets nothing any more, however it had asked", async () => {
    const { store } = node;
    await node.put("obj.1.0", 3 * MiB, { copy: true });
    const failure = (promise: Promise<unknown>): Promise<string> =>
      promise.then(
        () => "it got it",
        (thrown: Error) => thrown.name,
      );
    // Larger than the store: it waits for the disk to be made.
    const onDisk = failure(
      store.create({ object: "obj.2.0", size: 30 * MiB, client: "gone", role: "primary" }),
    );
    const lease = failure(store.lease("gone", 4 * MiB));
    store.clientDied("gone");
    expect([await onDisk, await lease]).to.deep.equal(["ConnectionError", "ConnectionError"]);
    const late = store.create({ object: "obj.3.0", size: MiB, client: "gone", role: "primary" });
    expect([await failure(late), await failure(store.lease("gone", MiB))]).to.deep.equal([
      "ConnectionError",
      "ConnectionError",
    ]);
    store.hold("obj.1.0", "gone");
    await node.put("obj.4.0", 7 * MiB);
    const { onDisk: bytes, leased, used, objects } = store.figures();
    expect([bytes, leased, used, objects]).to.deep.equal([0, 0, taken(7 * MiB), 1]);
    await node.agrees();
  });

  it("several rooms at once take no more than there is, whatever files are warm", async () => {
    const { store } = node;
    const page = 4 * KiB;
    await node.put("obj.1.0", 6 * MiB, { by: "a" });
    store.free(["obj.1.0"]);
    const rest = store.capacity - (taken(6 * MiB) - 100 * page);
    const sizes = [taken(6 * MiB) - 100 * page, rest].map((length) => length - 128);
    const rooms = await store.reserve(
      sizes.map((size, i) => ({ object: `obj.${i}.1`, size, client: "a", role: "primary" as const })),
    );
    expect(rooms.map(({ file }) => file > 0)).to.deep.equal([true, true]);
    expect(store.used).to.equal(store.capacity);
    await eventually(() => node.inMemory <= store.capacity, "no more is in memory");
  });

  it("a writer killed in the middle of a write: its file is nobody's, and its bytes are given back", async () => {
    const { store } = node;
    const other = node.beside();
    const room = await store.create({ object: "obj.1.0", size: 4 * MiB, client: "a", role: "primary" });
    expect(await other.tell({ type: "scribble", room })).to.equal("writing");
    await other.kill();
    store.clientDied("a");
    expect(store.used).to.equal(0);
    await eventually(() => node.inMemory === 0, "the file is gone");
  });

  it("leases are counted, have all their pages, and come back warm", async () => {
    const { store } = node;
    const lease = await store.lease("a", MiB);
    expect([lease.length, lease.warm, statSync(lease.path).blocks * 512]).to.deep.equal([MiB, true, MiB]);
    expect([store.used, store.figures().leased]).to.deep.equal([MiB, MiB]);
    store.giveBack("b", [lease.file]);
    expect(store.used).to.equal(MiB);
    store.giveBack("a", [lease.file, lease.file, 77]);
    expect([store.used, store.figures().leased, store.figures().warm]).to.deep.equal([0, 0, MiB]);
    expect((await store.lease("a", MiB)).file).to.equal(lease.file);
  });

  it("a file that a reader has mapped is not used again, and lingers until the reader lets go or is killed", async () => {
    const { store } = node;
    for (const object of ["obj.1.0", "obj.2.0"]) {
      const file = await node.put(object, MiB, { fill: 7 });
      const other = node.beside();
      expect(await other.tell({ type: "view", dir: store.dir, object })).to.be.greaterThan(MiB);
      expect(store.list(5).objects[0]?.pinned).to.equal(true);
      store.free([object]);
      expect(node.client.read(object)).to.equal(undefined);
      expect([store.used, store.figures().lingering]).to.deep.equal([taken(MiB), taken(MiB)]);
      expect(await node.put("next.0", MiB, { fill: 9 })).to.not.equal(file);
      expect(await other.tell({ type: "check" })).to.equal(7);
      store.free(["next.0"]);
      await other.kill();
      await eventually(() => store.figures().lingering === 0, {
        message: "its bytes are given back",
        timeoutMs: 3000,
      });
      expect(store.used).to.equal(0);
    }
  });

  it("keeps an object in memory that a client holds, and lets go with the client", async () => {
    const { store } = node;
    await node.put("obj.1.0", 3 * MiB, { copy: true });
    await node.put("obj.2.0", 3 * MiB, { copy: true });
    store.hold("obj.1.0", "r");
    await node.put("obj.3.0", 3 * MiB);
    expect([store.has("obj.1.0"), store.has("obj.2.0")]).to.deep.equal([true, false]);
    store.clientDied("r");
    await node.put("obj.4.0", 3 * MiB);
    expect([store.has("obj.1.0"), store.has("obj.3.0")]).to.deep.equal([false, true]);
    expect(node.dropped).to.deep.equal([
      ["obj.2.0", "evicted"],
      ["obj.1.0", "evicted"],
    ]);
    expect(node.onDisk).to.deep.equal([]);
  });

  it("a copy that is kept is dropped no more", async () => {
    const { store } = node;
    await node.put("obj.1.0", 3 * MiB, { copy: true });
    store.keep("obj.1.0");
    await node.put("obj.2.0", 3 * MiB, { copy: true });
    await node.put("obj.3.0", 3 * MiB);
    expect([store.has("obj.1.0"), store.has("obj.2.0"), store.has("obj.3.0")]).to.deep.equal([
      true,
      false,
      true,
    ]);
    expect(store.stat("obj.1.0")?.copy).to.equal(false);
  });

  it("gives an object's bytes to this process, and keeps its file meanwhile", async () => {
    const { store } = node;
    const file = await node.put("obj.1.0", MiB, { fill: 6 });
    const shared = await store.bytes("obj.1.0");
    expect(shared?.bytes.length).to.equal(store.stat("obj.1.0")?.size);
    store.free(["obj.1.0"]);
    expect(store.figures().lingering).to.equal(taken(MiB));
    expect(shared?.bytes.at(-1)).to.equal(6);
    shared?.release();
    shared?.release();
    expect(await node.put("obj.2.0", MiB), "the same file, at once").to.equal(file);
    expect(store.figures().lingering).to.equal(0);
    expect(await store.bytes("obj.1.0")).to.equal(undefined);
  });

  it("lists the largest first, with where they were made", async () => {
    const { store } = node;
    await node.put("obj.1.0", 100 * KiB);
    await node.put("obj.2.0", MiB, { copy: true });
    await store.create({
      object: "obj.3.0",
      size: 2 * MiB,
      client: "a",
      role: "primary",
      origin: "main.ts:3",
    });
    const { objects, more, moreBytes } = store.list(2);
    expect(objects.map(({ object, state, copy, origin }) => ({ object, state, copy, origin }))).to.deep.equal(
      [
        { object: "obj.3.0", state: "writing", copy: false, origin: "main.ts:3" },
        { object: "obj.2.0", state: "memory", copy: true, origin: undefined },
      ],
    );
    expect([more, moreBytes]).to.deep.equal([1, store.stat("obj.1.0")?.size]);
  });

  it("ids that name other files, and sizes that are none, are refused", async () => {
    for (const object of ["../x", ".owner", "a/b", ""]) {
      const made = node.store.create({ object, size: 1, client: "a", role: "primary" });
      expect(await made.catch((thrown: unknown) => thrown)).to.be.instanceOf(InvalidArgumentError);
      expect(() => node.store.free([object])).to.throw(InvalidArgumentError);
    }
    const made = node.store.create({ object: "obj.1.0", size: -1, client: "a", role: "primary" });
    expect(await made.catch((thrown: unknown) => thrown)).to.be.instanceOf(InvalidArgumentError);
  });

  it("without a disk, what does not fit waits to its deadline and then says what to do", async () => {
    const small = await Node.open({ capacity: MiB, deadlineMs: 200 }, false);
    await small.put("obj.1.0", 600 * KiB);
    const full = await refused(small.put("obj.2.0", 600 * KiB));
    expect(full.message).to.contain("obj.2.0").and.to.contain("set spillDir");
    expect(full.detail).to.deep.equal({
      requested: taken(600 * KiB),
      used: taken(600 * KiB),
      capacity: MiB,
      onDisk: 0,
      diskLimit: 0,
    });
    await refused(small.put("obj.3.0", 2 * MiB));
    const waiting = small.put("obj.4.0", 600 * KiB);
    small.store.free(["obj.1.0"]);
    await waiting;
    expect(statSync(join(small.store.dir, "obj.4.0")).size).to.equal(taken(600 * KiB));
    await small.close();
  });
});
