import { crc32 } from "node:zlib";
import { expect } from "chai";
import { ObjectLostError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { ChunkMap } from "../../src/transfer/chunks.js";
import { decodeHere, encodeHere } from "../../src/transfer/here.js";
import type { Source } from "../../src/transfer/types.js";
import { caught } from "./helpers/caught.js";
import { Cluster, sourceOf } from "./helpers/cluster.js";
import { fill, newObject, Target } from "./helpers/memory.js";
import { Proxy } from "./helpers/proxy.js";

const MIB = 1 << 20;
const SIZE = 12 * MIB + 5;
const OLD = "0011223344556677";
const NEW = "8899aabbccddeeff";

describe("an object that was made again under the same id", () => {
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

  it("never comes as a mixture: all chunks are of the copy that answered first", async () => {
    const [first, second, third, node] = await Promise.all([1, 2, 3, 4].map(() => cluster.node()));
    if (!first || !second || !third || !node) return;
    const object = newObject();
    const bytes = cluster.put(first, object, SIZE, 1, OLD);
    cluster.put(second, object, SIZE, 2, NEW);
    cluster.put(third, object, SIZE, 1, OLD);
    const into = cluster.target(node, object, SIZE);
    const slow = await Proxy.to(second.port.address, () => ({ trickle: 2000 }));
    closing.push(slow);
    const sources = [sourceOf(second, slow.address), sourceOf(first), sourceOf(third)];
    await node.puller.pull({ object, into, chunks: into.chunks, sources });
    expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
    expect([into.tags, into.chunks.tag, into.outgoing().chunks?.tag]).to.deep.equal([[OLD], OLD, OLD]);
  });

  it("is not gone on with: what has come before decides, and the reason is told", async () => {
    const [origin, node] = [await cluster.node(), await cluster.node()];
    const object = newObject();
    cluster.put(origin, object, SIZE, 2, NEW);
    const into = cluster.target(node, object, SIZE);
    expect(into.chunks.takes(OLD)).to.equal(true);
    const pull = node.puller.pull({ object, into, chunks: into.chunks, sources: [sourceOf(origin)] });
    const error = (await caught(pull)) as ObjectLostError;
    expect(error).to.be.instanceOf(ObjectLostError);
    expect(error.message).to.contain("made again");
    expect([into.arrivals, node.puller.inFlight]).to.deep.equal([[], 0]);
  });

  it("is told by those who have a part only before they send any of it", async () => {
    const [half, node] = [await cluster.node(), await cluster.node({ silentMs: 400 })];
    const object = newObject();
    const part = cluster.target(half, object, SIZE);
    const into = cluster.target(node, object, SIZE);
    expect(into.chunks.takes(NEW)).to.equal(true);
    const pull = caught(node.puller.pull({ object, into, chunks: into.chunks, sources: [sourceOf(half)] }));
    await eventually(() => half.port.connections > 0, "it is asked");
    part.chunks.takes(OLD);
    for (let i = 0; i < part.chunks.count; i++) part.chunks.add(i);
    expect(await pull).to.be.instanceOf(ObjectLostError);
    expect(into.arrivals).to.deep.equal([]);
  });

  it("is served with its own checksums, though others still get the one before", async () => {
    const [origin, a, b] = [await cluster.node(), await cluster.node(), await cluster.node()];
    const object = newObject();
    cluster.put(origin, object, SIZE, 1, OLD);
    const slow = await Proxy.to(origin.port.address, () => ({ trickle: 5000 }));
    closing.push(slow);
    const stop = new AbortController();
    const into = cluster.target(a, object, SIZE);
    const sources = [sourceOf(origin, slow.address)];
    const first = caught(a.puller.pull({ object, into, chunks: into.chunks, sources, signal: stop.signal }));
    await eventually(() => origin.sent > 0, "it has begun");
    const bytes = cluster.put(origin, object, SIZE, 2, NEW);
    const anew = cluster.target(b, object, SIZE);
    await b.puller.pull({ object, into: anew, chunks: anew.chunks, sources: [sourceOf(origin)] });
    expect(Buffer.compare(anew.bytes, bytes)).to.equal(0);
    stop.abort(new Error("enough"));
    await first;
  });

  it("is found out over the RPC links as well, between the parts of a chunk and between chunks", async () => {
    const whole = 12 * MIB; // each chunk is read in two parts
    const [old, young] = [1, 2].map((seed) => fill(new Uint8Array(whole), seed));
    for (const from of [1, 7]) {
      const node = await cluster.node({ failures: 2 });
      let reads = 0;
      const source: Source = {
        name: "far",
        address: async () => undefined,
        read: async (offset, length) => {
          const again = reads++ >= from;
          const bytes = (again ? young : old)?.slice(offset, offset + length) ?? new Uint8Array(0);
          return { bytes, size: whole, crc: crc32(bytes), tag: again ? NEW : OLD };
        },
      };
      const into = new Target(new Uint8Array(whole));
      const pull = node.puller.pull({ object: newObject(), into, chunks: into.chunks, sources: [source] });
      if (from === 1) {
        await pull; // nothing of the old one had come
        expect([into.tags, Buffer.compare(into.bytes, young as Uint8Array)]).to.deep.equal([[NEW], 0]);
      } else {
        expect((await caught(pull)).message).to.contain("made again");
        expect([into.tags, into.arrivals.length]).to.deep.equal([[OLD], 3]);
      }
    }
  });

  it("those who know no tags are believed", async () => {
    const node = await cluster.node();
    const bytes = fill(new Uint8Array(SIZE), 3);
    const read: Source["read"] = async (offset, length) => {
      const piece = bytes.slice(offset, offset + length);
      return { bytes: piece, size: SIZE, crc: crc32(piece) };
    };
    const into = new Target(new Uint8Array(SIZE));
    const sources = [{ name: "far", address: async () => undefined, read }];
    await node.puller.pull({ object: newObject(), into, chunks: into.chunks, sources });
    expect([into.tags, Buffer.compare(into.bytes, bytes)]).to.deep.equal([[], 0]);
  });

  it("a tag goes through what a port says of an object, whatever else it says", () => {
    const map = new ChunkMap(SIZE);
    for (const tag of [undefined, NEW])
      for (const has of [undefined, map.bits()])
        for (const offers of [undefined, map.bits()]) {
          const here = { size: SIZE, tag, has, offers };
          expect(decodeHere(encodeHere(here))).to.deep.equal(here);
        }
  });
});
