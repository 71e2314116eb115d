/** Queues: order, waiting, and what happens to items when somebody gives up or dies. */
import { expect } from "chai";
import { get, type ObjectRef } from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import { Queue } from "stingray/util";
import { Coins, RemoteWorker, consume, produce, putKinds, takeAndHang } from "./fixtures/utilities.js";
import { linesOf } from "./support/lines.js";

describe("a queue", function () {
  this.timeout(30_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster({ cpus: 4 });
  });
  after(() => test.end());

  it("gives items in the order of each producer, each to one consumer, and ends when it is closed", async () => {
    const queue = new Queue<string>({ maxSize: 3 });
    const consumers = [consume.remote(queue), consume.remote(queue)];
    await get([produce.remote(queue, "a", 40), produce.remote(queue, "b", 40)]);
    await queue.close();
    const taken = await get(consumers);
    for (const name of ["a", "b"]) {
      const expected = Array.from({ length: 40 }, (_, i) => `${name} ${i}`);
      expect(taken.flat().filter((item) => item.startsWith(name))).to.have.members(expected);
      for (const items of taken) {
        const own = items.filter((item) => item.startsWith(name));
        expect(own).to.deep.equal(expected.filter((item) => own.includes(item)));
      }
    }
  });

  it("keeps the order of calls that nobody awaits, large items among them", async () => {
    const queue = new Queue<Uint8Array | number>();
    const puts = Array.from({ length: 9 }, (_, i) => queue.put(i % 3 === 1 ? new Uint8Array(200_000) : i));
    const sizes: number[] = [];
    for (let i = 0; i < 9; i++) {
      const item = await queue.get();
      sizes.push(typeof item === "number" ? item : item.byteLength);
    }
    await Promise.all(puts);
    expect(sizes).to.deep.equal([0, 200_000, 2, 3, 200_000, 5, 6, 200_000, 8]);
  });

  it("carries what its own process knows nothing of, references as references, and comes back as a result", async () => {
    const queue = new Queue();
    const back = await get(putKinds.remote(queue));
    expect(back).to.be.instanceOf(Queue);
    expect(await back.size()).to.equal(3);
    const money = await back.get();
    expect(money).to.be.instanceOf(Coins);
    expect(money).to.deep.equal(new Coins(7, "EUR"));
    const [ref] = (await queue.get()) as [ObjectRef<string>];
    const large = (await queue.get()) as Float64Array;
    expect(large.length).to.equal(50_000);
    expect(large[49_999]).to.equal(2);
    expect(await get(ref)).to.equal("behind a reference");
  });

  it("says at once that it is full or empty, where asked for now", async () => {
    const queue = new Queue<number>({ maxSize: 1 });
    expect((await rejection(queue.getNow())).code).to.equal("QUEUE_EMPTY");
    expect(await queue.isEmpty()).to.equal(true);
    await queue.putNow(1);
    expect((await rejection(queue.putNow(2))).code).to.equal("QUEUE_FULL");
    expect(await queue.isFull()).to.equal(true);
    expect(await queue.getNow()).to.equal(1);
  });

  it("does not put what was out of time, and does not swallow what a get that was out of time would have got", async () => {
    const queue = new Queue<number>({ maxSize: 1 });
    expect((await rejection(queue.get({ timeoutMs: 20 }))).code).to.equal("TIMEOUT");
    const reason = new Error("enough");
    const aborted = queue.get({ signal: AbortSignal.abort(reason) });
    expect(await rejection(aborted)).to.equal(reason);
    const abort = new AbortController();
    const waiting = queue.get({ signal: abort.signal });
    await queue.size();
    abort.abort(reason);
    expect(await rejection(waiting)).to.equal(reason);
    await queue.put(1);
    expect((await rejection(queue.put(2, { timeoutMs: 20 }))).code).to.equal("TIMEOUT");
    expect(await queue.get()).to.equal(1);
    expect((await rejection(queue.getNow())).code).to.equal("QUEUE_EMPTY");
  });

  it("ends waits in time while its actor has no place, or stands still", async () => {
    const placeless = new Queue<number>({ actor: { resources: { nowhere: 1 } } });
    expect((await rejection(placeless.put(1, { timeoutMs: 20 }))).code).to.equal("TIMEOUT");
    expect((await rejection(placeless.get({ signal: AbortSignal.timeout(20) }))).name).to.equal(
      "TimeoutError",
    );
    await placeless[Symbol.asyncDispose]();
    const queue = new Queue<number>({ actor: { isolation: "shared" } });
    await queue.put(1);
    const neighbour = RemoteWorker.options({ isolation: "shared" }).remote();
    const pid = await get(neighbour.pid.remote());
    process.kill(pid, "SIGSTOP");
    try {
      expect((await rejection(queue.put(2, { timeoutMs: 20 }))).code).to.equal("TIMEOUT");
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await eventually(async () => (await queue.size()) === 1, "what was out of time is taken back");
    expect(await queue.get()).to.equal(1);
  });

  it("loses and repeats nothing when waits end at any moment", async () => {
    const queue = new Queue<number>({ maxSize: 2 });
    const put: number[] = [];
    const got: number[] = [];
    const producer = (async () => {
      for (let i = 0; i < 150; i++) {
        const options = i % 3 === 0 ? { signal: AbortSignal.timeout(i % 7) } : { timeoutMs: 1 + (i % 5) };
        await queue.put(i, options).then(
          () => put.push(i),
          () => undefined,
        );
      }
      await queue.close();
    })();
    const consumer = async (ms: number): Promise<void> => {
      for (;;) {
        try {
          got.push(await queue.get(ms % 2 === 0 ? { timeoutMs: ms } : { signal: AbortSignal.timeout(ms) }));
        } catch (error) {
          if ((error as { code?: string }).code === "QUEUE_CLOSED") return;
        }
      }
    };
    await Promise.all([producer, consumer(1), consumer(2), consumer(3)]);
    expect(got.sort((a, b) => a - b)).to.deep.equal(put);
  });

  it("gives the item of a consumer that is killed to another", async () => {
    const queue = new Queue<string>();
    const file = test.file("hanging");
    const dead = takeAndHang.remote(queue, file);
    await eventually(() => linesOf(file).length === 1, "it has begun");
    const pid = Number(linesOf(file)[0]);
    process.kill(pid, "SIGSTOP");
    // This one may be for the stopped one, and goes back when that dies.
    await queue.put("for the living");
    const wanted = queue.get();
    await queue.size();
    process.kill(pid, "SIGKILL");
    await rejection(get(dead));
    expect(await wanted).to.equal("for the living");
  });

  it("is not over when it is closed while an item may come back", async () => {
    const queue = new Queue<string>();
    const file = test.file("hanging at the end");
    const dead = takeAndHang.remote(queue, file);
    await eventually(() => linesOf(file).length === 1, "it has begun");
    const pid = Number(linesOf(file)[0]);
    process.kill(pid, "SIGSTOP");
    // For the stopped one, which waits for it.
    await queue.put("comes back");
    const rest = (async () => {
      const items: string[] = [];
      for await (const item of queue) items.push(item);
      return items;
    })();
    await queue.size();
    await queue.close();
    process.kill(pid, "SIGKILL");
    await rejection(get(dead));
    expect(await rest).to.deep.equal(["comes back"]);
    expect((await rejection(queue.get())).code).to.equal("QUEUE_CLOSED");
  });

  it("lets those that wait end when it is closed, and gives what is left", async () => {
    const queue = new Queue<number>({ maxSize: 1 });
    await queue.put(1);
    const waiting = rejection(queue.put(2));
    await queue.size();
    await queue.close();
    expect((await waiting).code).to.equal("QUEUE_CLOSED");
    expect((await rejection(queue.put(3))).code).to.equal("QUEUE_CLOSED");
    expect(await queue.get()).to.equal(1);
    expect((await rejection(queue.get())).code).to.equal("QUEUE_CLOSED");
  });

  it("fails for everybody when its actor ends, and refuses what it can't work with", async () => {
    const queue = new Queue<number>();
    const waiting = rejection(queue.get());
    await queue.size();
    await queue[Symbol.asyncDispose]();
    expect((await waiting).code).to.equal("ACTOR_DIED");
    expect((await rejection(queue.put(1))).code).to.equal("ACTOR_DIED");
    expect(() => new Queue({ actor: { mailbox: "durable" } })).to.throw("leave out actor.mailbox");
    for (const options of [{ maxPendingCalls: 1 }, { maxConcurrency: 1 }, { concurrencyGroups: { io: 1 } }])
      expect(() => new Queue({ actor: options })).to.throw(`leave out actor.${Object.keys(options)[0]}`);
    expect(() => new Queue({ maxsize: 3 } as object)).to.throw("maxSize");
  });
});
