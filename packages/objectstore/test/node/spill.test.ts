import {
  closeSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { eventually } from "@stingray/protocol/testing";
import { KiB, MiB, Node, refused, taken } from "../helpers/node.js";
import { place } from "../helpers/place.js";

const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `obj.${i}.0`);

describe("a node's store: disk", function () {
  this.timeout(20_000);

  let node: Node;
  const begin = async (...args: Parameters<typeof Node.open>): Promise<void> => {
    node = await Node.open(...args);
  };
  afterEach(() => node.close());

  it("200 MiB of objects through 20 MiB of memory, read at random: every byte right, never more than the capacity", async () => {
    await begin({ capacity: 20 * MiB });
    const { store } = node;
    const objects = ids(100);
    for (const [i, object] of objects.entries()) {
      await node.put(object, 2 * MiB, { fill: i });
      expect(store.used + store.figures().warm).to.be.at.most(store.capacity);
    }
    for (let round = 0; round < 150; round++) {
      const i = (round * 37) % 100;
      expect(await node.get(objects[i] as string)).to.equal(i);
      if (round % 25 === 0) store.free([objects[(round * 3 + 1) % 100] as string]);
      for (const [i, object] of objects.entries())
        if (!store.has(object)) await node.put(object, 2 * MiB, { fill: i });
      expect(store.used + store.figures().warm).to.be.at.most(store.capacity);
    }
    const { onDisk, spilledTotal, objects: count } = store.figures();
    expect([count, onDisk > 170 * MiB, spilledTotal >= onDisk]).to.deep.equal([100, true, true]);
    store.free(objects);
    await eventually(() => node.onDisk.length === 0, "nothing is on disk");
    expect([store.used, store.figures().onDisk, store.count]).to.deep.equal([0, 0, 0]);
  });

  it("drops copies before it spills anything, then spills the least recently used", async () => {
    await begin({ capacity: 10 * MiB });
    const { store } = node;
    for (const object of ids(3)) await node.put(object, 2 * MiB);
    await node.put("copy.0", 2 * MiB, { copy: true });
    await node.put("big.0", 3 * MiB);
    expect([store.has("copy.0"), node.onDisk]).to.deep.equal([false, []]);
    // A reader leaves the time of its use on the file.
    const later = Date.now() / 1000 + 5;
    utimesSync(join(store.dir, "obj.0.0"), later, later);
    store.hold("big.0", "a");
    store.hold("obj.2.0", "a");
    await node.put("next.0", 2 * MiB);
    await eventually(() => store.stat("obj.1.0")?.state === "spilled", "the spill has ended");
    expect(store.stat("big.0")?.state).to.equal("memory");
    expect(store.stat("obj.2.0")?.state).to.equal("memory");
    expect(await node.get("obj.1.0")).to.equal(1);
  });

  it("an object in use by a reader stays in memory, also when it was chosen to be spilled", async () => {
    await begin({ capacity: 4 * MiB });
    const { store } = node;
    await node.put("obj.1.0", MiB, { fill: 8 });
    const other = node.beside();
    await other.tell({ type: "view", dir: store.dir, object: "obj.1.0" });
    for (const i of [2, 3, 4, 5]) await node.put(`obj.${i}.0`, MiB);
    expect(store.stat("obj.1.0")?.state).to.equal("memory");
    expect(await other.tell({ type: "check" })).to.equal(8);
    expect(store.stat("obj.2.0")?.state).to.equal("spilled");
  });

  it("an object keeps its tag in memory, on disk and back; made again it has another", async () => {
    await begin({ capacity: 8 * MiB });
    const { store } = node;
    const tagOf = async (object: string): Promise<string | undefined> => {
      const shared = await store.bytes(object);
      shared?.release();
      return shared?.tag;
    };
    await node.put("obj.1.0", 3 * MiB);
    const tag = await tagOf("obj.1.0");
    expect(tag).to.match(/^[0-9a-f]{16}$/);
    await node.put("big.0", 7 * MiB);
    expect([store.stat("obj.1.0")?.state, await tagOf("obj.1.0")]).to.deep.equal(["spilled", tag]);
    store.free(["big.0"]);
    expect([await tagOf("obj.1.0"), store.stat("obj.1.0")?.state]).to.deep.equal([tag, "memory"]);
    await node.put("obj.1.0", 3 * MiB);
    expect(await tagOf("obj.1.0"))
      .to.match(/^[0-9a-f]{16}$/)
      .and.not.equal(tag);
  });

  it("restores what is read when there is room, and needs not write it again to drop it", async () => {
    await begin({ capacity: 8 * MiB });
    const { store } = node;
    for (const object of ids(4)) await node.put(object, 3 * MiB, { fill: 5 });
    const spilled = ids(4).filter((object) => store.stat(object)?.state === "spilled");
    expect(spilled.length).to.be.greaterThan(1);
    store.free(ids(4).filter((object) => !spilled.includes(object)));
    const before = store.figures().spilledTotal;
    expect(await node.get(spilled[0] as string)).to.equal(5);
    expect(store.stat(spilled[0] as string)?.state).to.equal("memory");
    expect(store.figures().restoredTotal).to.equal(taken(3 * MiB));
    await node.put("next.0", 6 * MiB);
    expect(store.stat(spilled[0] as string)?.state).to.equal("spilled");
    expect(store.figures().spilledTotal).to.equal(before);
    expect(await node.get(spilled[0] as string)).to.equal(5);
  });

  it("an object larger than the store is made on disk", async () => {
    await begin({ capacity: MiB });
    const { store } = node;
    expect(await node.put("obj.1.0", 3 * MiB, { fill: 9 })).to.equal(0);
    expect(store.stat("obj.1.0")?.state).to.equal("disk");
    expect(await node.get("obj.1.0")).to.equal(9);
    expect([store.used, store.figures().onDisk]).to.deep.equal([0, taken(3 * MiB)]);
    const rooms = await store.reserve(
      [700, 100, 800].map((size, i) => ({
        object: `x.${i}`,
        size: size * KiB,
        client: "a",
        role: "primary" as const,
      })),
    );
    expect(rooms.map(({ file }) => file > 0)).to.deep.equal([true, true, false]);
    store.clientDied("a");
    store.free(["obj.1.0"]);
    expect([store.used, store.figures().onDisk]).to.deep.equal([0, 0]);
    await eventually(() => node.onDisk.length === 0, "the disk is empty");
  });

  it("two that make the same object on disk at a time do not harm each other", async () => {
    await begin({ capacity: MiB });
    const { store } = node;
    const create = (client: string) =>
      store.create({ object: "obj.1.0", size: 2 * MiB, client, role: "primary" });
    const rooms = [await create("a"), await create("b")];
    expect(rooms[0]?.path).to.not.equal(rooms[1]?.path);
    store.abandon("obj.1.0", "a");
    await node.put("obj.1.0", 2 * MiB, { by: "c", fill: 4 });
    await node.put("obj.1.0", 2 * MiB, { by: "d", fill: 5 });
    expect(await node.get("obj.1.0")).to.equal(5);
    store.clientDied("b");
    expect(store.figures().onDisk).to.equal(taken(2 * MiB));
  });

  it("when everything is in use for long enough, creations go to disk instead of waiting for ever", async () => {
    await begin({ capacity: 4 * MiB, waitMs: 80 });
    const { store } = node;
    for (const object of ids(3)) {
      await node.put(object, MiB);
      store.hold(object, "reader");
    }
    const start = Date.now();
    const files = await Promise.all([node.put("a.0", MiB), node.put("b.0", MiB)]);
    expect(files).to.deep.equal([0, 0]);
    expect(Date.now() - start).to.be.within(60, 1500);
    expect(await node.get("b.0")).to.equal(1);
  });

  it("what a task needs is reserved together or not at all, and two tasks do not wait for each other", async () => {
    await begin({ capacity: 4 * MiB, waitMs: 2000 });
    const { store } = node;
    const want = (client: string) =>
      store.reserve(
        [0, 1, 2].map((i) => ({ object: `${client}.${i}`, size: MiB, client, role: "copy" as const })),
      );
    const first = await want("a");
    const second = want("b");
    expect([first.length, store.used, store.figures().waiting]).to.deep.equal([3, 3 * taken(MiB), 1]);
    expect(store.count).to.equal(3);
    for (const i of [0, 1, 2]) store.abandon(`a.${i}`, "a");
    expect((await second).every(({ file }) => file > 0)).to.equal(true);
    expect(store.used).to.equal(3 * taken(MiB));
  });

  it("first come, first served: a small one does not pass a large one that waits", async () => {
    await begin({ capacity: 4 * MiB, waitMs: 5000 });
    const { store } = node;
    const create = (object: string, size: number) =>
      store.create({ object, size, client: "a", role: "primary" });
    await create("x.0", 2 * MiB);
    const order: string[] = [];
    const large = create("y.0", 3 * MiB).then(() => order.push("large"));
    const small = create("z.0", MiB).then(() => order.push("small"));
    store.abandon("x.0", "a");
    await large;
    store.abandon("y.0", "a");
    await small;
    expect(order).to.deep.equal(["large", "small"]);
  });

  it("a creation that waits ends with its signal, with its client, and when it is given up", async () => {
    await begin({ capacity: MiB, waitMs: 5000 });
    const { store } = node;
    const create = (object: string, client: string, signal?: AbortSignal) =>
      store.create({ object, size: 900 * KiB, client, role: "primary", signal }).then(
        () => "room",
        (thrown: Error) => thrown.name,
      );
    await create("x.0", "x");
    const stop = new AbortController();
    const waiting = [
      create("a.0", "a", stop.signal),
      create("b.0", "b"),
      create("c.0", "c"),
      create("d.0", "d"),
    ];
    await eventually(() => store.figures().waiting === 4, "they wait");
    stop.abort();
    store.clientDied("b");
    store.abandon("c.0", "c");
    store.abandon("x.0", "x");
    expect(await Promise.all(waiting)).to.deep.equal([
      "AbortError",
      "ConnectionError",
      "ObjectLostError",
      "room",
    ]);
  });

  it("a disk that has no room either: an error with all figures, nothing lost, and no storm of attempts", async () => {
    const limited = place();
    await begin({
      capacity: 4 * MiB,
      waitMs: 50,
      spill: { dir: join(limited.path, "disk"), limit: 2.5 * MiB },
    });
    const { store } = node;
    for (const [i, object] of ids(5).entries()) await node.put(object, MiB, { fill: i });
    const full = await refused(node.put("more.0", 3 * MiB));
    const { onDisk } = store.figures();
    expect(full.detail).to.deep.equal({
      requested: taken(3 * MiB),
      used: store.used,
      capacity: 4 * MiB,
      onDisk,
      diskLimit: 2.5 * MiB,
    });
    expect(full.message).to.contain("more.0").and.to.contain("release references");
    expect(onDisk).to.be.within(taken(MiB), 2.5 * MiB);
    expect(node.log.filter((line) => line.includes("can't be spilled"))).to.have.lengthOf(1);
    for (const [i, object] of ids(5).entries()) expect(await node.get(object)).to.equal(i);
    await refused(node.put("huge.0", 5 * MiB));
    store.free(ids(5));
    await node.put("more.0", 3 * MiB);
    await store.close();
    expect(readdirSync(join(limited.path, "disk"))).to.deep.equal([]);
    rmSync(join(limited.path, "disk"), { recursive: true });
    limited.leave();
  });

  describe("what happens to spill files", () => {
    beforeEach(async () => {
      await begin({ capacity: 3 * MiB });
      for (const [i, object] of ids(6).entries()) await node.put(object, MiB, { fill: i });
      // No room to restore: what is read is read on disk.
      await eventually(
        () => ids(6).filter((id) => node.store.stat(id)?.state === "spilled").length >= 4,
        "some are spilled",
      );
      await node.put("pin.0", 2 * MiB);
      node.store.hold("pin.0", "a");
    });
    const spilled = (): string[] => ids(6).filter((id) => node.store.stat(id)?.state === "spilled");

    const outcome = async (): Promise<{ lost: string[]; right: number }> => {
      const lost: string[] = [];
      let right = 0;
      for (const [i, object] of ids(6).entries()) {
        const byte = await node.get(object);
        if (byte === undefined) lost.push(object);
        else if (byte === i) right++;
      }
      return { lost, right };
    };

    it("changed by somebody: that object is lost, the others are right", async () => {
      const span = await node.store.open(spilled()[0] as string);
      const victim = spilled()[1] as string;
      expect(span?.[0]).to.contain("fused-");
      const [path, offset] = await spanOf(victim);
      const fd = openSync(path, "r+");
      writeSync(fd, Uint8Array.of(99), 0, 1, offset + 5000);
      closeSync(fd);
      expect(await outcome()).to.deep.equal({ lost: [victim], right: 5 });
      expect(node.dropped).to.deep.equal([[victim, "lost"]]);
      expect(node.log.join("\n")).to.contain(victim);
    });

    it("cut off: what was behind is lost", async () => {
      const files = readdirSync(node.spillDir).filter((name) => name.startsWith("fused-"));
      const path = join(node.spillDir, files[0] as string);
      truncateSync(path, statSync(path).size - 5000);
      const { lost, right } = await outcome();
      expect([lost.length, right]).to.deep.equal([1, 5]);
    });

    it("deleted: its objects are lost", async () => {
      const gone = spilled();
      for (const name of readdirSync(node.spillDir)) rmSync(join(node.spillDir, name));
      const { lost, right } = await outcome();
      expect([lost, right]).to.deep.equal([gone, 6 - gone.length]);
      expect(await node.store.open(gone[0] as string)).to.equal(undefined);
      await node.put("later.0", MiB);
    });

    it("freed: a file goes with its last object", async () => {
      node.store.free(ids(6));
      await eventually(() => node.onDisk.length === 0, "the disk is empty");
      expect(node.store.figures().onDisk).to.equal(0);
    });

    /** Where it lies, without the store having compared it. */
    async function spanOf(object: string): Promise<[string, number]> {
      const names = readdirSync(node.spillDir).filter((name) => name.startsWith("fused-"));
      const { readFileSync } = await import("node:fs");
      for (const name of names) {
        const path = join(node.spillDir, name);
        const bytes = readFileSync(path);
        for (let at = 0; at < bytes.length; at += 4096) {
          if (bytes.subarray(at + 24, at + 24 + object.length).toString("latin1") === object)
            return [path, at];
        }
      }
      throw new Error(`${object} is in no file`);
    }
  });

  it("freed while it is spilled, restored or waited for: nothing stays", async () => {
    await begin({ capacity: 6 * MiB });
    const { store } = node;
    const objects = ids(12);
    for (const [i, object] of objects.entries()) {
      const put = node.put(object, 2 * MiB, { fill: i }).catch(() => undefined);
      if (i % 2 === 1) store.free([objects[i - 1] as string]);
      if (i % 3 === 2) void store.open(objects[i - 2] as string);
      await put;
    }
    store.free(objects);
    await eventually(() => node.onDisk.length === 0, "the disk is empty");
    expect([store.used, store.figures().onDisk, store.count]).to.deep.equal([0, 0, 0]);
    await eventually(() => node.inMemory === store.figures().warm, "memory agrees");
  });

  it("a spill file that is gone when it is to be written anew leaves no other file behind", async () => {
    await begin({ capacity: 100 * MiB });
    const { store } = node;
    const objects = ids(12);
    for (const [i, object] of objects.entries()) await node.put(object, 8 * MiB, { fill: i });
    await node.put("big.0", 95 * MiB);
    await eventually(
      () => objects.every((object) => store.stat(object)?.state === "spilled"),
      "all are spilled",
    );
    const fused = (): string[] => node.onDisk.filter((name) => name.startsWith("fused-"));
    for (const name of fused()) rmSync(join(node.spillDir, name));
    store.free(objects.slice(0, 11));
    await eventually(() => node.log.some((line) => line.includes("can't be spilled")), "it was tried");
    expect(fused()).to.deep.equal([]);
    store.free(objects);
  });

  it("a spill file that is mostly dead is written anew, so that the disk is given back", async () => {
    await begin({ capacity: 100 * MiB });
    const { store } = node;
    const objects = ids(12);
    for (const [i, object] of objects.entries()) await node.put(object, 8 * MiB, { fill: i });
    await node.put("big.0", 95 * MiB);
    await eventually(
      () => objects.every((object) => store.stat(object)?.state === "spilled"),
      "all are spilled",
    );
    const size = (): number =>
      node.onDisk.reduce(
        (sum, name) => sum + (statSync(join(node.spillDir, name), { throwIfNoEntry: false })?.size ?? 0),
        0,
      );
    expect(size()).to.be.greaterThan(96 * MiB);
    store.free(objects.slice(0, 11));
    await eventually(() => size() < 20 * MiB, "the disk is given back");
    expect(await node.get("obj.11.0")).to.equal(11);
  });
});
