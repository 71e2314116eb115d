/** What the public API promises of actors, piece by piece, where no other test has it. */
import { writeFileSync } from "node:fs";
import { expect } from "chai";
import {
  ActorDiedError,
  InvalidArgumentError,
  SerializationError,
  TaskCancelledError,
  TaskTimeoutError,
  TimeoutError,
  asCompleted,
  cancel,
  get,
  getActor,
  kill,
  listNamedActors,
  put,
  ready,
} from "stingray";
import {
  collectGarbage,
  eventually,
  isRunning,
  rejection,
  testCluster,
  type TestCluster,
} from "stingray/testing";
import { RemoteApi, RemoteGrown, createMany, holdFor, valueWhen } from "./fixtures/actors-api.js";
import { RemoteCounter, RemoteDiarist, RemoteStreamer, valueAfter, type Counter } from "./fixtures/actors.js";
import { linesOf } from "./support/lines.js";

describe("the API of actors", function () {
  this.timeout(20_000);
  let test: TestCluster;
  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());

  describe("handles", () => {
    it("are disposed of after their calls, and the actor ends with the last of them", async () => {
      let pid: number;
      let last: Promise<number>;
      {
        await using counter = RemoteCounter.remote(1);
        pid = await get(counter.pid.remote());
        last = get(counter.add.remote(valueAfter.remote(1, 50)));
      }
      expect(await last).to.equal(2);
      await eventually(() => !isRunning(pid), "its process ends");
    });

    it("that were disposed of take no calls and can't be sent; others of the same actor go on", async () => {
      const counter = RemoteCounter.options({ name: "disposed" }).remote(1);
      const other = await getActor<Counter>("disposed");
      await counter[Symbol.asyncDispose]();
      await counter[Symbol.asyncDispose]();
      expect(() => counter.add.remote(1)).to.throw(InvalidArgumentError, "disposed of");
      expect((await rejection(ready(counter))).message).to.contain("disposed of");
      expect(() => other.echo.remote([counter])).to.throw(SerializationError, "disposed of");
      expect(await get(other.add.remote(1))).to.equal(2);
    });

    it("that are disposed of wait for a stream to end, but not for a reader that can't come", async () => {
      const file = test.file("unread");
      const api = RemoteApi.remote();
      const [whole, held] = [
        api.numbersAfter.remote(0, 3),
        api.cleaning.options({ backpressure: 2 }).remote(file),
      ];
      await api[Symbol.asyncDispose]();
      const seen: unknown[] = [];
      for (const stream of [whole, held])
        for await (const ref of stream) seen.push(await get(ref).catch((error: Error) => error.cause));
      expect(seen.slice(0, -1)).to.deep.equal([0, 1, 2, 0, 1]);
      expect(String(seen.at(-1))).to.contain("before anybody read the stream");
      expect(linesOf(file)).to.deep.equal(["item 0", "item 1", "finally"]);
    });

    it("may be disposed of before the actor is made, also where it turns out to be another", async () => {
      const late = RemoteCounter.options({ name: "late" }).remote(valueAfter.remote(1, 50));
      await late[Symbol.asyncDispose]();
      const first = RemoteCounter.options({ name: "kept" }).remote(1);
      const same = RemoteCounter.options({ name: "kept", getIfExists: true }).remote(
        valueAfter.remote(7, 50),
      );
      await same[Symbol.asyncDispose]();
      await eventually(
        async () => !(await listNamedActors()).some(({ name }) => name === "late"),
        "the late one ends",
      );
      expect(await get(first.add.remote(1))).to.equal(2);
    });

    it("keep the actor alive inside of objects, and in what a task or an actor remembers", async () => {
      const holder = RemoteApi.remote();
      const pid = await (async () => {
        const counter = RemoteCounter.remote(1);
        const pid = await get(counter.pid.remote());
        const inside = { deep: [new Map([["it", counter]])] };
        await get([holdFor.remote(inside, 100), holder.remember.remote(inside)]);
        return pid;
      })();
      for (let i = 0; i < 5; i++) {
        collectGarbage();
        expect(await get(holder.add.remote(1))).to.equal(i + 2);
      }
      expect(isRunning(pid)).to.equal(true);
      await eventually(async () => {
        collectGarbage();
        await get(holder.forget.remote());
        return !isRunning(pid);
      }, "it ends when nobody remembers it");
    });
  });

  it("getIfExists runs one constructor, whoever creates at the same time, in whatever turn", async () => {
    const file = test.file("one constructor");
    const racers = Array.from({ length: 3 }, () => createMany.remote(file, 15));
    const own: ReturnType<typeof RemoteDiarist.remote>[] = [];
    for (let i = 0; i < 10; i++) {
      own.push(RemoteDiarist.options({ name: file, getIfExists: true }).remote(file));
      if (i % 3 === 0) await new Promise((turn) => setImmediate(turn));
    }
    await Promise.all([...own.map((diarist) => get(diarist.note.remote("noted"))), get(racers)]);
    const lines = linesOf(file);
    expect(lines.filter((line) => line.startsWith("constructor"))).to.have.length(1);
    expect(lines.filter((line) => line === "noted")).to.have.length(55);
  });

  describe("waits", () => {
    it("of getActor and listNamedActors end by their limits", async () => {
      const gate = test.file("gate of waits");
      const late = RemoteCounter.options({ name: "late" }).remote(valueWhen.remote(1, gate));
      const error = await rejection(getActor("late", { timeoutMs: 20 }));
      expect(error).to.be.instanceOf(TimeoutError);
      expect(error.message).to.contain('getActor("late")');
      const stop = AbortSignal.abort(new Error("enough"));
      expect((await rejection(getActor("late", { signal: stop }))).message).to.equal("enough");
      expect((await rejection(listNamedActors({ signal: stop }))).message).to.equal("enough");
      expect(await rejection(ready(late, { timeoutMs: 0 }))).to.be.instanceOf(TimeoutError);
      const doomed = RemoteCounter.options({ name: "doomed" }).remote(valueWhen.remote(1, gate));
      expect(await rejection(kill(doomed, { timeoutMs: 20 }))).to.be.instanceOf(TimeoutError);
      writeFileSync(gate, "");
      expect(await rejection(ready(doomed))).to.be.instanceOf(ActorDiedError);
      await ready(await getActor<Counter>("late", { timeoutMs: 10_000 }));
      await ready(late, { timeoutMs: 0 });
    });

    it("of asCompleted and of a stream's next item end by their limits, and lose nothing", async () => {
      const gate = test.file("gate of items");
      const [quick, slow] = [await put(1), valueWhen.remote(2, gate)];
      const seen: unknown[] = [];
      const reading = (async () => {
        for await (const ref of asCompleted([slow, quick], { timeoutMs: 150 })) seen.push(await get(ref));
      })();
      expect((await rejection(reading)).message).to.contain("1 of 2");
      expect(seen).to.deep.equal([1]);
      const api = RemoteApi.remote();
      const stream = api.numbersAfter.remote(slow, 2);
      expect(await rejection(stream.next({ timeoutMs: 10 }))).to.be.instanceOf(TimeoutError);
      const stop = new AbortController();
      const waiting = rejection(stream.next({ signal: stop.signal }));
      stop.abort(new Error("enough"));
      expect((await waiting).message).to.equal("enough");
      writeFileSync(gate, "");
      for (const wanted of [0, 1]) {
        const ref = await stream.next({ timeoutMs: 10_000 });
        expect(ref && (await get(ref))).to.equal(wanted);
      }
      expect(await stream.next()).to.equal(undefined);
    });
  });

  describe("signals", () => {
    it("can't be sent as arguments, and the error says what to do instead", () => {
      const api = RemoteApi.remote();
      const { signal } = new AbortController();
      expect(() => api.echo.remote({ signal })).to.throw(SerializationError, ".options({ signal })");
    });

    it("are the cause of the error of what they cancelled, queued or running", async () => {
      const streamer = RemoteStreamer.remote();
      const file = test.file("reasons");
      const stop = new AbortController();
      const cancellable = streamer.untilCancelled.options({ signal: stop.signal });
      const [running, queued] = [cancellable.remote(file), cancellable.remote(file)];
      await eventually(() => linesOf(file).length === 1, "the call begins");
      stop.abort(new RangeError("no longer wanted"));
      for (const ref of [running, queued]) {
        const error = await rejection(get(ref));
        expect(error).to.be.instanceOf(TaskCancelledError);
        expect((error.cause as Error).message).to.equal("no longer wanted");
      }
    });
  });

  it("a cancelled call holds up nobody behind it: readers go on beside those that run", async () => {
    const [now, gate] = [test.file("no gate"), test.file("gate of readers")];
    writeFileSync(now, "");
    const api = RemoteApi.remote();
    const first = api.read.remote(gate);
    const writer = api.add.remote(1);
    const second = api.read.remote(now);
    await ready(api);
    await cancel(writer);
    expect(await rejection(get(writer))).to.be.instanceOf(TaskCancelledError);
    await get(second, { timeoutMs: 5_000 });
    writeFileSync(gate, "");
    await get(first);
  });

  describe("streams", () => {
    it("run the producer's finally when the reader leaves, in a backpressure pause too", async () => {
      const file = test.file("finally");
      const api = RemoteApi.remote();
      const stream = api.cleaning.options({ backpressure: 1 }).remote(file);
      await eventually(() => linesOf(file).length === 1, "it has begun, and pauses");
      await stream[Symbol.asyncDispose]();
      await get(api.add.remote(0));
      expect(linesOf(file)).to.deep.equal(["item 0", "finally"]);
    });

    it("that are cancelled while they wait never begin, and running ones end at their next yield", async () => {
      const file = test.file("cancelled");
      const api = RemoteApi.remote();
      const running = api.cleaning.options({ backpressure: 1 }).remote(file);
      const queued = api.cleaning.remote(file);
      await eventually(() => linesOf(file).length === 1, "it has begun");
      await cancel(queued);
      await cancel(running);
      for (const stream of [running, queued]) expect(await stream.next()).to.equal(undefined);
      await get(api.add.remote(0));
      expect(linesOf(file)).to.deep.equal(["item 0", "finally"]);
    });

    it("end with the reason of their signal, and the producer cleans up", async () => {
      const file = test.file("signalled");
      const api = RemoteApi.remote();
      const stop = new AbortController();
      const stream = api.cleaning.options({ backpressure: 1, signal: stop.signal }).remote(file);
      const first = await stream.next();
      expect(first && (await get(first))).to.equal(0);
      stop.abort(new RangeError("enough"));
      const errors: unknown[] = [];
      for await (const ref of stream) await get(ref).catch((error: Error) => errors.push(error.cause));
      expect(errors.map(String)).to.deep.equal(["RangeError: enough"]);
      await get(api.add.remote(0));
      expect(linesOf(file).at(-1)).to.equal("finally");
    });

    it("end with an error once their timeoutMs is over, in a backpressure pause or where no item comes", async () => {
      const file = test.file("timed");
      const api = RemoteApi.remote();
      const timed = { timeoutMs: 60 };
      for (const stream of [
        api.cleaning.options({ ...timed, backpressure: 1 }).remote(file),
        api.cleaning.options(timed).remote(file),
        api.stuck.options(timed).remote(700),
      ]) {
        const errors: unknown[] = [];
        // The first item goes unread for longer than the producer has.
        await eventually(() => stream.state.isEnded, "it ends");
        for await (const ref of stream) await get(ref).catch((error: unknown) => errors.push(error));
        expect(errors).to.have.length(1);
        expect(errors[0]).to.be.instanceOf(TaskTimeoutError);
      }
      await get(api.add.remote(0));
      expect(linesOf(file).filter((line) => line === "finally")).to.have.length(2);
    });

    it("that nobody reads and nobody keeps end too", async () => {
      const file = test.file("dropped");
      const api = RemoteApi.remote();
      await (async () => {
        const stream = api.cleaning.options({ backpressure: 1 }).remote(file);
        await eventually(() => linesOf(file).length === 1, "it has begun");
        await stream.next();
      })();
      await eventually(() => {
        collectGarbage();
        return linesOf(file).at(-1) === "finally";
      }, "its finally block runs");
    });
  });

  it("a subclass has the methods and the options of methods that it inherits, its own class options, and no static ones", async () => {
    const grown = RemoteGrown.remote();
    expect(await get([grown.add.remote(2), grown.own.remote()])).to.deep.equal([102, "own"]);
    expect(await get(grown.pair.remote())).to.deep.equal([1, 2]);
    const handle = grown as unknown as { make: { remote(): unknown }; size: { remote(): unknown } };
    for (const name of ["make", "size"] as const)
      expect(() => handle[name].remote()).to.throw(InvalidArgumentError, `no method "${name}"`);
  });
});
