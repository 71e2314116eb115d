import { expect } from "chai";
import type { StoreRoom } from "@stingray/protocol";
import { encode } from "../../src/mod.js";
import { MiB, Node, taken } from "../helpers/node.js";

describe("a node's store: one object that several make", function () {
  this.timeout(20_000);

  let node: Node;
  beforeEach(async () => {
    node = await Node.open({ capacity: 8 * MiB });
  });
  afterEach(() => node.close());

  const value = (fill: number) => encode(new Uint8Array(MiB).fill(fill));
  const { size } = value(0);
  const create = (client: string): Promise<StoreRoom> =>
    node.store.create({ object: "obj.1.0", size, client, role: "primary" });

  for (const dies of ["a", "b"]) {
    it(`two that are done before either has said so leave one object and no more (${dies} dies then)`, async () => {
      const { store, client } = node;
      const rooms = [await create("a"), await create("b"), await create("c")];
      client.write(rooms[0] as StoreRoom, "obj.1.0", value(1));
      client.write(rooms[1] as StoreRoom, "obj.1.0", value(2));
      expect(store.seal("obj.1.0", size)).to.equal(true);
      expect(store.used, "c goes on").to.equal(2 * taken(MiB));
      expect(store.seal("obj.1.0", size)).to.equal(true);
      store.abandon("obj.1.0", "c");
      expect([store.used, store.count, await node.get("obj.1.0")]).to.deep.equal([taken(MiB), 1, 2]);
      store.clientDied(dies);
      store.free(["obj.1.0"]);
      expect([store.used, store.count]).to.deep.equal([0, 0]);
      await node.agrees();
    });
  }

  for (const [how, made] of [
    ["into its own room", () => create("b")],
    ["into a file that was leased before", () => node.store.lease("b", taken(MiB))],
  ] as const) {
    it(`made again ${how}, it is not lost before the word of that has come`, async () => {
      const { store, client } = node;
      await node.put("obj.1.0", MiB, { by: "a", fill: 1 });
      const room = await made();
      client.write(room, "obj.1.0", value(2));
      expect(await node.get("obj.1.0")).to.equal(2);
      expect([node.dropped, node.log]).to.deep.equal([[], []]);
      expect(store.seal("obj.1.0", size)).to.equal(true);
      expect([store.used, store.count]).to.deep.equal([taken(MiB), 1]);
      store.free(["obj.1.0"]);
      expect(store.used).to.equal(0);
    });

    it(`made again ${how}, it is not lost when memory gets short either`, async () => {
      const { store, client } = node;
      await node.put("obj.1.0", MiB, { by: "a", fill: 1 });
      const room = await made();
      client.write(room, "obj.1.0", value(2));
      await node.put("obj.2.0", 6 * MiB);
      await node.put("obj.3.0", 6 * MiB);
      expect(await node.get("obj.1.0")).to.equal(2);
      expect(node.dropped).to.deep.equal([]);
      expect(store.has("obj.1.0")).to.equal(true);
    });
  }

  it("a second creation that comes to nothing does not keep the first in memory for ever", async () => {
    const { store } = node;
    await node.put("obj.1.0", 3 * MiB, { copy: true });
    await store.create({ object: "obj.1.0", size: 3 * MiB, client: "b", role: "copy" });
    store.abandon("obj.1.0", "b");
    await node.put("obj.2.0", 6 * MiB);
    expect(node.dropped).to.deep.equal([["obj.1.0", "evicted"]]);
  });
});
