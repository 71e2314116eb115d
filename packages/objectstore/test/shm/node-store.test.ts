import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import {
  InvalidArgumentError,
  InvalidOptionError,
  ObjectLostError,
  ObjectStoreFullError,
} from "@stingray/protocol";
import { NodeStore } from "../../src/shm/node-store.js";
import { StoreClient, decode, defaultStoreDir, encode, storeRoot, sweepDeadStores } from "../../src/mod.js";
import { end, forkAndTell } from "../helpers/fork.js";
import { place, type Place } from "../helpers/place.js";

const KiB = 1024;

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail("it succeeded"),
    (thrown: unknown) => thrown,
  );
}

describe("the store of a node", function () {
  this.timeout(20_000);

  let at: Place;
  let store: NodeStore;
  let client: StoreClient;

  beforeEach(async () => {
    at = place();
    store = await NodeStore.open({ dir: join(at.path, "node"), capacity: 1000 * KiB });
    client = await StoreClient.open({ dir: store.dir });
  });
  afterEach(async () => {
    client.close();
    await store.close();
    at.leave();
  });

  function put(object: string, bytes: number, by = "me"): number {
    const encoded = encode(new Uint8Array(bytes).fill(1));
    client.writeFile(store.create(object, encoded.size, by), encoded);
    return encoded.size;
  }

  it("counts what is reserved and what is there, down to zero", () => {
    const size = put("obj.1.0", 100 * KiB);
    expect([store.used, store.count, store.has("obj.1.0")]).to.deep.equal([size, 1, false]);
    expect(store.seal("obj.1.0", size)).to.equal(true);
    expect(store.has("obj.1.0")).to.equal(true);
    expect(store.stat("obj.1.0")).to.deep.equal({ size, sealed: true, path: join(store.dir, "obj.1.0") });
    store.free(["obj.1.0", "obj.1.0", "obj.9.0"]);
    expect([store.used, store.count, store.has("obj.1.0")]).to.deep.equal([0, 0, false]);
    expect(readdirSync(store.dir)).to.deep.equal([".owner"]);
    expect(store.stat("obj.1.0")).to.equal(undefined);
  });

  it("refuses what does not fit, with the sizes", () => {
    store.create("obj.1.0", 900 * KiB, "me");
    try {
      store.create("obj.2.0", 200 * KiB, "me");
      expect.fail("it fitted");
    } catch (thrown) {
      expect(thrown).to.be.instanceOf(ObjectStoreFullError);
      const full = thrown as ObjectStoreFullError;
      expect(full.detail).to.deep.equal({ requested: 200 * KiB, used: 900 * KiB, capacity: 1000 * KiB });
      expect(full.message).to.contain("obj.2.0").and.to.contain("release references");
    }
    store.free(["obj.1.0"]);
    store.create("obj.2.0", 1000 * KiB, "me");
  });

  it("drops what a dead client had not finished, and keeps what it sealed", () => {
    const size = put("obj.1.0", 10 * KiB, "w1");
    store.seal("obj.1.0", size);
    put("obj.2.0", 10 * KiB, "w1");
    store.create("obj.3.0", 5, "w1");
    writeFileSync(join(store.dir, ".obj.3.0"), "half");
    put("obj.4.0", 10 * KiB, "w2");
    store.clientDied("w1");
    expect(store.count).to.equal(2);
    expect(readdirSync(store.dir).sort()).to.deep.equal([".owner", "obj.1.0", "obj.4.0"]);
    expect(store.seal("obj.2.0", size), "a late seal").to.equal(false);
    expect(store.seal("obj.4.0", size)).to.equal(true);
    expect(store.used).to.equal(2 * size);
  });

  it("an object made again stays readable until the new one is complete, also if its maker dies", () => {
    const size = put("obj.1.0", 10 * KiB, "w1");
    store.seal("obj.1.0", size);
    store.create("obj.1.0", size, "w2");
    expect(store.used).to.equal(2 * size);
    expect(store.has("obj.1.0")).to.equal(true);
    store.clientDied("w2");
    expect([store.used, store.has("obj.1.0")]).to.deep.equal([size, true]);
    put("obj.1.0", 10 * KiB, "w3");
    store.seal("obj.1.0", size);
    expect(store.used).to.equal(size);
  });

  it("a seal of something that is not there, or of another size, is refused", () => {
    store.create("obj.1.0", 100, "me");
    expect(store.seal("obj.1.0", 100)).to.equal(false);
    expect(store.used).to.equal(0);
    put("obj.2.0", 500);
    expect(store.seal("obj.2.0", 77)).to.equal(false);
    expect(readdirSync(store.dir)).to.deep.equal([".owner"]);
  });

  it("takes an object in pieces, and gives it out in pieces", () => {
    const bytes = encode({ data: new Uint8Array(20_000).fill(6) }).bytes();
    store.create("obj.1.0", bytes.length, "pull");
    store.write("obj.1.0", 7000, bytes.subarray(7000));
    store.write("obj.1.0", 0, bytes.subarray(0, 7000));
    expect(client.read("obj.1.0")).to.equal(undefined);
    expect(store.seal("obj.1.0", bytes.length)).to.equal(true);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += 6000) parts.push(store.read("obj.1.0", at, 6000));
    expect(decode(Buffer.concat(parts))).to.deep.equal({ data: new Uint8Array(20_000).fill(6) });
    expect(store.read("obj.1.0", bytes.length + 5, 10).length).to.equal(0);
    expect(() => store.read("obj.2.0", 0, 1)).to.throw(ObjectLostError, "obj.2.0");
    expect(() => store.write("obj.1.0", 0, bytes)).to.throw(InvalidArgumentError);
  });

  it("ids that name other files are refused", () => {
    for (const id of ["../x", ".owner", "a/b", ""]) {
      expect(() => store.create(id, 1, "me")).to.throw(InvalidArgumentError);
      expect(() => store.free([id])).to.throw(InvalidArgumentError);
    }
  });

  it("close removes everything, twice is once", async () => {
    put("obj.1.0", 100);
    await store.close();
    await store.close();
    expect(existsSync(store.dir)).to.equal(false);
  });

  it("a directory in use, or with other things in it, is refused", async () => {
    const again = await rejection(NodeStore.open({ dir: store.dir, capacity: 5 }));
    expect(again).to.be.instanceOf(InvalidOptionError);
    const other = join(at.path, "other");
    mkdirSync(join(other, "important"), { recursive: true });
    expect(await rejection(NodeStore.open({ dir: other, capacity: 5 }))).to.be.instanceOf(InvalidOptionError);
    expect(existsSync(join(other, "important"))).to.equal(true);
    expect(await sweepDeadStores(at.path)).to.deep.equal([]);
    expect(existsSync(join(other, "important"))).to.equal(true);
    const { rmSync } = await import("node:fs");
    rmSync(other, { recursive: true });
    expect(await rejection(NodeStore.open({ dir: join(at.path, "x"), capacity: -1 }))).to.be.instanceOf(
      InvalidOptionError,
    );
  });

  it("the store of a process that was killed is swept, that of a living one is not", async () => {
    const dir = join(at.path, "killed");
    const { child, answer } = await forkAndTell({ type: "open", dir });
    try {
      expect(answer).to.equal("open");
      expect(await sweepDeadStores(at.path)).to.deep.equal([]);
      expect(existsSync(join(dir, "obj.1.0"))).to.equal(true);
    } finally {
      await end(child);
    }
    expect(await sweepDeadStores(at.path)).to.deep.equal([dir]);
    expect(existsSync(dir)).to.equal(false);
    expect(existsSync(store.dir)).to.equal(true);
  });

  it("opening sweeps, and a dead process's directory can be taken over", async () => {
    const dirs = [join(at.path, "killed1"), join(at.path, "killed2")];
    for (const dir of dirs) await end((await forkAndTell({ type: "open", dir })).child);
    const over = await NodeStore.open({ dir: dirs[0] as string, capacity: 5, sweep: false });
    expect(readdirSync(over.dir)).to.deep.equal([".owner"]);
    await over.close();
    await using swept = await NodeStore.open({ dir: join(at.path, "new"), capacity: 5 });
    expect(existsSync(dirs[1] as string)).to.equal(false);
    expect(swept.used).to.equal(0);
  });

  it("a writer killed in the middle leaves nothing that could be read by mistake", async () => {
    const { child } = await forkAndTell({ type: "write", dir: store.dir });
    for (let i = 0; i < 4; i++) store.create(`obj.${i}.0`, 10, "killed");
    await end(child);
    store.clientDied("killed");
    expect(readdirSync(store.dir)).to.deep.equal([".owner"]);
  });

  it("places: shared memory if there is room, else files with a warning", () => {
    const small = storeRoot({ least: Number.MAX_SAFE_INTEGER });
    expect(small.warning).to.contain("objects are kept in files");
    expect(defaultStoreDir("n1", { least: Number.MAX_SAFE_INTEGER }).path).to.equal(join(small.path, "n1"));
    if (process.platform !== "linux") return;
    const shared = storeRoot({ least: 1 });
    expect(shared).to.deep.equal({ path: `/dev/shm/stingray-${process.getuid?.()}` });
  });
});
