import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { InvalidArgumentError } from "@stingray/protocol";
import { NodeStore, StoreClient, decode, encode } from "../../src/mod.js";
import { end, forkAndTell } from "../helpers/fork.js";
import { gc } from "../helpers/gc.js";
import { place, type Place } from "../helpers/place.js";
import { until } from "../helpers/until.js";

const MiB = 1 << 20;
const mapped = process.platform === "linux" ? it : it.skip;

describe("a client of the store", function () {
  this.timeout(20_000);

  let at: Place;
  let store: NodeStore;
  let client: StoreClient;

  beforeEach(async () => {
    at = place();
    store = await NodeStore.open({ dir: join(at.path, "node"), capacity: 512 * MiB });
    client = await StoreClient.open({ dir: store.dir });
  });
  afterEach(async () => {
    client.close();
    await store.close();
    at.leave();
  });

  function put(object: string, value: unknown): number {
    const encoded = encode(value);
    client.writeFile(store.create(object, encoded.size, "me"), encoded);
    expect(store.seal(object, encoded.size)).to.equal(true);
    return encoded.size;
  }

  it("reads what it wrote, small and large", () => {
    for (const size of [0, 10, 1000, 65_535, 65_536, MiB + 1]) {
      const value = { bytes: new Uint8Array(size).fill(7), name: "x" };
      const length = put("obj.1.0", value);
      expect(decode(client.read("obj.1.0", length) as Uint8Array, { views: true })).to.deep.equal(value);
    }
    expect(client.read("obj.2.0")).to.equal(undefined);
    expect(client.read("obj.1.0", 5), "another size").to.equal(undefined);
  });

  it("a value of thousands of buffers is written whole", () => {
    const value = Array.from({ length: 3000 }, (_, i) => new Uint8Array(1100 + (i % 7)).fill(i));
    put("obj.1.0", value);
    expect(decode(client.read("obj.1.0") as Uint8Array)).to.deep.equal(value);
  });

  it("files and the directory are for this user only", () => {
    put("obj.1.0", 1);
    expect(statSync(store.dir).mode & 0o777).to.equal(0o700);
    expect(statSync(join(store.dir, "obj.1.0")).mode & 0o777).to.equal(0o600);
  });

  it("nothing is seen of an object before it is complete, nor left of one that failed", () => {
    const encoded = encode(new Uint8Array(100_000));
    const failing = {
      ...encoded,
      size: encoded.size,
      refs: [],
      bytes: () => encoded.bytes(),
      writeTo: (target: Uint8Array) => encoded.writeTo(target),
      get parts(): readonly Uint8Array[] {
        return [...encoded.parts, null as unknown as Uint8Array];
      },
    };
    expect(() => client.writeFile(join(store.dir, "obj.1.0"), failing)).to.throw(TypeError);
    expect(client.read("obj.1.0")).to.equal(undefined);
    expect(readdirSync(store.dir)).to.deep.equal([".owner"]);
    writeFileSync(join(store.dir, ".obj.1.0"), "cut off");
    put("obj.1.0", "whole");
    expect(decode(client.read("obj.1.0") as Uint8Array)).to.equal("whole");
  });

  it("paths outside the store and odd ids are refused", () => {
    expect(() => client.readPath("/etc/passwd")).to.throw(InvalidArgumentError, "is not in the object store");
    expect(() => client.readPath(join(store.dir, "..", "x"))).to.throw(InvalidArgumentError);
    for (const id of ["../x", "", ".owner", "a/b"]) {
      expect(() => client.read(id)).to.throw(InvalidArgumentError, "is no object id");
    }
  });

  it("a directory that is not there is refused; a closed client says so", async () => {
    let thrown: unknown;
    await StoreClient.open({ dir: join(at.path, "none") }).catch((error: unknown) => (thrown = error));
    expect(thrown).to.be.instanceOf(InvalidArgumentError);
    client.close();
    expect(() => client.read("obj.1.0")).to.throw(InvalidArgumentError, "is closed");
  });

  mapped("a reader's writes are its own: not the store's, not another process's", async () => {
    put("obj.1.0", new Uint8Array(MiB).fill(1));
    const mine = decode(client.read("obj.1.0") as Uint8Array, { views: true }) as Uint8Array;
    mine[12_345] = 5;
    const { child, answer } = await forkAndTell({ type: "scribble", dir: store.dir, object: "obj.1.0" });
    await end(child);
    expect(answer).to.deep.equal([1, 9]);
    expect(mine[12_345]).to.equal(5);
    expect(mine[12_346]).to.equal(1);
    const fresh = decode(client.read("obj.1.0") as Uint8Array, { views: true }) as Uint8Array;
    expect(fresh[12_345]).to.equal(1);
  });

  mapped("values are views on the mapping", () => {
    put("obj.1.0", { a: new Float64Array(100_000).fill(1), b: Buffer.alloc(100_000, 2) });
    const bytes = client.read("obj.1.0") as Uint8Array;
    const value = decode(bytes, { views: true }) as { a: Float64Array; b: Buffer };
    expect(value.a.buffer).to.equal(bytes.buffer);
    expect(value.b.buffer).to.equal(bytes.buffer);
    expect(client.maps).to.equal(1);
  });

  mapped(
    "a view outlives the file, the client and any garbage collection; then the mapping goes",
    async () => {
      put("obj.1.0", new Uint8Array(MiB).fill(3));
      let view: Uint8Array | undefined = decode(client.read("obj.1.0") as Uint8Array, {
        views: true,
      }) as Uint8Array;
      view = view.subarray(1000, 2000);
      store.free(["obj.1.0"]);
      expect(existsSync(join(store.dir, "obj.1.0"))).to.equal(false);
      for (let i = 0; i < 5; i++) {
        gc();
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(client.maps).to.equal(1);
      expect(view.every((byte) => byte === 3)).to.equal(true);
      view = undefined;
      await until("the mapping is undone", () => (gc(), client.maps === 0));
    },
  );

  mapped("many objects: mappings come and go, none is lost", async () => {
    put("obj.1.0", new Uint8Array(MiB).fill(3));
    for (let i = 0; i < 500; i++) expect(client.read("obj.1.0")?.[MiB - 1]).to.equal(3);
    await until("all mappings are undone", () => (gc(), client.maps === 0));
  });

  mapped("above the limit of mappings values are copied", async () => {
    put("obj.1.0", new Uint8Array(MiB).fill(3));
    const few = await StoreClient.open({ dir: store.dir, maxMaps: 2 });
    const kept = Array.from({ length: 5 }, () => few.read("obj.1.0") as Uint8Array);
    expect(few.maps).to.equal(2);
    for (const bytes of kept) expect(bytes[MiB]).to.equal(3);
    few.close();
  });

  mapped("mapped memory can't be transferred away", () => {
    put("obj.1.0", new Uint8Array(MiB).fill(3));
    const bytes = client.read("obj.1.0") as Uint8Array<ArrayBuffer>;
    try {
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    } catch (thrown) {
      expect((thrown as Error).name).to.equal("DataCloneError"); // newer Node refuses, older copies
    }
    expect(bytes.buffer.byteLength).to.be.greaterThan(MiB);
    expect(bytes[MiB - 1]).to.equal(3);
  });

  it("a block of another process's slab is read as a copy", () => {
    writeFileSync(join(store.dir, "slab.x.0"), Buffer.from("0123456789"));
    expect(
      Buffer.from(client.readBlock(join(store.dir, "slab.x.0"), 2, 3) as Uint8Array).toString(),
    ).to.equal("234");
    expect(client.readBlock(join(store.dir, "slab.x.0"), 8, 3)).to.equal(undefined);
    expect(client.readBlock(join(store.dir, "slab.y.0"), 8, 3)).to.equal(undefined);
  });
});
