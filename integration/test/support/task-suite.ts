/** What tasks are, over both kinds of links: definitions, arguments, results, errors, streams, cancellation. */
import { expect } from "chai";
import {
  InvalidArgumentError,
  InvalidOptionError,
  ObjectRef,
  SerializationError,
  TaskCancelledError,
  TaskError,
  TaskTimeoutError,
  cancel,
  get,
  put,
  remote,
  type TaskOptions,
} from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import * as tasks from "../fixtures/tasks.js";
import * as elsewhere from "../fixtures/tasks-elsewhere.js";
import { countSlowly, countTo } from "../fixtures/task-streams.js";
import { linesOf } from "./lines.js";

/** The same for each kind of links. */
export function describeTasks(links: "auto" | "nats"): void {
  describe(`tasks, links: ${links}`, function () {
    this.timeout(20_000);
    let test: TestCluster;

    before(async () => {
      test = await testCluster({ links });
    });
    after(() => test.end());

    describe("definitions", () => {
      it("run in another process, sync or async, named or not, with options first or none", async () => {
        expect(await get(tasks.pid.remote())).not.to.equal(process.pid);
        expect(await get([tasks.add.remote(1, 2), tasks.addLater.remote(3, 4)])).to.deep.equal([3, 7]);
        expect(
          await get([tasks.anonymous.remote(1), tasks.anotherAnonymous.remote(2), tasks.named.remote(3)]),
        ).to.deep.equal(["first anonymous 1", "second anonymous 2", -3]);
      });

      it("are known by their name, or by their position", () => {
        expect(tasks.add.remoteName).to.equal("add");
        expect(tasks.named.remoteName).to.equal("explicit.name");
        expect(tasks.anonymous.remoteName).to.match(/^#\d+$/);
        expect(tasks.anotherAnonymous.remoteName).not.to.equal(tasks.anonymous.remoteName);
      });

      it("of one name in one module are told apart; one function defined twice is one", async () => {
        expect(tasks.elder.remoteName).not.to.equal(tasks.younger.remoteName);
        expect(await get([tasks.elder.remote(), tasks.younger.remote()])).to.deep.equal(["elder", "younger"]);
        expect(tasks.again.remoteName).to.equal(tasks.once.remoteName);
        expect(await get([tasks.once.remote(), tasks.again.remote()])).to.deep.equal([
          "one function",
          "one function",
        ]);
      });

      it("of one name in two modules are two functions, and call each other", async () => {
        expect(await get([tasks.add.remote(1, 2), elsewhere.anonymous.remote(1)])).to.deep.equal([
          3,
          "elsewhere 1",
        ]);
        expect(await get(elsewhere.add.remote("a", "b"))).to.equal("a and b");
        expect(await get(elsewhere.throughOther.remote(20, 22))).to.equal(42);
      });

      it("refuse what is no function and options that there are not, naming the nearest", () => {
        const wrong = (options: object): TaskOptions => options;
        expect(() => remote(1 as unknown as () => void)).to.throw(InvalidArgumentError, "got 1");
        expect(() => remote(wrong({ maxRetrys: 1 }), () => 1)).to.throw(InvalidOptionError, "maxRetries");
        for (const options of [
          { cpus: -1 },
          { cpus: "2" },
          { returns: -1 },
          { maxRetries: 1.5 },
          { timeoutMs: 0 },
          { retryOn: "always" },
          { resources: { special: -1 } },
          { backpressure: 0 },
          { scheduling: "anywhere" },
          { runtimeEnv: { env: {} } },
        ])
          expect(() => tasks.add.options(wrong(options)), JSON.stringify(options)).to.throw(
            InvalidOptionError,
            Object.keys(options)[0],
          );
        expect(() => tasks.add.options({ name: "other" })).to.throw(InvalidOptionError, "name");
      });

      it("take other options for some calls, and keep their own", async () => {
        expect(await get(tasks.fraction.remote())).to.deep.equal({ CPU: 0.25 });
        const whole = tasks.fraction.options({ cpus: 1 });
        expect(await get([whole.remote(), tasks.fraction.remote()])).to.deep.equal([
          { CPU: 1 },
          { CPU: 0.25 },
        ]);
        expect(await get(whole.options({ maxRetries: 0 }).remote())).to.deep.equal({ CPU: 1 });
      });
    });

    describe("arguments", () => {
      it("are as they were at the call", async () => {
        const argument = { list: [1], bytes: new Uint8Array([1]), large: new Float64Array(20_000) };
        const ref = tasks.echo.remote(argument);
        argument.list.push(2);
        argument.bytes[0] = 9;
        argument.large.fill(9);
        const seen = (await get(ref)) as typeof argument;
        expect(seen.list).to.deep.equal([1]);
        expect([...seen.bytes]).to.deep.equal([1]);
        expect(seen.large.some((x) => x !== 0)).to.equal(false);
      });

      it("that are references arrive as values: put ones, ready ones and pending ones", async () => {
        const pending = tasks.addLater.remote(1, 1, 40);
        const ready = tasks.add.remote(2, 2);
        await get(ready);
        expect(await get(tasks.list.remote(await put(2)))).to.deep.equal([0, 1]);
        const sum = tasks.add.remote(pending, ready);
        expect(await get(sum)).to.equal(6);
        expect(await get(tasks.kindOf.remote(await put(new Map()), sum, [sum], "text"))).to.deep.equal([
          "Map",
          "Number",
          "Array",
          "String",
        ]);
      });

      it("may be one reference several times", async () => {
        const two = tasks.addLater.remote(1, 1, 20);
        expect(await get(tasks.add.remote(two, two))).to.equal(4);
      });

      it("make chains: each task gets what the one before it made", async () => {
        let last = tasks.add.remote(0, 1);
        for (let i = 0; i < 50; i++) last = tasks.add.remote(last, 1);
        expect(await get(last)).to.equal(51);
      });

      it("that are nested references stay references", async () => {
        const ref = tasks.addLater.remote(20, 22, 20);
        expect(await get(tasks.isReference.remote({ ref }))).to.equal("ObjectRef");
        expect(await get(tasks.readNested.remote({ ref }))).to.equal(42);
        expect(await get(tasks.readFurther.remote({ ref }, 3))).to.equal(42);
        const { back } = await get(tasks.sameBack.remote({ ref }));
        expect(back).to.be.instanceOf(ObjectRef);
        expect(back.id).to.equal(ref.id);
        expect(await get(back)).to.equal(42);
      });

      it("that can't be sent are refused at the call, with their path", () => {
        expect(() => tasks.echo.remote({ model: { onChange: () => {} } })).to.throw(
          SerializationError,
          "args[0].model.onChange: functions can't be sent",
        );
        expect(() => tasks.add.remote(1, Symbol("s") as unknown as number)).to.throw(
          SerializationError,
          "args[1]",
        );
        class Mine {
          field = 1;
        }
        expect(() => tasks.echo.remote([new Mine()])).to.throw(SerializationError, /args\[0\]\[0\].*Mine/s);
      });
    });

    describe("results", () => {
      it("are undefined where the function returns nothing", async () => {
        expect(await get(tasks.nothing.remote())).to.equal(undefined);
      });

      it("may be several, each with a reference of its own", async () => {
        const [number, text] = tasks.pair.remote(7, "seven");
        expect(await get([text, number])).to.deep.equal(["seven", 7]);
        const three = tasks.list.options({ returns: 3 }).remote(3);
        expect(three).to.have.length(3);
        expect(await get(three.toReversed())).to.deep.equal([2, 1, 0]);
        expect(tasks.list.options({ returns: 0 }).remote(3)).to.deep.equal([]);
        const wrongNumber = tasks.list.options({ returns: 2 }).remote(3);
        for (const ref of wrongNumber)
          expect((await rejection(get(ref))).message).to.match(/returns: 2.*an array of 3/s);
      });

      it("may hold references, of values that their maker put and of tasks that it began", async () => {
        const { ref } = await get(tasks.makeReference.remote({ deep: ["value"] }));
        expect(await get(ref)).to.deep.equal({ deep: ["value"] });
        expect(await get((await get(tasks.makeTask.remote(1, 2))).ref)).to.equal(3);
      });

      it("that can't be sent are errors that say where", async () => {
        const error = await rejection(get(tasks.unsendable.remote()));
        expect(error).to.be.instanceOf(SerializationError);
        expect(error.message).to.match(/^result\.deep\[0\]/);
      });
    });

    describe("errors", () => {
      it("arrive at every get, with the original error as their cause", async () => {
        for (const ref of [tasks.fail.remote("range"), tasks.failLater.remote("range")]) {
          for (let i = 0; i < 2; i++) {
            const error = await rejection(get(ref));
            expect(error).to.be.instanceOf(TaskError).with.property("code", "TASK_FAILED");
            expect(error.message).to.match(/fail(Later)? failed: RangeError: out of range/);
            expect(error.cause).to.be.instanceOf(RangeError).with.property("message", "out of range");
            expect((error.cause as Error).cause).to.be.instanceOf(TypeError);
          }
        }
      });

      it("show the worker's stack in the source", async () => {
        const { stack } = await rejection(get(tasks.fail.remote("range")));
        expect(stack).to.match(/at .*thrower.*fixtures[\\/]tasks\.ts:\d+/);
        expect(stack).to.match(/at .*fail.*fixtures[\\/]tasks\.ts:\d+/);
        expect(stack).to.match(/at worker \(pid \d+\)$/);
        expect(stack).not.to.match(/execute[\\/]runner/);
      });

      it("of an argument fail the tasks that depend on it, through any number of them", async () => {
        const failed = tasks.failLater.remote("range", 20) as unknown as ObjectRef<number>;
        const dependent = tasks.add.remote(tasks.add.remote(failed, 1), 1);
        const error = await rejection(get(dependent));
        expect(error).to.be.instanceOf(TaskError);
        expect(error.cause).to.be.instanceOf(RangeError);
        expect(error.message).to.contain("failLater failed");
        const known = tasks.add.remote(failed, 1);
        expect((await rejection(get(known))).cause).to.be.instanceOf(RangeError);
      });

      it("pass through the tasks that wait for them", async () => {
        const error = await rejection(get(tasks.nestedFailure.remote()));
        expect(error).to.be.instanceOf(TaskError);
        const inner = error.cause as Error;
        expect(inner).to.be.instanceOf(TaskError);
        expect(inner.cause).to.be.instanceOf(RangeError);
      });
    });

    describe("streams", () => {
      it("give a reference per item, of sync and async generators", async () => {
        const seen: number[] = [];
        for await (const ref of countTo.remote(5)) seen.push(await get(ref));
        for await (const ref of countSlowly.remote(3)) seen.push(await get(ref));
        expect(seen).to.deep.equal([1, 2, 3, 4, 5, 1, 2, 3]);
      });

      it("stop when their reader leaves", async () => {
        for await (const ref of countSlowly.remote(1_000_000)) if ((await get(ref)) === 3) break;
        expect(await get(tasks.add.remote(1, 1))).to.equal(2);
      });
    });

    describe("cancellation", () => {
      it("ends what runs by its signal", async () => {
        const file = test.file(`cancel-${links}`);
        const ref = tasks.attentive.remote(file);
        await eventually(() => linesOf(file).length === 1, "the task begins");
        await cancel(ref);
        expect(await rejection(get(ref))).to.be.instanceOf(TaskCancelledError);
        await eventually(() => linesOf(`${file}.saw`)[0] === "true", "the task sees it");
      });

      it("ends a loop that never yields, which asks isCancelled()", async () => {
        const file = test.file(`busy-${links}`);
        const ref = tasks.busyUntilCancelled.remote(file);
        await eventually(() => linesOf(file).length === 1, "the loop begins");
        await cancel(ref);
        expect(await rejection(get(ref))).to.be.instanceOf(TaskCancelledError);
        await eventually(() => linesOf(`${file}.saw`)[0] === "true", "the loop sees it");
      });
    });

    it("retries a task whose worker is killed", async () => {
      const file = test.file(`dying-${links}`);
      expect(await get(tasks.dying.remote(file))).to.equal(2);
    });

    it("ends a loop that never yields at its time limit", async () => {
      const ref = tasks.spin.options({ timeoutMs: 100 }).remote(test.file(`spin-${links}`));
      expect(await rejection(get(ref))).to.be.instanceOf(TaskTimeoutError);
    });

    it("uses a worker for at most maxCalls tasks of a function", async () => {
      const pids: number[] = [];
      for (let i = 0; i < 6; i++) pids.push(await get(tasks.pidOfTwo.remote()));
      expect(new Set(pids).size).to.be.at.least(3);
      for (const pid of pids) expect(pids.filter((other) => other === pid).length).to.be.at.most(2);
    });

    it("runs tasks that wait for tasks, deeper than there are processors", async () => {
      expect(await get(tasks.depth.remote(20))).to.equal(20);
      expect(await get(tasks.fibonacci.remote(7))).to.equal(13);
    });

    it("says about itself what context() promises", async () => {
      const ref = tasks.facts.remote();
      const facts = await get(ref);
      const { jobId, nodeId, namespace } = test.cluster;
      expect(facts).to.include({
        jobId,
        nodeId,
        namespace,
        aborted: false,
        cancelled: false,
        sameTask: true,
      });
      expect(facts.taskId).to.equal(ref.id.split(".").slice(0, 2).join("."));
      expect(facts.actorId).to.equal(undefined);
      expect(facts.resources).to.deep.equal({ CPU: 1 });
      expect(facts.gpuIds).to.deep.equal([]);
      const error = await rejection(get(tasks.exitActorOutside.remote()));
      expect(error.cause).to.be.instanceOf(TypeError);
    });
  });
}
