/** The broker is killed and comes back, with its data and on its port, while programs run. */
import { expect } from "chai";
import { get } from "stingray";
import { eventually } from "stingray/testing";
import { Keeper, rest, square, where } from "./fixtures/life-tasks.js";
import { ClusterByHand } from "./support/by-hand.js";

describe("a broker that is killed and started again", function () {
  this.timeout(60_000);
  let cluster: ClusterByHand;
  let own: string;
  let other: string;
  before(async () => {
    cluster = await ClusterByHand.start([], []);
    own = (await cluster.join()).nodeId ?? "";
    other = cluster.started.find(({ node }) => node !== own)?.node ?? "";
    await get([own, other].map((node) => where.options({ scheduling: { node } }).remote()));
  });
  after(() => cluster.end());

  it("stops no program: work on the program's node goes on, other work resumes", async () => {
    const [near, far] = [own, other].map((node) => Keeper.options({ scheduling: { node } }).remote());
    if (near === undefined || far === undefined) throw new Error("no actors");
    await get([near.keep.remote(1), far.keep.remote(2)]);
    const running = Array.from({ length: 40 }, (_, i) => square.remote(i, 100));
    const there = rest.options({ scheduling: { node: other } }).remote(1_000);
    await cluster.broker.kill("SIGKILL");
    // Nothing leads to the other node now; this one needs no broker.
    expect(await get(near.kept.remote(), { timeoutMs: 5_000 })).to.equal(1);
    const local = square.options({ scheduling: { node: own } });
    expect(await get(local.remote(7, 0), { timeoutMs: 5_000 })).to.equal(49);
    const asked = far.kept.remote();
    await cluster.broker.restart();
    expect(await get(asked)).to.equal(2);
    expect(await get(running)).to.deep.equal(Array.from({ length: 40 }, (_, i) => i * i));
    expect((await get(there)).node).to.equal(other);
    await cluster.sees(2);
  });

  it("takes new work and new actors on every node afterwards, and shows them", async () => {
    for (const node of [own, other]) {
      const actor = Keeper.options({ scheduling: { node } }).remote();
      await get(actor.keep.remote(node));
      expect((await get(actor.where.remote())).node).to.equal(node);
      expect((await get(where.options({ scheduling: { node } }).remote())).node).to.equal(node);
    }
    const status = cluster.sandbox.stingray(["status"], cluster.settings);
    await status.succeeds();
    expect(status.stdout).to.contain(own).and.to.contain(other);
    const program = cluster.sandbox.program("life-program.js", ["join and end"], cluster.settings);
    await program.succeeds();
  });

  it("may stay away for longer than a node may be silent, and nobody is given up for that", async () => {
    const actor = Keeper.options({ scheduling: { node: other } }).remote();
    const { pid } = await get(actor.where.remote());
    await cluster.broker.kill("SIGKILL");
    const began = performance.now();
    // A node is given up after five seconds.
    while (performance.now() - began < 7_000)
      expect(await get(square.options({ scheduling: { node: own } }).remote(4, 200))).to.equal(16);
    await cluster.broker.restart();
    expect((await get(actor.where.remote())).pid).to.equal(pid);
    expect((await cluster.sees(2)).toSorted()).to.deep.equal([own, other].toSorted());
    await eventually(
      async () => (await get(where.options({ scheduling: { node: other } }).remote())).node === other,
      "work there",
    );
  });
});
