/** Pools of actors: order, backpressure, members that die, loops that are left. */
import { expect } from "chai";
import { get, kill, ready, type ObjectRef } from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import { ActorPool } from "stingray/util";
import { RemoteWorker } from "./fixtures/utilities.js";
import { linesOf } from "./support/lines.js";

describe("a pool of actors", function () {
  this.timeout(30_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster({ cpus: 4 });
  });
  after(() => test.end());

  const makePool = (count: number): ActorPool<ReturnType<typeof RemoteWorker.remote>> =>
    new ActorPool(Array.from({ length: count }, () => RemoteWorker.remote()));

  async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
    const found: T[] = [];
    for await (const item of items) found.push(item);
    return found;
  }

  it("maps in the order of the items, or as results come, over all members", async () => {
    const pool = makePool(2);
    const items = Array.from({ length: 10 }, (_, i) => i);
    const squares = items.map((x) => x * x);
    expect(await all(pool.map((w, x) => w.square.remote(x, x % 2 === 0 ? 8 : 0), items))).to.deep.equal(
      squares,
    );
    const unordered = await all(pool.mapUnordered((w, x) => w.square.remote(x, x === 0 ? 200 : 0), items));
    expect(unordered).to.have.members(squares);
    expect(unordered[0]).not.to.equal(0);
    const pids = new Set(await all(pool.map((w) => w.pid.remote(), items)));
    expect(pids.size).to.equal(2);
  });

  it("takes items only as members and the reader keep up, and none after the loop is left", async () => {
    const pool = makePool(2);
    let taken = 0;
    let closed = false;
    async function* source(): AsyncGenerator<number> {
      try {
        for (;;) {
          await Promise.resolve();
          yield taken++;
        }
      } finally {
        closed = true;
      }
    }
    let read = 0;
    for await (const value of pool.map((w, x) => w.square.remote(x), source())) {
      expect(value).to.equal(read * read);
      expect(taken).to.be.at.most(read + 1 + 2 * 2 + 1);
      if (++read === 10) break;
    }
    expect(closed).to.equal(true);
    const before = taken;
    expect(await all(pool.map((w, x) => w.square.remote(x), [3, 4]))).to.deep.equal([9, 16]);
    expect(taken).to.equal(before);
  });

  it("rejects at the item whose call fails, and goes on after it", async () => {
    const pool = makePool(2);
    const run = pool.map((w, x) => w.square.remote(x), [1, -2, 3]);
    expect(await run.next()).to.deep.equal({ done: false, value: 1 });
    expect((await rejection(run.next())).message).to.contain("-2 is negative");
    expect(await run.next()).to.deep.equal({ done: false, value: 9 });
    expect(await run.next()).to.deep.equal({ done: true, value: undefined });
    let taken = 0;
    const source = function* (): Generator<number> {
      for (const x of [-1, 2, 3, 4, 5, 6, 7, 8]) yield (taken++, x);
    };
    const left = pool.map((w, x) => w.square.remote(x), source());
    const reading = (async () => {
      for await (const value of left) expect.fail(`nothing comes before the error, but ${value} did`);
    })();
    expect((await rejection(reading)).message).to.contain("-1 is negative");
    const before = taken;
    await eventually(() => pool.hasFree(), "what was begun ends");
    expect(await all(pool.map((w, x) => w.square.remote(x), [3, 4]))).to.deep.equal([9, 16]);
    expect(taken).to.equal(before).and.to.be.lessThan(8);
    expect(await all(left)).to.deep.equal([4, 9, 16, 25, 36, 49, 64]);
    function* broken(): Generator<number> {
      yield 2;
      throw new Error("no more");
    }
    const short = pool.map((w, x) => w.square.remote(x), broken());
    expect((await short.next()).value).to.equal(4);
    expect((await rejection(short.next())).message).to.equal("no more");
    expect(pool.hasFree()).to.equal(true);
  });

  it("gives what a dead member had to another, and takes it out", async () => {
    const members = [RemoteWorker.remote(), RemoteWorker.remote(), RemoteWorker.remote()];
    const pool = new ActorPool(members);
    const file = test.file("never");
    const lost = await get((members[0] as (typeof members)[0]).pid.remote());
    const results: number[] = [];
    let killed = false;
    for await (const pid of pool.mapUnordered((w) => w.pid.remote(), Array.from({ length: 60 }))) {
      results.push(pid);
      if (killed) continue;
      killed = true;
      process.kill(lost, "SIGKILL");
    }
    expect(results.length).to.equal(60);
    await all(pool.map((w) => w.pid.remote(), [1, 2, 3, 4]));
    expect(pool.size).to.equal(2);
    // One that waits in the member that is killed.
    const waiting = all(
      pool.mapUnordered((w, x) => (x === 0 ? w.never.remote(file) : w.pid.remote()), [0, 1]),
    );
    await eventually(() => linesOf(file).length === 1, "it has begun");
    process.kill(Number(linesOf(file)[0]), "SIGKILL");
    await eventually(() => linesOf(file).length === 2, "the other member has it");
    process.kill(Number(linesOf(file)[1]), "SIGKILL");
    expect((await rejection(waiting)).code).to.equal("ACTOR_DIED");
    expect(pool.size).to.equal(0);
  });

  it("gives up an item that ends its members, and says so when none is left", async () => {
    const pool = makePool(2);
    const file = test.file("deadly");
    const error = await rejection(all(pool.map((w, x) => w.die.remote(x, file), [5])));
    expect(error.code).to.equal("ACTOR_DIED");
    expect(error.message).to.contain("all members of the ActorPool have died");
    expect(linesOf(file).length).to.equal(2);
    expect(pool.size).to.equal(0);
    pool.push(RemoteWorker.remote());
    expect(await all(pool.map((w, x) => w.square.remote(x), [2]))).to.deep.equal([4]);
  });

  it("waits for members that are being restarted", async () => {
    const member = RemoteWorker.options({ maxRestarts: 1 }).remote();
    const pool = new ActorPool([member]);
    await ready(member);
    const file = test.file("restarted");
    const waiting = pool.map(
      (w, x) => (linesOf(file).length === 0 ? w.never.remote(file) : w.square.remote(x)),
      [6] as number[],
    );
    const first = waiting.next();
    await eventually(() => linesOf(file).length === 1, "it has begun");
    process.kill(Number(linesOf(file)[0]), "SIGKILL");
    expect((await first).value).to.equal(36);
    expect(pool.size).to.equal(1);
  });

  it("keeps what was submitted in order, also when a wait for it ends early", async () => {
    const pool = makePool(1);
    expect(pool.hasNext()).to.equal(false);
    for (const x of [1, -1, 3]) pool.submit((w, item: number) => w.square.remote(item, 30), x);
    expect((await rejection(pool.getNext({ timeoutMs: 1 }))).code).to.equal("TIMEOUT");
    expect(await pool.getNext()).to.equal(1);
    expect((await rejection(pool.getNext())).message).to.contain("-1 is negative");
    expect(await pool.getNext<number>()).to.equal(9);
    expect(pool.hasNext()).to.equal(false);
    expect((await rejection(pool.getNext())).code).to.equal("INVALID_ARGUMENT");
  });

  it("takes handles only, each once, and does not take the death of another actor for that of a member", async () => {
    const member = RemoteWorker.remote();
    const pool = new ActorPool([member]);
    expect(() => pool.push(member)).to.throw("already");
    expect(() => new ActorPool([{}])).to.throw("takes handles of actors");
    const other = RemoteWorker.remote();
    await kill(other);
    const dead: ObjectRef<number> = other.pid.remote();
    const run = pool.map((w) => w.nested.remote([dead]), [1]);
    expect((await rejection(run.next())).code).to.equal("TASK_FAILED");
    expect((await rejection(all(pool.map((w) => w.square.remote(dead), [1])))).code).to.equal("ACTOR_DIED");
    expect(pool.size).to.equal(1);
    expect(pool.pop()).to.equal(member);
    expect((await rejection(all(pool.map((w) => w.pid.remote(), [1])))).code).to.equal("INVALID_ARGUMENT");
  });
});
