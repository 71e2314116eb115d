import { expect } from "chai";
import { Cluster, sourceOf } from "./helpers/cluster.js";
import { newObject } from "./helpers/memory.js";

const SIZE = 48 << 20;
const NODES = 8;

describe("an object that many want at once", () => {
  let cluster: Cluster;
  beforeEach(() => {
    cluster = new Cluster();
  });
  afterEach(() => cluster.close());

  it("is mostly passed on among them", async function () {
    this.timeout(20_000);
    const origin = await cluster.node();
    const object = newObject();
    const bytes = cluster.put(origin, object, SIZE);
    const nodes = await Promise.all(Array.from({ length: NODES }, () => cluster.node()));
    await Promise.all(
      nodes.map(async (node) => {
        const into = cluster.target(node, object, SIZE);
        await node.puller.pull({ object, into, chunks: into.chunks, sources: [sourceOf(origin)] });
        expect(Buffer.compare(into.bytes, bytes)).to.equal(0);
      }),
    );
    const all = nodes.reduce((sum, { sent }) => sum + sent, origin.sent);
    expect(all, "nothing is sent twice to the same").to.be.at.most(NODES * SIZE * 1.05);
    expect(origin.sent).to.be.lessThan(NODES * SIZE * 0.35);
    expect([origin, ...nodes].flatMap(({ problems }) => problems)).to.deep.equal([]);
  });

  it("comes from the origin after all when those it was given to do not pass it on", async function () {
    this.timeout(10_000);
    const origin = await cluster.node();
    const object = newObject();
    const bytes = cluster.put(origin, object, SIZE);
    // It says where its port is, but has nothing there.
    const selfish = await cluster.node();
    const one = cluster.target(selfish, object, bytes.length);
    selfish.objects.clear();
    const other = await cluster.node();
    const two = cluster.target(other, object, bytes.length);
    const sources = [sourceOf(origin)];
    await selfish.puller.pull({ object, into: one, chunks: one.chunks, sources });
    const start = performance.now();
    await other.puller.pull({ object, into: two, chunks: two.chunks, sources });
    expect(Buffer.compare(two.bytes, bytes)).to.equal(0);
    expect(selfish.sent).to.equal(0);
    expect(performance.now() - start).to.be.lessThan(4000);
  });
});
