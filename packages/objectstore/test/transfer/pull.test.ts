import { expect } from "chai";
import { ObjectLostError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { CHUNK_BYTES, ChunkMap } from "../../src/transfer/chunks.js";
import { caught } from "./helpers/caught.js";
import { Cluster, sourceOf } from "./helpers/cluster.js";
import { newObject, Target } from "./helpers/memory.js";

const MIB = 1 << 20;

describe("pulling an object", () => {
  let cluster: Cluster;
  beforeEach(() => {
    cluster = new Cluster();
  });
  afterEach(() => cluster.close());

  for (const size of [0, 1, 65_537, CHUNK_BYTES, CHUNK_BYTES + 1, 9 * MIB + 12_345]) {
    it(`brings ${size} bytes as they are`, async () => {
      const [a, b] = [await cluster.node(), await cluster.node()];
      const object = newObject();
      const bytes = cluster.put(a, object, Math.max(1, size)).subarray(0, size);
      a.objects.set(object, () => ({ size, read: (at, n) => bytes.subarray(at, at + n), close() {} }));
      const into = new Target(new Uint8Array(size));
      await b.puller.pull({ object, into, chunks: into.chunks, sources: [sourceOf(a)] });
      expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
      expect(into.chunks.complete).to.equal(true);
      expect(into.arrivals.sort((x, y) => x - y)).to.deep.equal(
        Array.from({ length: into.chunks.count }, (_, i) => i),
      );
      expect(b.puller.inFlight).to.equal(0);
    });
  }

  it("asks only for what is missing", async () => {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const object = newObject();
    const bytes = cluster.put(a, object, 8 * MIB);
    const into = cluster.target(b, object, 8 * MIB);
    for (const index of [0, 3, 4]) {
      into.bytes.set(bytes.subarray(index * MIB, (index + 1) * MIB), index * MIB);
      into.chunks.add(index);
    }
    await b.puller.pull({ object, into, chunks: into.chunks, sources: [sourceOf(a)] });
    expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
    expect(a.sent).to.equal(5 * MIB);
  });

  it("takes from several sources, and from each what it has time for", async () => {
    const [a, b, c] = [await cluster.node(), await cluster.node(), await cluster.node()];
    const object = newObject();
    const bytes = cluster.put(a, object, 48 * MIB);
    cluster.put(b, object, 48 * MIB);
    const into = cluster.target(c, object, 48 * MIB);
    let received = 0;
    const sources = [sourceOf(a), sourceOf(b)];
    await c.puller.pull({
      object,
      into,
      chunks: into.chunks,
      sources,
      onReceived: (n) => void (received += n),
    });
    expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
    expect(a.sent + b.sent).to.equal(48 * MIB);
    expect(received).to.equal(48 * MIB);
    expect(Math.min(a.sent, b.sent)).to.be.greaterThan(4 * MIB);
  });

  it("serves many pulls over at most two connections, within the limit of bytes in flight", async () => {
    const a = await cluster.node();
    const b = await cluster.node({ inFlightBytes: 4 * MIB, idleMs: 200 });
    let most = 0;
    const pulls = Array.from({ length: 40 }, async (_, i) => {
      const object = newObject();
      const bytes = cluster.put(a, object, 300_000 + i * 50_000, i);
      const into = cluster.target(b, object, bytes.length);
      await b.puller.pull({
        object,
        into,
        chunks: into.chunks,
        sources: [sourceOf(a)],
        onReceived: () => (most = Math.max(most, b.puller.inFlight, a.port.connections * MIB)),
      });
      expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
    });
    await Promise.all(pulls);
    expect(most).to.be.at.most(4 * MIB);
    expect(a.port.connections).to.be.at.most(2);
    expect(b.puller.inFlight).to.equal(0);
    await eventually(() => a.port.connections === 0, "idle connections are closed");
  });

  it("serves on what has arrived while the rest is still coming", async () => {
    const [a, b, c] = [await cluster.node(), await cluster.node(), await cluster.node()];
    const object = newObject();
    const bytes = cluster.put(a, object, 8 * MIB);
    const half = cluster.target(b, object, 8 * MIB);
    const give = (index: number): void => {
      half.bytes.set(bytes.subarray(index * MIB, (index + 1) * MIB), index * MIB);
      half.chunks.add(index);
    };
    for (let i = 0; i < 4; i++) give(i);
    const into = cluster.target(c, object, 8 * MIB);
    const pull = c.puller.pull({ object, into, chunks: into.chunks, sources: [sourceOf(b)] });
    await eventually(() => into.chunks.left === 4, "what is there came");
    for (let i = 4; i < 8; i++) give(i);
    await pull;
    expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
    expect(b.sent).to.equal(8 * MIB);
  });

  it("stops writing when it is aborted, and can be taken up again", async () => {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const object = newObject();
    const bytes = cluster.put(a, object, 32 * MIB);
    const into = cluster.target(b, object, 32 * MIB);
    const abort = new AbortController();
    const reason = new Error("not wanted any more");
    const pull = b.puller.pull({
      object,
      into,
      chunks: into.chunks,
      sources: [sourceOf(a)],
      signal: abort.signal,
      onReceived: () => into.chunks.left < 28 && abort.abort(reason),
    });
    expect(await caught(pull)).to.equal(reason);
    expect(b.puller.inFlight).to.equal(0);
    const left = into.chunks.left;
    const missing = Array.from({ length: into.chunks.count }, (_, i) => i).filter((i) => !into.chunks.has(i));
    for (const index of missing) into.bytes.fill(7, index * MIB, (index + 1) * MIB);
    await eventually(() => a.opened.count === 0, "the port let go");
    for (const index of missing)
      expect(into.bytes.subarray(index * MIB, (index + 1) * MIB).every((byte) => byte === 7)).to.equal(true);
    const before = a.sent;
    await b.puller.pull({ object, into, chunks: into.chunks, sources: [sourceOf(a)] });
    expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
    expect(a.sent - before).to.equal(left * MIB);
  });

  it("fails, and says why of each, when no source is left", async () => {
    const [a, b, c] = [await cluster.node(), await cluster.node(), await cluster.node()];
    const object = newObject();
    cluster.put(b, object, 3 * MIB);
    const into = cluster.target(c, object, 2 * MIB);
    const error = await caught(
      c.puller.pull({ object, into, chunks: into.chunks, sources: [sourceOf(a), sourceOf(b)] }),
    );
    expect(error).to.be.instanceOf(ObjectLostError);
    const { detail } = error as ObjectLostError;
    expect(detail["object"]).to.equal(object);
    expect(detail["sources"]).to.have.members([
      `${a.name}: it has no copy`,
      `${b.name}: its copy has ${3 * MIB} bytes, not ${2 * MIB}`,
    ]);
    const nobody = await caught(c.puller.pull({ object, into, chunks: new ChunkMap(2 * MIB), sources: [] }));
    expect(nobody).to.be.instanceOf(ObjectLostError);
  });
});
