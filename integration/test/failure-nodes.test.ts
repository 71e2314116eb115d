/** A node that dies while a program runs: it finishes with the right results. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { get, ready } from "stingray";
import { Tally, square, where } from "./fixtures/life-tasks.js";
import { ClusterByHand } from "./support/by-hand.js";
import { eventually } from "./support/eventually.js";

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
  for (const which of ["the driver's own", "another"] as const)
    it(`loses no result when it is killed: ${which}`, async () => {
      const [mine, other] = await cluster.joinOne();
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
});
