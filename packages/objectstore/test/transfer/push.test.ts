import { expect } from "chai";
import { ObjectLostError, ProtocolError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { dial } from "../../src/transfer/dial.js";
import { Kind } from "../../src/transfer/frame.js";
import { Link } from "../../src/transfer/link.js";
import { chunkSum } from "../../src/transfer/sum.js";
import { caught } from "./helpers/caught.js";
import { Cluster, sourceOf, type TestNode } from "./helpers/cluster.js";
import { fill, newObject, Target } from "./helpers/memory.js";
import { Proxy, type Harm } from "./helpers/proxy.js";

const MIB = 1 << 20;
const SIZE = 10 * MIB + 77;

describe("uploading an object", () => {
  let cluster: Cluster;
  let proxies: Proxy[];
  beforeEach(() => {
    cluster = new Cluster();
    proxies = [];
  });
  afterEach(async () => {
    await cluster.close();
    await Promise.all(proxies.map((proxy) => proxy.close()));
  });

  async function scene(size = SIZE): Promise<{
    node: TestNode;
    driver: TestNode;
    object: string;
    from: Uint8Array;
    into: Target;
  }> {
    const [node, driver] = [await cluster.node({ port: { lingerMs: 300 } }), await cluster.node()];
    const object = newObject();
    const from = fill(new Uint8Array(size), 5);
    const into = new Target(cluster.memory.room(size));
    node.uploads.set(object, into);
    return { node, driver, object, from, into };
  }
  async function proxy(node: TestNode, harm: (connection: number) => Harm): Promise<Proxy> {
    const made = await Proxy.to(node.port.address, harm, "port");
    proxies.push(made);
    return made;
  }

  it("brings all of it, and resolves when it is there", async () => {
    for (const size of [1, MIB, SIZE]) {
      const { node, driver, object, from, into } = await scene(size);
      await driver.puller.push({ object, from, to: sourceOf(node) });
      expect(Buffer.compare(into.bytes, from)).to.equal(0);
      expect(into.ended).to.equal(true);
    }
  });

  it("goes on where it was when the connection is cut", async () => {
    const { node, driver, object, from, into } = await scene();
    const through = await proxy(node, (n) => (n < 3 ? { cutAt: 3 * MIB + 100 } : {}));
    await driver.puller.push({ object, from, to: sourceOf(node, through.address) });
    expect(Buffer.compare(into.bytes, from)).to.equal(0);
    expect(into.arrivals.length, "each chunk once").to.equal(11);
    expect(through.connections).to.equal(4);
  });

  it("sends a chunk again that was damaged", async () => {
    const { node, driver, object, from, into } = await scene();
    const through = await proxy(node, () => ({ flipAt: 2 * MIB }));
    await driver.puller.push({ object, from, to: sourceOf(node, through.address) });
    expect(Buffer.compare(into.bytes, from)).to.equal(0);
  });

  it("fails where the object, or its size, is not expected", async () => {
    const { node, driver, object, from, into } = await scene();
    const longer = new Uint8Array(SIZE + 1);
    for (const [what, bytes] of [
      [newObject(), from],
      [object, longer],
    ] as const) {
      const error = await caught(driver.puller.push({ object: what, from: bytes, to: sourceOf(node) }));
      expect(error).to.be.instanceOf(ObjectLostError);
    }
    expect(into.arrivals).to.deep.equal([]);
  });

  it("fails when nothing is taken any more, and the port gives the object up", async () => {
    const { node, object, from, into } = await scene();
    const driver = await cluster.node({ silentMs: 200, failures: 2 });
    const through = await proxy(node, () => ({ stallAt: MIB / 2 }));
    await caught(driver.puller.push({ object, from, to: sourceOf(node, through.address) }));
    await eventually(() => into.ended === false, "it is closed as incomplete");
    expect(into.chunks.size).to.equal(SIZE);
  });

  it("ends in the middle of a chunk when the object does by other means, and nothing is written after that", async () => {
    const { node, driver, object, from, into } = await scene();
    const through = await proxy(node, () => ({ trickle: 100_000 }));
    const push = caught(driver.puller.push({ object, from, to: sourceOf(node, through.address) }));
    await eventually(() => into.arrivals.length > 0, "a chunk has come");
    node.uploads.clear();
    into.end();
    const then = into.bytes.slice();
    expect(await push).to.be.instanceOf(ObjectLostError);
    expect(Buffer.compare(into.bytes, then)).to.equal(0);
    expect(into.ended).to.equal(undefined);
  });

  it("ends between two chunks as well, and its connection stands", async () => {
    const { node, object, from, into } = await scene();
    const dialled = await dial(node.port.address, { name: "peer", serves: undefined, timeoutMs: 2000 });
    const link = new Link(dialled.wire, dialled.session, () => {});
    const said: string[] = [];
    const channel = link.upload(object, SIZE, {
      here: () => void said.push("here"),
      room: () => new Uint8Array(0),
      data() {},
      declined() {},
      holders() {},
      gone: () => void said.push("gone"),
      again() {},
      stored() {},
      cut: () => void said.push("cut"),
    });
    await eventually(() => said.length > 0, "it is expected");
    into.end();
    const chunk = from.subarray(0, MIB);
    await new Promise<void>((resolve) =>
      dialled.wire.sendChunk(Kind.Put, channel, 0, chunk, chunkSum(chunk), () => resolve()),
    );
    await eventually(() => said.length > 1, "it is told");
    expect([said, node.port.connections]).to.deep.equal([["here", "gone"], 1]);
    expect(into.bytes.every((byte) => byte === 0)).to.equal(true);
    link.destroy(new Error("the test is over"));
  });

  it("can be aborted", async () => {
    const { node, driver, object, from } = await scene();
    const abort = new AbortController();
    const through = await proxy(node, () => ({ stallAt: MIB }));
    const push = driver.puller.push({
      object,
      from,
      to: sourceOf(node, through.address),
      signal: abort.signal,
    });
    await eventually(() => through.connections === 1 && node.port.connections === 1, "it is under way");
    const reason = new Error("enough");
    abort.abort(reason);
    expect(await caught(push)).to.equal(reason);
  });

  it("writes nothing outside the object, whatever the peer sends", async () => {
    const { node, object, into } = await scene();
    const lies: [index: number, length: number][] = [
      [0, MIB - 1],
      [10, MIB],
      [11, 5],
      [0xffff_ffff, 1],
      [0, 0],
      [11, 0],
    ];
    for (const [index, length] of lies) {
      const { wire, session } = await dial(node.port.address, {
        name: "liar",
        serves: undefined,
        timeoutMs: 2000,
      });
      const link = new Link(wire, session, () => {});
      let cut: Error | undefined;
      const channel = link.upload(object, SIZE, {
        here: () => {
          const bytes = new Uint8Array(length);
          wire.sendChunk(Kind.Put, channel, index, bytes, chunkSum(bytes), () => {});
        },
        room: () => new Uint8Array(0),
        data() {},
        declined() {},
        holders() {},
        gone() {},
        again() {},
        stored() {},
        cut: (error) => void (cut = error),
      });
      await eventually(() => cut !== undefined, "it is cut");
    }
    expect(into.arrivals).to.deep.equal([]);
    expect(into.bytes.every((byte) => byte === 0)).to.equal(true);
    expect(node.problems.every((error) => error instanceof ProtocolError)).to.equal(true);
    expect(node.problems.length).to.equal(lies.length);
  });
});
