/** `stingray memory` and `stingray status` on a cluster whose stores are in use. */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { get, kill, put, type ObjectRef } from "stingray";
import { eventually } from "stingray/testing";
import { Keeper, makeNumbers } from "./fixtures/life-tasks.js";
import { ClusterByHand } from "./support/by-hand.js";

const MIB = 1024 ** 2;

interface Row {
  object: string;
  node: string;
  size: number;
  state: string;
  copy: boolean;
  pinned: boolean;
  origin?: string;
  owner: { process: string; kind: string; state: string; pid: number; node: string };
  references: { handles: number; pins: number; borrowers: number } | string;
}
interface Report {
  nodes: { node: string; figures: Record<string, number>; objects: Row[] }[];
  byOwner: { process: string; objects: number; memory: { inlineBytes: number; slabBytes: number } }[];
  byOrigin: { origin: string; objects: number }[];
}

describe("the memory of two nodes", function () {
  this.timeout(40_000);
  let cluster: ClusterByHand;
  let own: string;
  let other: string;
  let spillDir: string;
  const refs: ObjectRef[] = [];
  async function shown(...args: string[]): Promise<string> {
    const command = cluster.sandbox.stingray(args, cluster.settings);
    await command.succeeds();
    return command.stdout;
  }
  async function memory(...args: string[]): Promise<Report> {
    const { clusters } = JSON.parse(await shown("memory", "--json", ...args)) as { clusters: [Report] };
    return clusters[0];
  }
  const rowsOf = (report: Report): Row[] => report.nodes.flatMap(({ objects }) => objects);

  before(async () => {
    cluster = await ClusterByHand.start();
    spillDir = join(cluster.sandbox.directory, "spilled");
    const size = ["--object-store-memory", "24MiB", "--spill-dir", spillDir, "--data-host", "127.0.0.1"];
    mkdirSync(spillDir);
    for (const name of ["left", "right"])
      cluster.started.push(await cluster.node(...size, "--labels", `name=${name}`));
    const [first, second] = await cluster.joinOne();
    [own, other] = [first.node, second.node];
  });
  after(() => cluster.end());

  it("is shown with owners, references and places, of small values by process", async () => {
    const made = makeNumbers.options({ scheduling: { node: other } }).remote((2 * MIB) / 8);
    const view = await get(made);
    const kept = await put(new Uint8Array(MIB));
    await put("small").then((ref) => refs.push(ref));
    const keeper = Keeper.options({ scheduling: { node: other } }).remote();
    await get(keeper.keep.remote([kept]));
    refs.push(made, kept);

    const report = await eventually(async () => {
      const report = await memory();
      return rowsOf(report).find(({ object }) => object === kept.id)?.references !== undefined && report;
    }, "both nodes and their processes answer");
    const rows = rowsOf(report).filter(({ object }) => object === made.id);
    expect(rows.map(({ node, copy, pinned }) => ({ node, copy, pinned }))).to.deep.include.members([
      { node: other, copy: false, pinned: false },
      { node: own, copy: true, pinned: true },
    ]);
    expect(rows[0]?.owner).to.deep.include({ kind: "driver", state: "there", pid: process.pid, node: own });
    const held = rowsOf(report).find(({ object }) => object === kept.id);
    expect(held).to.deep.include({ node: own, state: "memory", copy: false });
    expect(held?.origin).to.match(/memory-command\.test/);
    expect(held?.references).to.deep.equal({ handles: 1, pins: 0, borrowers: 1 });
    const me = report.byOwner.find(({ process: id }) => id === held?.owner.process);
    expect(me?.objects).to.equal(2);
    expect((me?.memory.slabBytes ?? 0) + (me?.memory.inlineBytes ?? 0)).to.be.greaterThan(0);
    expect(view.length).to.equal((2 * MIB) / 8);
    await kill(keeper);
  });

  it("is shown as it is spilled, in both commands", async () => {
    for (let i = 0; i < 4; i++) refs.push(await put(new Uint8Array(10 * MIB)));
    const report = await memory("--node", own, "--limit", "3", "--sort", "size");
    expect(report.nodes.map(({ node }) => node)).to.deep.equal([own]);
    expect(report.nodes[0]?.objects).to.have.length(3);
    expect(report.nodes[0]?.objects.some(({ state }) => state === "spilled")).to.equal(true);
    expect(report.nodes[0]?.figures["spilledTotal"]).to.be.greaterThan(10 * MIB);
    expect(readdirSync(spillDir)).to.have.length.greaterThan(0);
    const text = await shown("memory", "--node", own, "--group-by", "origin");
    expect(text)
      .to.match(/Objects made .*memory-command\.test/)
      .and.to.match(/spilled/);
    await eventually(
      async () => new RegExp(`store of ${own}: .* MiB on disk`).test(await shown("status")),
      "its figures are told to the other node",
    );
  });

  it("is empty when nothing is referenced any more", async () => {
    for (const ref of refs.splice(0)) ref.release();
    await eventually(
      async () =>
        (await memory()).nodes.every(
          ({ objects, figures }) => objects.length === 0 && figures["onDisk"] === 0,
        ),
      "no object is left",
    );
  });
});
