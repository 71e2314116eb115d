import { createServer, type AddressInfo } from "node:net";
import { expect } from "chai";
import { newSecret, ObjectLostError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { PULL_LIMITS } from "../../src/transfer/limits.js";
import { Pool } from "../../src/transfer/pool.js";
import { caught } from "./helpers/caught.js";
import { Cluster } from "./helpers/cluster.js";
import { newObject } from "./helpers/memory.js";

const open = (link: Awaited<ReturnType<Pool["link"]>>): number =>
  link.open(newObject(), {
    here() {},
    room: (_, length) => new Uint8Array(length),
    data() {},
    declined() {},
    holders() {},
    gone() {},
    again() {},
    stored() {},
    cut() {},
  });

describe("connections to data ports", () => {
  let cluster: Cluster;
  let pool: Pool;
  beforeEach(() => {
    cluster = new Cluster();
  });
  afterEach(async () => {
    pool.close();
    await cluster.close();
  });
  const make = (limits: Partial<typeof PULL_LIMITS> = {}): void => {
    pool = new Pool({ name: "me", serves: () => undefined, limits: { ...PULL_LIMITS, ...limits } });
  };

  it("a port that can't be had a second time is used over the connection that stands", async () => {
    make();
    const pending: (() => void)[] = [];
    const node = await cluster.node({
      port: { connections: 1 },
      open: () => new Promise((resolve) => pending.push(() => resolve(undefined))),
    });
    const { address } = node.port;
    const first = await pool.link(address);
    open(first);
    // Its channel is busy, so that a second connection is tried, and refused.
    expect(await pool.link(address)).to.equal(first);
    await eventually(() => node.problems.length > 0, "a second one was refused");
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      expect(await pool.link(address)).to.equal(first);
      open(first);
    }
    expect(node.problems.length, "no storm of attempts").to.equal(1);
    for (const answer of pending) answer();
  });

  it("one that could not be reached is left alone for a while, and then forgotten", async () => {
    make({ idleMs: 40, unreachableMs: 150 });
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const address = { hosts: ["127.0.0.1"], port, key: newSecret() };
    const error = await caught(pool.link(address));
    expect(await caught(pool.link(address))).to.equal(error);
    expect(error).to.be.instanceOf(Error).and.not.instanceOf(ObjectLostError);
    expect(pool.known).to.equal(1);
    await eventually(() => pool.known === 0, "it is forgotten");
    expect(await caught(pool.link(address))).to.not.equal(error);
  });
});
