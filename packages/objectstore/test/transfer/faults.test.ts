import { expect } from "chai";
import { ConnectionError, newSecret, ObjectLostError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { Kind } from "../../src/transfer/frame.js";
import { chunkSum } from "../../src/transfer/sum.js";
import type { Source } from "../../src/transfer/types.js";
import { caught } from "./helpers/caught.js";
import { Cluster, noRpc, sourceOf, type TestNode } from "./helpers/cluster.js";
import { hereIs, Liar, type Answers } from "./helpers/liar.js";
import { newObject, type Target } from "./helpers/memory.js";
import { Proxy, type Harm } from "./helpers/proxy.js";

const MIB = 1 << 20;
const SIZE = 24 * MIB;

describe("pulling an object over a bad network or from bad sources", () => {
  let cluster: Cluster;
  let closing: { close(): Promise<void> }[];
  beforeEach(() => {
    cluster = new Cluster();
    closing = [];
  });
  afterEach(async () => {
    await cluster.close();
    await Promise.all(closing.map((one) => one.close()));
  });

  interface Scene {
    origin: TestNode;
    node: TestNode;
    object: string;
    bytes: Uint8Array;
    into: Target;
    readonly pull: (sources: Source[]) => Promise<void>;
  }
  async function scene(limits: Parameters<Cluster["node"]>[0] = {}): Promise<Scene> {
    const [origin, node] = [await cluster.node(), await cluster.node(limits)];
    const object = newObject();
    const bytes = cluster.put(origin, object, SIZE);
    const into = cluster.target(node, object, SIZE);
    const pull = (sources: Source[]): Promise<void> =>
      node.puller.pull({ object, into, chunks: into.chunks, sources });
    return { origin, node, object, bytes, into, pull };
  }
  async function through(node: TestNode, harm: (connection: number) => Harm): Promise<[Source, Proxy]> {
    const proxy = await Proxy.to(node.port.address, harm);
    closing.push(proxy);
    return [sourceOf(node, proxy.address), proxy];
  }
  async function liar(name: string, answers: Answers): Promise<Source> {
    const port = await Liar.listen(answers);
    closing.push(port);
    return { name, address: async () => port.address, read: noRpc };
  }

  it("goes on where it was when the connection is cut in the middle of a chunk, again and again", async () => {
    const { origin, into, bytes, pull } = await scene({ connectionsPerPeer: 1 });
    const [source, proxy] = await through(origin, (n) => (n < 4 ? { cutAt: 5 * MIB + 4321 } : {}));
    await pull([source]);
    expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
    expect(proxy.connections).to.be.greaterThan(4);
    expect(new Set(into.arrivals).size, "no chunk arrives twice").to.equal(into.arrivals.length);
  });

  it("asks again for a chunk that was damaged on its way", async () => {
    const { origin, into, bytes, pull } = await scene();
    const [source] = await through(origin, (n) => (n === 0 ? { flipAt: 3 * MIB } : {}));
    await pull([source]);
    expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
    expect(origin.sent).to.equal(SIZE + MIB);
  });

  it("gives a source up that sends damaged chunks only, and takes them from another", async () => {
    const { origin, into, bytes, pull, object, node } = await scene();
    const wrong = Buffer.alloc(MIB, 1);
    const bad = await liar("bad", (wire, frame) => {
      if (frame.kind === Kind.Open) hereIs(wire, frame, SIZE);
      if (frame.kind === Kind.Want)
        wire.sendChunk(Kind.Data, frame.channel, frame.index, wrong, Buffer.alloc(16), () => {});
    });
    await pull([bad, sourceOf(origin)]);
    expect(Buffer.compare(into.bytes, bytes)).to.equal(0);

    const alone = cluster.target(node, object, SIZE);
    const error = await caught(
      node.puller.pull({ object, into: alone, chunks: alone.chunks, sources: [bad] }),
    );
    expect(error).to.be.instanceOf(ObjectLostError);
    expect((error as ObjectLostError).detail["sources"]).to.deep.equal([
      "bad: 3 chunks from it were damaged",
    ]);
    expect(alone.arrivals).to.deep.equal([]);
  });

  const lies: Record<string, Answers> = {
    "a chunk that is too short": (wire, frame) => {
      const short = Buffer.alloc(MIB - 1);
      if (frame.kind === Kind.Open) hereIs(wire, frame, SIZE);
      else wire.sendChunk(Kind.Data, frame.channel, frame.index, short, chunkSum(short), () => {});
    },
    "a chunk that was not asked for": (wire, frame) => {
      const other = Buffer.alloc(MIB);
      if (frame.kind === Kind.Open) hereIs(wire, frame, SIZE);
      else wire.sendChunk(Kind.Data, frame.channel, 1000, other, chunkSum(other), () => {});
    },
    "chunks without bytes": (wire, frame) => {
      const none = new Uint8Array(0);
      if (frame.kind === Kind.Open) hereIs(wire, frame, SIZE);
      else wire.sendChunk(Kind.Data, frame.channel, frame.index, none, chunkSum(none), () => {});
    },
    "chunks of who knows what": (wire, frame) => {
      const chunk = new Uint8Array(MIB);
      if (frame.kind === Kind.Want)
        wire.sendChunk(Kind.Data, frame.channel, frame.index, chunk, chunkSum(chunk), () => {});
    },
    "an answer to no question": (wire) => wire.send(Kind.Stored, 77),
    "a frame of an unknown kind": (wire, frame) => wire.send(99 as typeof Kind.Data, frame.channel),
    "a chunk without end": (wire, frame) => {
      const endless = Buffer.alloc(3 * MIB);
      wire.sendChunk(Kind.Data, frame.channel, 0, endless, Buffer.alloc(16), () => {});
    },
  };
  for (const [lie, answers] of Object.entries(lies)) {
    it(`does without a source that sends ${lie}`, async () => {
      const { origin, into, bytes, pull, object, node } = await scene({ failures: 2 });
      const bad = await liar("bad", answers);
      await pull([bad, sourceOf(origin)]);
      expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
      const alone = cluster.target(node, object, SIZE);
      const error = await caught(
        node.puller.pull({ object, into: alone, chunks: alone.chunks, sources: [bad] }),
      );
      expect(error).to.be.instanceOf(ObjectLostError);
      expect(alone.arrivals).to.deep.equal([]);
      expect(node.puller.inFlight, "what was asked for is counted out again").to.equal(0);
    });
  }

  it("takes from a silent source what it was asked for, and gives it to others", async () => {
    const { origin, into, bytes, pull } = await scene({ silentMs: 300, failures: 1 });
    const other = await cluster.node();
    const [silent] = await through(other, () => ({ stallAt: 2 * MIB + 99 }));
    other.objects.set([...origin.objects.keys()][0] as string, [...origin.objects.values()][0] as never);
    await pull([silent, sourceOf(origin)]);
    expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
  });

  it("does not wait for a source that drips while another has nothing to do", async () => {
    const { origin, into, bytes, pull, object } = await scene({ slowMs: 300 });
    const other = await cluster.node();
    cluster.put(other, object, SIZE);
    const [slow] = await through(other, () => ({ trickle: 5000 }));
    const start = performance.now();
    await pull([slow, sourceOf(origin)]);
    expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
    expect(performance.now() - start).to.be.lessThan(5000);
  });

  it("loses a source that dies, not the object", async () => {
    const { origin, into, bytes, object, node } = await scene({ failures: 2 });
    const other = await cluster.node();
    cluster.put(other, object, SIZE);
    await node.puller.pull({
      object,
      into,
      chunks: into.chunks,
      sources: [sourceOf(other), sourceOf(origin)],
      onReceived: () => void other.port.close(),
    });
    expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
  });

  it("says of a key that is not right, and of nobody there, that the copy can't be read", async () => {
    const { origin, pull } = await scene({ failures: 1 });
    const wrong = sourceOf(origin, { ...origin.port.address, key: newSecret() });
    const closed = await cluster.node();
    await closed.port.close();
    const error = await caught(pull([wrong, sourceOf(closed)]));
    expect(error).to.be.instanceOf(ObjectLostError);
    const sources = (error as ObjectLostError).detail["sources"] as string[];
    expect(sources.map((text) => text.split(":")[0])).to.have.members([origin.name, closed.name]);
    expect(origin.sent).to.equal(0);
  });

  it("gives up two halves that wait for each other", async () => {
    const { node, into, object } = await scene({ silentMs: 300 });
    const half = await cluster.node();
    cluster.target(half, object, SIZE).chunks.add(0, chunkSum(new Uint8Array(MIB)));
    const error = await caught(
      node.puller.pull({ object, into, chunks: into.chunks, sources: [sourceOf(half)] }),
    );
    expect(error).to.be.instanceOf(ObjectLostError);
    expect(into.chunks.left).to.equal(SIZE / MIB - 1);
  });

  it("fails at once when the process takes no part any more", async () => {
    const { node, origin, pull } = await scene();
    const [stalled, proxy] = await through(origin, () => ({ stallAt: 2 * MIB }));
    const underWay = pull([stalled]);
    await eventually(() => proxy.connections > 0 && origin.sent > 0, "it is under way");
    node.puller.close();
    expect(await caught(underWay)).to.be.instanceOf(ConnectionError);
    expect(node.puller.inFlight).to.equal(0);
    expect(await caught(pull([sourceOf(origin)]))).to.be.instanceOf(ConnectionError);
  });
});
