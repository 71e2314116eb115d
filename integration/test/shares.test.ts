/** Programs that share a cluster. */
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { eventually } from "stingray/testing";
import { pidAfter } from "./fixtures/leases.js";
import { ClusterByHand } from "./support/by-hand.js";

const TASKS = 150;

describe("two programs on one cluster", function () {
  this.timeout(60_000);
  let cluster: ClusterByHand;

  before(async () => {
    cluster = await ClusterByHand.start([], []);
  });
  after(() => cluster.end());

  it("get about half of it each, though one came first and asks for much more", async () => {
    await cluster.join();
    const log = join(cluster.sandbox.directory, "log");
    writeFileSync(log, "");
    const ran = (): number => statSync(log).size;
    for (let i = 0; i < 8_000; i++) pidAfter.remote(20, log);
    await eventually(() => ran() > 50, "the first runs");
    const args = [join(cluster.sandbox.directory, "late"), String(TASKS)];
    const late = cluster.sandbox.program("share-program.js", args, cluster.settings);
    await late.says("begins", 30_000);
    const before = ran();
    await late.says("ends", 30_000);
    expect(ran() - before).to.be.within(TASKS / 2, TASKS * 2);
    await late.succeeds();
  });
});
