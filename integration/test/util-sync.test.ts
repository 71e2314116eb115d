/** Semaphores and barriers, and what becomes of them when those that use them die. */
import { expect } from "chai";
import { get } from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import { Barrier, Semaphore, type Permit } from "stingray/util";
import { guarded, hold, meet, meetAndDie } from "./fixtures/utilities.js";
import { linesOf } from "./support/lines.js";

describe("semaphores and barriers", function () {
  this.timeout(30_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster({ cpus: 4 });
  });
  after(() => test.end());

  it("a semaphore lets in as many as it has permits, over processes", async () => {
    const file = test.file("inside");
    const semaphore = new Semaphore(2);
    await get(Array.from({ length: 6 }, () => guarded.remote(semaphore, file)));
    let inside = 0;
    let most = 0;
    for (const line of linesOf(file)) {
      inside += line === "in" ? 1 : -1;
      most = Math.max(most, inside);
    }
    expect(most).to.be.within(1, 2);
    expect(await semaphore.available()).to.equal(2);
  });

  it("a semaphore serves in the order of asking, and a release counts once", async () => {
    const semaphore = new Semaphore(1);
    const first = await semaphore.acquire();
    expect(await semaphore.tryAcquire()).to.equal(undefined);
    const order: number[] = [];
    const others = [1, 2, 3].map(async (n) => {
      const permit: Permit = await semaphore.acquire();
      order.push(n);
      expect(await semaphore.available()).to.equal(0);
      await permit[Symbol.asyncDispose]();
    });
    await semaphore.available();
    await first.release();
    await first.release();
    await Promise.all(others);
    expect(order).to.deep.equal([1, 2, 3]);
    expect(await semaphore.available()).to.equal(1);
    const again = await semaphore.tryAcquire();
    expect(again).not.to.equal(undefined);
    await again?.release();
  });

  it("a permit that was not got in time is not lost", async () => {
    const semaphore = new Semaphore(1);
    const permit = await semaphore.acquire();
    expect((await rejection(semaphore.acquire({ timeoutMs: 20 }))).code).to.equal("TIMEOUT");
    const waits = Array.from({ length: 20 }, (_, i) =>
      semaphore.acquire(i % 2 === 0 ? { signal: AbortSignal.timeout(i) } : { timeoutMs: i }).then(
        (got) => got.release(),
        () => undefined,
      ),
    );
    await permit.release();
    await Promise.all(waits);
    expect(await semaphore.available()).to.equal(1);
  });

  it("permits of a process that is killed come back", async () => {
    const semaphore = new Semaphore(1);
    const file = test.file("holder");
    const holder = hold.remote(semaphore, file);
    await eventually(() => linesOf(file).length === 1, "it holds the permit");
    const waiting = semaphore.acquire({ timeoutMs: 20_000 });
    expect(await semaphore.available()).to.equal(0);
    process.kill(Number(linesOf(file)[0]), "SIGKILL");
    await (await waiting).release();
    await rejection(get(holder));
  });

  it("a barrier lets all go when the last has come, again and again", async () => {
    const barrier = new Barrier(3);
    const places = await get([1, 2, 3].map(() => meet.remote(barrier, 4)));
    for (let round = 0; round < 4; round++)
      expect(places.map((own) => own[round])).to.have.members([0, 1, 2]);
    expect(await barrier.waiting()).to.equal(0);
  });

  it("the place of one that gives up at a barrier, or is killed there, is free again", async () => {
    const barrier = new Barrier(2);
    expect((await rejection(barrier.wait({ timeoutMs: 20 }))).code).to.equal("TIMEOUT");
    const file = test.file("barrier");
    const dead = meetAndDie.remote(barrier, file);
    await eventually(async () => (await barrier.waiting()) === 1, "it waits");
    process.kill(Number(linesOf(file)[0]), "SIGKILL");
    await eventually(async () => (await barrier.waiting()) === 0, "its place is free");
    await rejection(get(dead));
    expect(await Promise.all([barrier.wait(), barrier.wait()])).to.have.members([0, 1]);
  });

  it("says what is wrong with its arguments", () => {
    expect(() => new Semaphore(0)).to.throw("whole number from 1");
    expect(() => new Barrier(1.5)).to.throw("whole number from 1");
    expect(() => new Semaphore(1, { actor: { cpu: 1 } as object })).to.throw("cpus");
  });
});
