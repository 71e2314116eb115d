/** Nodes that die, stall and come back while a program runs: it finishes with the right results. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { get, nodes, ready } from "stingray";
import { Tally, makeNumbers, rest, square, sum, where } from "./fixtures/life-tasks.js";
import { ClusterByHand, type HandMade } from "./support/by-hand.js";
import { eventually, isRunning } from "./support/eventually.js";

const TASKS = 60;
const SQUARES = Array.from({ length: TASKS }, (_, i) => i * i);

describe("a node that fails", function () {
  this.timeout(60_000);
  let cluster: ClusterByHand;
  beforeEach(async () => {
    cluster = await ClusterByHand.start([], []);
  });
  afterEach(() => cluster.end());

  const squares = (ms: number): Promise<number[]> =>
    get(Array.from({ length: TASKS }, (_, i) => square.remote(i, ms)));
  const notes = (): string => join(cluster.sandbox.directory, "notes");
  /** The calls that were carried out, by incarnation. */
  const carriedOut = (): { epoch: number; call: number }[] =>
    readFileSync(notes(), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => {
        const [epoch = 0, call = 0] = line.split(" ").map(Number);
        return { epoch, call };
      });
  const tallyOn = (node: string): ReturnType<typeof Tally.remote> =>
    Tally.options({ maxRestarts: 3, maxTaskRetries: 20, scheduling: { node, soft: true } }).remote(notes());
  async function home(): Promise<[home: HandMade, other: HandMade]> {
    const joined = await cluster.join();
    const mine = cluster.started.find(({ node }) => node === joined.nodeId);
    const other = cluster.started.find((made) => made !== mine);
    if (mine === undefined || other === undefined) throw new Error("the driver has no node on this machine");
    return [mine, other];
  }

  for (const which of ["the driver's own", "another"] as const)
    it(`loses no result when it is killed: ${which}`, async () => {
      const [mine, other] = await home();
      const victim = which === "another" ? other : mine;
      const tally = tallyOn(victim.node);
      await ready(tally);
      expect((await get(tally.where.remote())).node).to.equal(victim.node);
      const values = squares(60);
      const counted = get(Array.from({ length: 20 }, (_, i) => tally.add.remote(i, 50)));
      await eventually(() => carriedOut().length >= 3, "the actor has begun");
      const before = carriedOut()[0]?.epoch ?? 0;
      process.kill(cluster.agentOf(victim), "SIGKILL");
      expect(await values).to.deep.equal(SQUARES);
      // Its count began anew in the second incarnation, and no call ran twice in one.
      const last = (await counted).at(-1) ?? 0;
      const second = carriedOut().filter(({ epoch }) => epoch > before);
      expect(second.length).to.equal(last);
      expect(new Set(carriedOut().map(({ epoch, call }) => `${epoch} ${call}`)).size).to.equal(
        carriedOut().length,
      );
      expect(new Set(carriedOut().map(({ call }) => call)).size).to.equal(20);
      // The command starts an agent again.
      await cluster.sees(2);
      expect((await get(where.remote())).pid).to.be.greaterThan(0);
    });

  it("is replaced by its command under a new id, with room for new work", async () => {
    const [, other] = await home();
    process.kill(cluster.agentOf(other), "SIGKILL");
    const replaced = await eventually(
      async () =>
        (await nodes()).find(
          ({ node, state }) => state === "ALIVE" && cluster.started.every((s) => s.node !== node),
        ),
      "a new node is there",
    );
    expect((await get(where.options({ scheduling: { node: replaced.node } }).remote())).node).to.equal(
      replaced.node,
    );
  });

  it("has its lost objects made again", async () => {
    const [, other] = await home();
    const made = makeNumbers.options({ scheduling: { node: other.node, soft: true } }).remote(1 << 18);
    const on = sum.options({ scheduling: { node: other.node, soft: true } });
    expect((await get(on.remote(made))).node).to.equal(other.node);
    process.kill(cluster.agentOf(other), "SIGKILL");
    expect((await get(made)).length).to.equal(1 << 18);
  });

  it("may lose a worker at any moment", async () => {
    await home();
    const values = squares(40);
    const { pid } = await get(rest.remote(1));
    process.kill(pid, "SIGKILL");
    expect(await values).to.deep.equal(SQUARES);
    expect(isRunning(pid)).to.equal(false);
  });
});
