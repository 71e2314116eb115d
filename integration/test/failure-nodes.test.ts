/** A node that dies while a program runs: it finishes with the right results. */
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { get, ready } from "stingray";
import { eventually, testCluster, type TestCluster } from "stingray/testing";
import { Tally, square, where } from "./fixtures/life-tasks.js";

const TASKS = 60;
const SQUARES = Array.from({ length: TASKS }, (_, i) => i * i);

describe("a node that fails", function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  beforeEach(async () => {
    cluster = await testCluster({ nodes: 2 });
  });
  afterEach(() => cluster.end());

  const squares = (ms: number): Promise<number[]> =>
    get(Array.from({ length: TASKS }, (_, i) => square.remote(i, ms)));
  const notes = (): string => cluster.file("notes");
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
      const victim = cluster.node(which === "another" ? 1 : 0);
      const { id } = victim;
      const tally = tallyOn(id);
      await ready(tally);
      expect((await get(tally.where.remote())).node).to.equal(id);
      const values = squares(60);
      const counted = get(Array.from({ length: 20 }, (_, i) => tally.add.remote(i, 50)));
      await eventually(() => carriedOut().length >= 3, "the actor has begun");
      const before = carriedOut()[0]?.epoch ?? 0;
      await victim.kill();
      expect(await values).to.deep.equal(SQUARES);
      // Its count began anew in the second incarnation, and no call ran twice in one.
      const last = (await counted).at(-1) ?? 0;
      const second = carriedOut().filter(({ epoch }) => epoch > before);
      expect(second.length).to.equal(last);
      expect(new Set(carriedOut().map(({ epoch, call }) => `${epoch} ${call}`)).size).to.equal(
        carriedOut().length,
      );
      expect(new Set(carriedOut().map(({ call }) => call)).size).to.equal(20);
      await victim.restart();
      await cluster.sees(2);
      expect((await get(where.remote())).pid).to.be.greaterThan(0);
    });
});
