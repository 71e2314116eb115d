import { crc32 } from "node:zlib";
import { expect } from "chai";
import { ConnectionError, ObjectLostError, type DataAddress } from "@stingray/protocol";
import { PIECE_BYTES, type Source } from "../../src/transfer/types.js";
import { caught } from "./helpers/caught.js";
import { Cluster } from "./helpers/cluster.js";
import { fill, newObject, Target } from "./helpers/memory.js";

const SIZE = (6 << 20) + 4321;

describe("bytes over the RPC links", () => {
  let cluster: Cluster;
  beforeEach(() => {
    cluster = new Cluster();
  });
  afterEach(() => cluster.close());

  interface Remote extends Source {
    reads: number;
    most: number;
  }
  /** `spoil` may change an answer, or throw. */
  function remote(
    bytes: Uint8Array,
    address?: DataAddress,
    spoil: (read: number, piece: Uint8Array) => void = () => {},
  ): Remote {
    let active = 0;
    const source: Remote = {
      name: "far",
      reads: 0,
      most: 0,
      address: async () => address,
      async read(offset, length) {
        expect(length).to.be.at.most(PIECE_BYTES);
        source.most = Math.max(source.most, ++active);
        await new Promise((resolve) => setImmediate(resolve));
        active--;
        const piece = bytes.slice(offset, offset + length);
        const crc = crc32(piece);
        spoil(source.reads++, piece);
        return { bytes: piece, size: bytes.length, crc };
      },
    };
    return source;
  }

  it("are used where there is no data port, or none that can be reached", async () => {
    const gone = await cluster.node();
    await gone.port.close();
    const bytes = fill(new Uint8Array(SIZE), 3);
    for (const address of [undefined, { hosts: [], port: 0, key: "" }, gone.port.address]) {
      const node = await cluster.node();
      const into = new Target(cluster.memory.room(SIZE));
      const source = remote(bytes, address);
      await node.puller.pull({ object: newObject(), into, chunks: into.chunks, sources: [source] });
      expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
      expect(source.most).to.be.within(2, 8);
    }
  });

  it("are checked and asked for again", async () => {
    const node = await cluster.node();
    const bytes = fill(new Uint8Array(SIZE), 3);
    const into = new Target(cluster.memory.room(SIZE));
    const source = remote(bytes, undefined, (read, piece) => {
      if (read === 3) piece[17] = (piece[17] as number) ^ 1;
      if (read === 6) throw new ConnectionError("the link is down");
    });
    await node.puller.pull({ object: newObject(), into, chunks: into.chunks, sources: [source] });
    expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
  });

  it("end the pull when the source has no copy, or never answers", async () => {
    const node = await cluster.node({ silentMs: 100, failures: 2 });
    const silent: Source = {
      name: "silent",
      address: async () => undefined,
      read: () => new Promise(() => {}),
    };
    const lost: Source = {
      name: "lost",
      address: () => new Promise(() => {}),
      read: () => Promise.reject(new ObjectLostError("there is no copy here")),
    };
    const other = await cluster.node({ silentMs: 100, failures: 2, connectTimeoutMs: 100 });
    for (const [one, source] of [
      [node, silent],
      [other, lost],
    ] as const) {
      const into = new Target(new Uint8Array(SIZE));
      const error = await caught(
        one.puller.pull({ object: newObject(), into, chunks: into.chunks, sources: [source] }),
      );
      expect(error).to.be.instanceOf(ObjectLostError);
      expect(one.puller.inFlight).to.equal(0);
    }
  });

  it("carry uploads too", async () => {
    const node = await cluster.node();
    const bytes = fill(new Uint8Array(SIZE), 4);
    const into = new Uint8Array(SIZE);
    let failures = 0;
    const to: Source = {
      ...remote(bytes),
      async write(offset, piece, crc) {
        expect(crc32(piece)).to.equal(crc);
        if (failures++ === 2) throw new ConnectionError("the link is down");
        into.set(piece, offset);
      },
    };
    await node.puller.push({ object: newObject(), from: bytes, to });
    expect(Buffer.compare(into, bytes)).to.equal(0);
    const full: Source = { ...to, write: () => Promise.reject(new ObjectLostError("it was freed")) };
    expect(await caught(node.puller.push({ object: newObject(), from: bytes, to: full }))).to.be.instanceOf(
      ObjectLostError,
    );
  });
});
