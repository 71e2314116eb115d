import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { expect } from "chai";
import { AuthError, newSecret, ProtocolError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { dial } from "../../src/transfer/dial.js";
import { encodeHeader, Kind } from "../../src/transfer/frame.js";
import { Link, type LinkChannel } from "../../src/transfer/link.js";
import { caught } from "./helpers/caught.js";
import { Cluster, sourceOf, type TestNode } from "./helpers/cluster.js";
import { newObject } from "./helpers/memory.js";
import { Proxy } from "./helpers/proxy.js";

const MIB = 1 << 20;

describe("a data port", () => {
  let cluster: Cluster;
  let sockets: Socket[];
  beforeEach(() => {
    cluster = new Cluster();
    sockets = [];
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await cluster.close();
  });

  async function raw(node: TestNode): Promise<Socket> {
    const socket = connect(node.port.address.port, "127.0.0.1");
    sockets.push(socket);
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
  }
  /** However it ends. */
  async function closed(socket: Socket): Promise<void> {
    socket.resume();
    await eventually(() => socket.closed, "the port hung up");
  }
  const options = { name: "peer", serves: undefined, timeoutMs: 2000 };
  async function link(node: TestNode, address = node.port.address): Promise<Link> {
    const { wire, session } = await dial(address, options);
    return new Link(wire, session, () => {});
  }
  /** A channel that notes what it is told. */
  function noting(said: string[]): LinkChannel {
    return {
      here: ({ size }) => void said.push(`here ${size}`),
      room: (_, length) => new Uint8Array(length),
      data: (index) => void said.push(`data ${index}`),
      declined: (index) => void said.push(`declined ${index}`),
      holders: () => void said.push("holders"),
      gone: (reason) => void said.push(`gone ${reason}`),
      again: (index) => void said.push(`again ${index}`),
      stored: () => void said.push("stored"),
      cut: () => void said.push("cut"),
    };
  }
  async function works(node: TestNode): Promise<void> {
    const [other, object] = [await cluster.node(), newObject()];
    const bytes = cluster.put(node, object, MIB + 5);
    const into = cluster.target(other, object, bytes.length);
    await other.puller.pull({ object, into, chunks: into.chunks, sources: [sourceOf(node)] });
    expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
  }

  it("refuses one that does not know the key, and both say so", async () => {
    const node = await cluster.node();
    const wrong = { ...node.port.address, key: newSecret() };
    expect(await caught(dial(wrong, options))).to.be.instanceOf(AuthError);
    // One that does not mind whether the port knows it:
    const socket = await raw(node);
    const say = (kind: Kind, body: object): void => {
      const text = Buffer.from(JSON.stringify(body));
      socket.write(Buffer.concat([encodeHeader(kind, 0, 0, text.length), text]));
    };
    let heard = "";
    socket.on("data", (chunk) => (heard += chunk.toString("latin1")));
    const { PROTOCOL_VERSION: version } = await import("@stingray/protocol");
    say(Kind.Hello, { version, name: "thief", nonce: Buffer.alloc(16).toString("base64") });
    await eventually(() => heard.length > 0, "it answers");
    say(Kind.Proven, { proof: Buffer.alloc(32).toString("base64") });
    await closed(socket);
    expect(heard).to.include("AUTH");
    await eventually(() => node.problems.length > 0, "it was reported");
    expect(node.problems.map((error) => error instanceof AuthError)).to.deep.equal([true]);
    await works(node);
  });

  it("refuses another version of the protocol", async () => {
    const node = await cluster.node();
    const socket = await raw(node);
    const text = Buffer.from(
      JSON.stringify({ version: 999, name: "old", nonce: Buffer.alloc(16).toString("base64") }),
    );
    socket.write(Buffer.concat([encodeHeader(Kind.Hello, 0, 0, text.length), text]));
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString("latin1")).to.include("PROTOCOL");
    await eventually(() => node.problems.length > 0, "it was reported");
    expect(node.problems[0]).to.be.instanceOf(ProtocolError);
  });

  it("survives what is not its protocol", async () => {
    const node = await cluster.node();
    const garbage = [
      Buffer.from("GET /a/b/c HTTP/1.1\r\nHost: example\r\n\r\n"),
      Buffer.alloc(100_000, 0xff),
      encodeHeader(Kind.Hello, 0, 0, 0xffff_ffff),
      Buffer.concat([encodeHeader(Kind.Hello, 0, 0, 4), Buffer.from("{{{{")]),
      encodeHeader(Kind.Want, 0, 0, 0),
    ];
    for (const bytes of garbage) {
      const socket = await raw(node);
      socket.write(bytes);
      await closed(socket);
    }
    await eventually(() => node.problems.length === garbage.length, "each was reported");
    await eventually(() => node.port.connections === 0, "all are gone");
    await works(node);
  });

  it("hangs up on those who say nothing, stop in the middle, or take nothing", async () => {
    const limits = { handshakeMs: 200, stallMs: 200, lingerMs: 200 };
    const node = await cluster.node({ port: limits });
    const object = newObject();
    cluster.put(node, object, 64 * MIB);
    await raw(node); // says nothing
    const slow = await raw(node);
    slow.write(encodeHeader(Kind.Hello, 0, 0, 100).subarray(0, 7)); // stops in the middle of the header
    const deaf = await Proxy.to(node.port.address, () => ({ deafAt: MIB }));
    const taker = await link(node, deaf.address);
    const channel = taker.open(object, noting([]));
    for (let i = 0; i < 64; i++) taker.want(channel, i, false);
    await eventually(() => node.port.connections === 0, "all are gone");
    await eventually(() => node.opened.count === 0, "nothing is open any more");
    await deaf.close();
    await works(node);
  });
  it("has room for a bounded number of strangers and of connections", async () => {
    const node = await cluster.node({ port: { unproven: 3 } });
    for (let i = 0; i < 3; i++) await raw(node);
    await eventually(() => node.port.connections === 3, "they are there");
    const fourth = await raw(node);
    await closed(fourth);
    expect(node.port.connections).to.equal(3);
  });

  it("opens nothing but objects, and only those that it has", async () => {
    const node = await cluster.node({ open: async (object) => expect.fail(`asked for ${object}`) });
    for (const forged of ["../../etc/passwd", "", "x".repeat(3000)]) {
      const one = await link(node);
      const said: string[] = [];
      one.open(forged, noting(said));
      await eventually(() => said.includes("cut"), "it hung up");
    }
    const other = await cluster.node();
    const two = await link(other);
    const said: string[] = [];
    two.open(newObject(), noting(said));
    await eventually(() => said.length > 0, "it answered");
    expect(said).to.deep.equal(["gone it has no copy"]);
  });

  it("cuts one that asks for too much, or for a chunk that there is not", async () => {
    const node = await cluster.node({ port: { wants: 8, channels: 2 } });
    const object = newObject();
    cluster.put(node, object, 20 * MIB);
    const asked = async (work: (link: Link, channel: number) => void): Promise<void> => {
      const one = await link(node);
      const said: string[] = [];
      work(one, one.open(object, noting(said)));
      await eventually(() => said.includes("cut"), "it hung up");
    };
    await asked((one, channel) => one.want(channel, 20, false));
    await asked((one, channel) => {
      for (let i = 0; i < 20; i++) one.want(channel, i, false);
    });
    await asked((one) => {
      for (let i = 0; i < 2; i++) one.open(object, noting([]));
    });
    await eventually(() => node.opened.count === 0, "all is closed");
    await works(node);
  });

  it("tells what opening an object throws, and goes on", async () => {
    const node = await cluster.node({ open: () => Promise.reject(new Error("the disk is on fire")) });
    const one = await link(node);
    const said: string[] = [];
    one.open(newObject(), noting(said));
    await eventually(() => said.length > 0, "it answered");
    expect(said).to.deep.equal(["gone the disk is on fire"]);
    expect(node.port.connections).to.equal(1);
    one.destroy(new Error("the test is over"));
  });
});
