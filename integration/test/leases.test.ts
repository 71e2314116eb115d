/** What becomes of leases: tasks that change workers before they begin, and workers that come back. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { availableResources, cancel, clusterResources, get, type ObjectRef } from "stingray";
import { eventually, testCluster, type TestCluster } from "stingray/testing";
import { pidAfter, pidOf, work, workOfHalf, type Work } from "./fixtures/leases.js";

describe("leases", function () {
  this.timeout(30_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster({ cpus: 3 });
  });
  after(() => test.end());

  /** Once each, in whatever order. */
  function ranOnce(log: string, count: number): void {
    const ids = readFileSync(log, "utf8").trim().split("\n").map(Number);
    expect(ids).to.have.length(count);
    expect(new Set(ids).size).to.equal(count);
  }

  async function allIsFree(): Promise<void> {
    await eventually(async () => {
      expect(await availableResources()).to.deep.equal(await clusterResources());
      return true;
    }, "all resources are free");
  }

  it("leave nothing behind a task that takes much longer than those before", async () => {
    const [log, go] = [test.file("log"), test.file("go")];
    let id = 0;
    const run = (more: Partial<Work> = {}): ObjectRef<number> => work.remote({ id: id++, log, ...more });
    // Known to be short, so that many are sent to a worker at a time.
    for (let i = 0; i < 5; i++) await get(Array.from({ length: 100 }, () => run()));
    const slow = run({ until: go });
    await get(Array.from({ length: 100 }, () => run()));
    writeFileSync(go, "");
    await get(slow);
    ranOnce(log, id);
    await allIsFree();
  });

  it("go to all workers after the first that keeps its processor, when those before were short", async () => {
    const log = test.file("burns");
    let id = 0;
    for (let i = 0; i < 5; i++) await get(Array.from({ length: 100 }, () => pidOf.remote({ id: id++, log })));
    const pids = await get(Array.from({ length: 12 }, () => pidOf.remote({ id: id++, log, burnMs: 100 })));
    ranOnce(log, id);
    expect(new Set(pids).size).to.equal(3);
    await allIsFree();
  });

  it("go to tasks of a higher priority first, after what runs", async () => {
    const log = test.file("low");
    const low = Array.from({ length: 400 }, (_, id) => work.remote({ id, log, waitMs: 20 }));
    await eventually(() => existsSync(log), "the first of them runs");
    const high = Array.from({ length: 10 }, () => pidAfter.options({ priority: 1 }).remote(20));
    await get(high);
    expect(readFileSync(log, "utf8").split("\n").length, "so many ran before").to.be.lessThan(300);
    await Promise.all(low.map((ref) => cancel(ref)));
    await Promise.allSettled(low.map((ref) => get(ref)));
    await allIsFree();
  });

  it("run every task once, however long each takes and whoever else needs the workers", async () => {
    const log = test.file("random");
    const tasks = Array.from({ length: 900 }, (_, id) => {
      const roll = Math.random();
      const task: Work = { id, log };
      if (roll < 0.01) task.burnMs = 30;
      else if (roll < 0.04) task.waitMs = 5 + 25 * Math.random();
      return (id % 3 === 0 ? workOfHalf : work).remote(task);
    });
    expect(await get(tasks)).to.deep.equal(tasks.map((_, id) => id));
    ranOnce(log, tasks.length);
    await allIsFree();
  });
});
