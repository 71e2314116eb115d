/** What an actor is, over both kinds of links: creation, calls, handles as values, streams, cancellation, errors. */
import { inspect } from "node:util";
import { expect } from "chai";
import {
  ActorDiedError,
  ActorUnavailableError,
  InvalidArgumentError,
  InvalidOptionError,
  ObjectRef,
  PendingCallsLimitError,
  SerializationError,
  TaskCancelledError,
  TaskError,
  TaskTimeoutError,
  cancel,
  get,
  getActor,
  isActorHandle,
  kill,
  put,
  ready,
  wait,
  type ActorHandle,
} from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import {
  RemoteBoss,
  RemoteCounter,
  RemoteDerived,
  RemoteDurableRecorder,
  RemoteFlaky,
  RemoteGauge,
  RemoteHeir,
  RemoteIntrospective,
  RemoteMortal,
  RemoteRecorder,
  RemoteStreamer,
  addFrom,
  failAfter,
  makeCounter,
  valueAfter,
  type Counter,
} from "../fixtures/actors.js";
import { linesOf } from "./lines.js";

/** The same for each kind of links. */
export function describeActors(links: "auto" | "nats"): void {
  describe(`actors, links: ${links}`, function () {
    this.timeout(20_000);
    let test: TestCluster;

    before(async () => {
      test = await testCluster({ links });
    });
    after(() => test.end());

    describe("creation and calls", () => {
      it("keeps state between calls, in a process of its own", async () => {
        const counter = RemoteCounter.remote(10);
        expect(
          await get([counter.add.remote(), counter.add.remote(5), counter.value.remote()]),
        ).to.deep.equal([11, 16, 16]);
        expect(await get(counter.pid.remote())).not.to.equal(process.pid);
        expect(await get(RemoteCounter.remote().value.remote())).to.equal(0);
      });

      it("takes references as arguments of the constructor and of methods; nested ones stay references", async () => {
        const heir = RemoteHeir.remote(valueAfter.remote(3, 20), { ref: await put("house") });
        expect(await get(heir.inheritance.remote())).to.deep.equal([3, "house"]);
        const counter = RemoteCounter.remote(await put(1));
        expect(await get(counter.add.remote(valueAfter.remote(41, 20)))).to.equal(42);
        const [echoed] = (await get(counter.echo.remote([await put("inner")]))) as [ObjectRef<string>];
        expect(echoed).to.be.instanceOf(ObjectRef);
        expect(await get(echoed)).to.equal("inner");
      });

      it("takes and returns large arrays", async () => {
        const counter = RemoteCounter.remote();
        const large = new Float64Array(200_000).fill(1.5);
        const back = (await get(counter.echo.remote(large))) as Float64Array;
        expect(back).to.be.instanceOf(Float64Array).with.lengthOf(large.length);
        expect(back.every((x) => x === 1.5)).to.equal(true);
        expect(await get(counter.kind.remote(await put(large)))).to.equal("[object Float64Array]");
      });

      it("does not see what the caller changes after the call", async () => {
        const counter = RemoteCounter.remote();
        const list = [1, 2];
        const ref = counter.echo.remote(list);
        list.push(3);
        expect(await get(ref)).to.deep.equal([1, 2]);
      });

      it("gives each of several results a reference of its own", async () => {
        const counter = RemoteCounter.remote(3);
        const refs = counter.halves.remote() as unknown as [ObjectRef<number>, ObjectRef<string>];
        expect(await get(refs)).to.deep.equal([1.5, "half"]);
        const three = counter.echo.options({ returns: 3 }).remote(["x", "y", "z"]);
        expect(await get(three.toReversed())).to.deep.equal(["z", "y", "x"]);
      });

      it("calls methods of a base class", async () => {
        const derived = RemoteDerived.remote();
        expect(await get([derived.shared.remote(), derived.own.remote()])).to.deep.equal([
          "base",
          "derived of base",
        ]);
      });

      it("says about itself what context() promises", async () => {
        const one = RemoteIntrospective.remote();
        const facts = await get(one.facts.remote());
        expect(facts).to.include({
          jobId: test.cluster.jobId,
          nodeId: test.cluster.nodeId,
          namespace: test.cluster.namespace,
        });
        expect(facts["resources"]).to.deep.equal({ CPU: 0.5 });
        expect(facts["gpuIds"]).to.deep.equal([]);
        expect(facts["actorId"]).to.be.a("string");
        expect(facts["actorEpoch"]).to.be.a("number").greaterThan(0);
        expect(await get(one.afterAwait.remote())).to.equal(facts["actorId"]);
      });
    });

    describe("errors", () => {
      it("arrive with their class and stack, and the actor lives on", async () => {
        const counter = RemoteCounter.remote(1);
        for (const ref of [counter.failing.remote("sync"), counter.failingLater.remote("async")]) {
          const error = await rejection(get(ref));
          expect(error).to.be.instanceOf(TaskError);
          expect(error.cause).to.be.instanceOf(RangeError);
          expect(error.message).to.match(/Counter\.failing(Later)? failed: RangeError: a?sync/);
          expect(error.stack).to.match(/fixtures[\\/]actors/);
        }
        expect(await get(counter.add.remote())).to.equal(2);
      });

      it("of an argument fail the call and not the actor", async () => {
        const counter = RemoteCounter.remote(1);
        const ref = counter.add.remote(failAfter.remote("no argument", 5));
        expect((await rejection(get(ref))).message).to.contain("no argument");
        expect(await get(counter.add.remote())).to.equal(2);
      });

      it("of an argument of the constructor end the actor with that error", async () => {
        const counter = RemoteCounter.remote(failAfter.remote("no start", 5));
        expect((await rejection(ready(counter))).message).to.contain("no start");
        expect((await rejection(get(counter.add.remote()))).message).to.contain("no start");
      });

      it("name the path of a value that can't be sent, in either direction", async () => {
        const counter = RemoteCounter.remote(1);
        expect(() => counter.echo.remote({ deep: [() => {}] })).to.throw(
          SerializationError,
          "args[0].deep[0]",
        );
        expect(() => RemoteCounter.remote((() => {}) as unknown as number)).to.throw(
          SerializationError,
          "args[0]",
        );
        const error = await rejection(get(counter.unsendable.remote()));
        expect(error).to.be.instanceOf(SerializationError);
        expect(error.message).to.match(/^result/);
        expect(await get(counter.add.remote())).to.equal(2);
      });

      it("refuses what is no method of the class, here and at the actor", async () => {
        const counter = RemoteCounter.remote(1);
        const handle = counter as unknown as Record<string, ActorHandle<{ m(): void }>["m"]>;
        const names = ["nothing", "#hidden", "hidden", "accessor", "helper", "constructor"];
        for (const name of [
          ...names,
          "toString",
          "hasOwnProperty",
          "__proto__",
          "valueOf",
          "isPrototypeOf",
        ]) {
          expect(() => handle[name]?.remote(), name).to.throw(InvalidArgumentError, `no method "${name}"`);
        }
        expect(await get(counter.callHidden.remote())).to.equal("hidden");
      });

      it("refuses at the actor what a caller should not have sent", async () => {
        const counter = RemoteCounter.remote(1);
        const parts: unknown = Reflect.get(counter, Symbol.for("stingray.actor.handle"));
        const { methods } = parts as { methods: Record<string, { returns: number }> };
        const handle = counter as unknown as Record<string, ActorHandle<{ m(): void }>["m"]>;
        for (const name of ["constructor", "hasOwnProperty", "__proto__", "accessor", "#hidden", "nothing"]) {
          Object.defineProperty(methods, name, { value: { returns: 1 } });
          const method = handle[name];
          if (method === undefined) throw new Error(`no ${name}`);
          const error = await rejection(get(method.remote()));
          expect(error, name).to.be.instanceOf(InvalidArgumentError);
          expect(error.message).to.contain(`no method "${name}"`);
        }
        expect(await get(counter.add.remote())).to.equal(2);
      });

      it("refuses wrong options", async () => {
        const unknownOption: object = { retries: 1 };
        const counter = RemoteCounter.remote(1);
        expect(() => RemoteCounter.options({ maxRestart: 1 } as object)).to.throw(
          InvalidOptionError,
          "maxRestarts",
        );
        expect(() => RemoteCounter.options({ maxConcurrency: 0 })).to.throw(InvalidOptionError);
        expect(() => RemoteCounter.options({ getIfExists: true }).remote()).to.throw(
          InvalidOptionError,
          "name",
        );
        expect(() => counter.add.options(unknownOption)).to.throw(InvalidOptionError);
        const grouped = get(counter.add.options({ concurrencyGroup: "io" }).remote(1));
        expect(await rejection(grouped)).to.be.instanceOf(InvalidArgumentError);
      });
    });

    describe("handles", () => {
      it("are values: to tasks, to other actors, inside objects, and back", async () => {
        const counter = RemoteCounter.remote(0);
        expect(await get(addFrom.remote(counter, 2))).to.equal(2);
        const boss = RemoteBoss.remote();
        expect(await get(boss.hireFor.remote(counter, 3))).to.equal(5);
        const stored = await put({ list: [counter] });
        const { list } = await get(stored);
        expect(isActorHandle(list[0])).to.equal(true);
        expect(await get((list[0] as typeof counter).add.remote(4))).to.equal(9);
        const [echoed] = (await get(counter.echo.remote([counter]))) as [typeof counter];
        expect(await get(echoed.add.remote(1))).to.equal(10);
        expect(await get(counter.value.remote())).to.equal(10);
      });

      it("come out of tasks and actors that made the actor", async () => {
        const made = await get(makeCounter.remote(7));
        expect(await get(made.add.remote(1))).to.equal(8);
        const boss = RemoteBoss.remote();
        const hired = await get([boss.hire.remote(1), boss.hire.remote(2)]);
        await get(hired.map((counter) => counter.add.remote(10)));
        expect(await get(boss.payroll.remote())).to.deep.equal([11, 12]);
      });

      it("let actors make actors that make actors", async () => {
        const pids = await get(RemoteBoss.remote().family.remote(3));
        expect(new Set(pids).size).to.equal(4);
      });

      it("are no promises, and have a name", async () => {
        const counter = await Promise.resolve(RemoteCounter.remote(1));
        expect(isActorHandle(counter)).to.equal(true);
        expect(isActorHandle({})).to.equal(false);
        expect(inspect(counter)).to.match(/^ActorHandle\(Counter, /);
        expect(() => Object.assign(counter, { add: 1 })).to.throw(TypeError);
      });
    });

    describe("limits and retries", () => {
      it("refuses a call beyond maxPendingCalls, and takes calls again when some are done", async () => {
        const counter = RemoteCounter.options({ maxPendingCalls: 2 }).remote(0);
        const slow = valueAfter.remote(1, 100);
        const first = counter.add.remote(slow);
        const second = counter.add.remote(1);
        expect(() => counter.add.remote(1)).to.throw(PendingCallsLimitError);
        expect(await get([first, second])).to.deep.equal([1, 2]);
        expect(await get(counter.add.remote(1))).to.equal(3);
      });

      it("takes maxPendingCalls along with handles and names", async () => {
        const counter = RemoteCounter.options({ maxPendingCalls: 1, name: `limited ${links}` }).remote(0);
        await ready(counter);
        const pid = await get(counter.pid.remote());
        const found = await getActor<Counter>(`limited ${links}`);
        const slow = found.add.remote(valueAfter.remote(1, 50));
        expect(() => counter.add.remote(1)).to.throw(PendingCallsLimitError);
        expect(await get(slow)).to.equal(1);
        expect(await get(found.pid.remote())).to.equal(pid);
      });

      it("tries methods that throw again as retryOn says, and not otherwise", async () => {
        const error = await rejection(
          get(RemoteFlaky.options({ maxTaskRetries: 5 }).remote(1).attempt.remote()),
        );
        expect(error.cause).to.be.instanceOf(RangeError);
        const flaky = RemoteFlaky.remote(2);
        expect(
          await get(flaky.attempt.options({ maxTaskRetries: 2, retryOn: [RangeError] }).remote()),
        ).to.equal(3);
        expect(await get(RemoteFlaky.remote(3).attemptByDecorator.remote())).to.equal(4);
        const onlyTypes = { maxTaskRetries: 2, retryOn: [TypeError] };
        await rejection(get(RemoteFlaky.remote(1).attempt.options(onlyTypes).remote()));
      });

      it("ends a call that takes longer than its timeoutMs, and only that", async () => {
        const streamer = RemoteStreamer.remote();
        const file = test.file(`timeout-${links}`);
        const late = get(streamer.untilCancelled.options({ timeoutMs: 50 }).remote(file));
        expect(await rejection(late)).to.be.instanceOf(TaskTimeoutError);
        expect((await get(streamer.facts.remote())).sawSignal).to.equal(1);
      });

      it("counts timeoutMs from the start of the call, not from its turn in the queue", async () => {
        const gauge = RemoteGauge.remote();
        const busy = gauge.work.remote("a", 1_200);
        const short = gauge.work.options({ timeoutMs: 600 }).remote("b", 1);
        await get([busy, short]);
      });

      it("answers a call that outlives its timeoutMs, and lets no other in before it is over", async () => {
        const gauge = RemoteGauge.remote();
        const late = gauge.work.options({ timeoutMs: 50 }).remote("late", 700);
        const next = gauge.work.remote("next", 1);
        const [first] = await wait([late, next], { timeoutMs: 5_000 });
        expect(first).to.deep.equal([late]);
        expect(await rejection(get(late))).to.be.instanceOf(TaskTimeoutError);
        await get(next);
        expect((await get(gauge.report.remote())).overlaps).to.deep.equal([]);
      });
    });

    describe("streams", () => {
      it("come one by one, sync and async", async () => {
        const streamer = RemoteStreamer.remote();
        const numbers: number[] = [];
        for await (const ref of streamer.upTo.remote(100)) numbers.push(await get(ref));
        expect(numbers).to.deep.equal(Array.from({ length: 100 }, (_, i) => i));
        const items: unknown[] = [];
        for await (const ref of streamer.slowly.remote(3)) items.push(await get(ref));
        expect(items).to.deep.equal([{ i: 0 }, { i: 1 }, { i: 2 }]);
      });

      it("end with the error that the method threw", async () => {
        const streamer = RemoteStreamer.remote();
        const seen: unknown[] = [];
        for await (const ref of streamer.breaksAfter.remote(2)) {
          seen.push(await get(ref).catch((error: Error) => error.message));
        }
        expect(seen.slice(0, 2)).to.deep.equal([0, 1]);
        expect(seen).to.have.length(3);
        expect(seen[2]).to.contain("broken stream");
      });

      it("stop the method when the reader leaves, and hold it back with backpressure", async () => {
        const streamer = RemoteStreamer.remote();
        for await (const ref of streamer.upTo.options({ backpressure: 2 }).remote(1e9)) {
          if ((await get(ref)) === 5) break;
        }
        expect((await get(streamer.facts.remote())).stopped).to.equal(1);
      });
    });

    describe("cancellation", () => {
      it("drops a call that waits, and the order of the others stays", async () => {
        const recorder = RemoteRecorder.remote();
        const slow = recorder.note.remote("x", 0, valueAfter.remote(0, 100));
        const doomed = recorder.note.remote("x", 1);
        const last = recorder.note.remote("x", 2);
        await cancel(doomed);
        expect(await rejection(get(doomed))).to.be.instanceOf(TaskCancelledError);
        await get([slow, last]);
        expect(await get(recorder.seen.remote())).to.deep.equal([
          ["x", 0],
          ["x", 2],
        ]);
      });

      it("drops a call that waits in the actor", async () => {
        const streamer = RemoteStreamer.remote();
        const file = test.file(`queue-${links}`);
        const running = streamer.untilCancelled.remote(file);
        const queued = streamer.untilCancelled.remote(file);
        await eventually(() => linesOf(file).length === 1, "the first call begins");
        await cancel(queued);
        expect(await rejection(get(queued))).to.be.instanceOf(TaskCancelledError);
        await cancel(running);
        expect(await rejection(get(running))).to.be.instanceOf(TaskCancelledError);
        expect((await get(streamer.facts.remote())).sawSignal).to.equal(1);
        expect(linesOf(file)).to.have.length(1);
      });

      it("is told to a running call by its signal, through cancel() and through an AbortSignal", async () => {
        const streamer = RemoteStreamer.remote();
        const file = test.file(`running-${links}`);
        const stop = new AbortController();
        const ref = streamer.untilCancelled.options({ signal: stop.signal }).remote(file);
        await eventually(() => linesOf(file).length === 1, "the call begins");
        stop.abort();
        expect(await rejection(get(ref))).to.be.instanceOf(TaskCancelledError);
        const never = streamer.facts.options({ signal: AbortSignal.abort() }).remote();
        expect(await rejection(get(never))).to.be.instanceOf(TaskCancelledError);
        expect((await get(streamer.facts.remote())).sawSignal).to.equal(1);
      });

      it("of a call that is done changes nothing", async () => {
        const counter = RemoteCounter.remote(0);
        const ref = counter.add.remote(1);
        expect(await get(ref)).to.equal(1);
        await cancel(ref);
        expect(await get(ref)).to.equal(1);
        expect(await get(counter.add.remote(1))).to.equal(2);
      });
    });

    describe("a process that dies", () => {
      it("comes back, and takes the calls with retries in their order", async () => {
        const file = test.file(`restart-${links}`);
        const options = { maxRestarts: 1, maxTaskRetries: 1 };
        const recorder = RemoteDurableRecorder.options(options).remote(file, 10);
        const refs = Array.from({ length: 30 }, (_, i) => recorder.note.remote("driver", i));
        expect(await get(refs)).to.deep.equal(Array.from({ length: 30 }, (_, i) => i));
        const lines = linesOf(file);
        const second = lines.slice(lines.lastIndexOf("start") + 1).map((line) => Number(line.split(" ")[1]));
        expect(second.at(0)).to.be.lessThan(11);
        expect(second).to.deep.equal(Array.from({ length: second.length }, (_, i) => 30 - second.length + i));
      });

      it("fails what is in flight without retries, and all that comes when it stays away", async () => {
        const mortal = RemoteMortal.options({ maxRestarts: 1 }).remote();
        expect(await rejection(get(mortal.die.remote()))).to.be.instanceOf(ActorUnavailableError);
        expect(await rejection(get(mortal.die.remote()))).to.be.instanceOf(ActorDiedError);
        expect(await rejection(get(mortal.pid.remote()))).to.be.instanceOf(ActorDiedError);
      });
    });

    it("answers wait() for results of actors", async () => {
      const counter = RemoteCounter.remote(0);
      const mortal = RemoteMortal.remote();
      const never = mortal.hang.remote();
      const now = counter.add.remote(1);
      const [done, pending] = await wait([never, now], { count: 1, timeoutMs: 10_000 });
      expect(done).to.deep.equal([now]);
      expect(pending).to.deep.equal([never]);
      await kill(mortal);
      expect(await wait([never])).to.deep.equal([[never], []]);
    });
  });
}
