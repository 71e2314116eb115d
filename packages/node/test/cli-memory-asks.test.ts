import { EmbeddedBroker } from "@stingray/broker/server";
import { connectBroker } from "@stingray/broker/connect";
import { newWorkerId, objectIdOf, type NodeView, type StoreListing } from "@stingray/protocol";
import { expect } from "chai";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MemoryReport } from "../src/cli/memory-report.js";
import { stingrayHere } from "./support/command.js";
import { someFigures } from "./support/listings.js";
import { standIn, type StandIn } from "./support/stand-ins.js";

const worker = newWorkerId();
let sequence = 0;

function listing(size: number, ageMs: number): StoreListing {
  const object = objectIdOf(worker, ++sequence, 0);
  return {
    figures: someFigures({ used: size, objects: 1 }),
    objects: [{ object, size, state: "memory", copy: false, pinned: false, ageMs, origin: "a.ts:1:1" }],
    more: 0,
    moreBytes: 0,
    processes: [],
    silent: [],
  };
}

describe("stingray memory, whom it asks", function () {
  this.timeout(20_000);
  let runtimeDir: string;
  let nodes: NodeView[];
  let agents: StandIn[];
  const nowhere = { connection: undefined, servers: ["nats://127.0.0.1:9"] };
  async function add(...args: [listing: StoreListing | undefined, broker?: Parameters<typeof standIn>[3]]) {
    const agent = await standIn(runtimeDir, () => nodes, args[0], args[1] ?? nowhere);
    agents.push(agent);
    nodes.push(agent.view);
    return agent.view.node;
  }
  async function memory(...args: string[]): Promise<MemoryReport> {
    const { code, stdout, stderr } = await stingrayHere(runtimeDir, ["memory", "--json", ...args]);
    expect(code, stderr).to.equal(0);
    const { clusters } = JSON.parse(stdout) as { clusters: MemoryReport[] };
    expect(clusters).to.have.length(1);
    return clusters[0] as MemoryReport;
  }

  beforeEach(() => {
    runtimeDir = mkdtempSync(join(tmpdir(), "st-mem-"));
    nodes = [];
    agents = [];
  });
  afterEach(async () => {
    await Promise.all(agents.map((agent) => agent.stop()));
    rmSync(runtimeDir, { recursive: true, force: true });
  });

  it("asks each node of this machine through its own socket, without a broker", async () => {
    const [first, second] = [await add(listing(100, 9_000)), await add(listing(200, 1_000))];
    const report = await memory();
    expect(report.nodes.map(({ node, figures }) => [node, figures?.used])).to.deep.equal([
      [first, 100],
      [second, 200],
    ]);
    expect(report.byOrigin).to.deep.equal([{ origin: "a.ts:1:1", objects: 2, bytes: 300, copyBytes: 0 }]);
    expect(report.byOwner.map(({ process, state }) => [process, state])).to.deep.equal([[worker, "gone"]]);

    expect((await memory("--node", second)).nodes.map(({ node }) => node)).to.deep.equal([second]);
    expect((await memory("--limit", "0")).nodes).to.deep.include.members([
      { ...report.nodes[0], objects: [], more: 1, moreBytes: 100 },
    ]);
    const shown = await stingrayHere(runtimeDir, ["memory", "--group-by", "owner", "--sort", "age"]);
    expect(shown.stdout.indexOf(` ${first} `), "the older one first").to.be.lessThan(
      shown.stdout.indexOf(` ${second} `),
    );
    const none = await stingrayHere(runtimeDir, ["memory", "--node", "n00000000000a"]);
    expect(none.code).to.equal(1);
    expect(none.stderr).to.match(new RegExp(`no live node n00000000000a; there are: ${first}, ${second}`));
    expect((await stingrayHere(runtimeDir, ["memory", "--owner", "x"])).code).to.equal(2);
  });

  it("says which nodes don't answer, and why; a dead one is not asked", async () => {
    await add(listing(100, 0));
    const old = await add(undefined);
    nodes.push({ ...nodes[0]!, node: "n00000000000a", agent: "g00000000000a", state: "DEAD" });
    nodes.push({ ...nodes[0]!, node: "n00000000000b", agent: "g00000000000b" });
    const report = await memory();
    const failed = new Map(report.nodes.map((node) => [node.node, node.failed]));
    expect(failed.get(old)).to.match(/store\.list.*version/);
    expect(failed.get("n00000000000b")).to.match(/broker can't be asked.*--address/);
    expect(failed.has("n00000000000a")).to.equal(false);
    expect(report.byOwner[0]?.state, "it may be on one of those").to.equal("unknown");
    nodes = nodes.filter(({ node }) => node === old);
    const nothing = await stingrayHere(runtimeDir, ["memory"]);
    expect(nothing.code).to.equal(1);
    expect(nothing.stdout).to.match(/does not answer: /);
  });

  it("asks the nodes of other machines through the broker, given or named by a node of this one", async () => {
    const broker = await EmbeddedBroker.start({ token: "sesame" });
    const connection = await connectBroker(broker.options);
    try {
      const far = await add(listing(300, 0), { connection, servers: [broker.url] });
      const given = await memory("--address", broker.url, "--token", "sesame");
      expect(given.nodes.map(({ node, figures }) => [node, figures?.used])).to.deep.equal([[far, 300]]);
      const near = await add(listing(100, 0), { connection: undefined, servers: [broker.url] });
      const found = await memory("--token", "sesame");
      expect(found.nodes.map(({ node, figures }) => [node, figures?.used])).to.deep.equal([
        [far, 300],
        [near, 100],
      ]);
      expect((await memory()).nodes[0]?.failed).to.match(/broker can't be asked/);
    } finally {
      await Promise.all(agents.splice(0).map((agent) => agent.stop()));
      await connection.close();
      await broker.stop();
    }
  });
});
