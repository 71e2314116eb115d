/** What happens to tasks that fail, whose worker dies, or that take too long. */
import { expect } from "chai";
import {
  SerializationError,
  TaskCancelledError,
  TaskError,
  TaskTimeoutError,
  WorkerCrashedError,
  get,
  availableResources,
  put,
  type StingrayError,
} from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import * as tasks from "./fixtures/tasks.js";
import { quick } from "./fixtures/tasks-slow-module.js";
import { Rejected, reject } from "./fixtures/task-values.js";
import { linesOf } from "./support/lines.js";

describe("tasks that fail", function () {
  this.timeout(20_000);
  let test: TestCluster;
  let count = 0;
  const newFile = (): string => test.file(`attempts-${count++}`);

  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());

  describe("with an error of their own", () => {
    it("are not tried again unless told to", async () => {
      const file = newFile();
      expect(await rejection(get(tasks.flaky.remote(file, 1)))).to.be.instanceOf(TaskError);
      expect(linesOf(file)).to.have.length(1);
    });

    it("are tried again after any error with retryOn: true, at most maxRetries times", async () => {
      expect(await get(tasks.flaky.options({ retryOn: true }).remote(newFile(), 3))).to.equal(4);
      const file = newFile();
      const failing = tasks.flaky.options({ retryOn: true, maxRetries: 2 }).remote(file, 100);
      expect((await rejection(get(failing))).cause).to.be.instanceOf(RangeError);
      expect(linesOf(file)).to.have.length(3);
      const never = newFile();
      await rejection(get(tasks.flaky.options({ retryOn: true, maxRetries: 0 }).remote(never, 100)));
      expect(linesOf(never)).to.have.length(1);
    });

    it("are tried again after errors of the given classes only", async () => {
      const ranges = tasks.flaky.options({ retryOn: [RangeError, SyntaxError] });
      expect(await get(ranges.remote(newFile(), 1, "range"))).to.equal(2);
      const file = newFile();
      await rejection(get(ranges.remote(file, 1, "plain")));
      expect(linesOf(file)).to.have.length(1);
    });

    it("are tried again where a function says so, which sees the original error here", async () => {
      const seen: unknown[] = [];
      const choosy = tasks.flaky.options({
        retryOn: (error) => {
          seen.push(error);
          return error instanceof RangeError;
        },
      });
      expect(await get(choosy.remote(newFile(), 2))).to.equal(3);
      expect(seen).to.have.length(2);
      for (const error of seen)
        expect(error).to.be.instanceOf(RangeError).with.property("message", "out of range");
      await rejection(get(choosy.remote(newFile(), 1, "plain")));
      const broken = tasks.flaky.options({
        retryOn: () => {
          throw new Error("a mistake in the rule");
        },
      });
      expect((await rejection(get(broken.remote(newFile(), 1)))).cause).to.be.instanceOf(RangeError);
    });

    it("tell what was thrown, whatever it was", async () => {
      const causeOf = async (kind: string): Promise<Error & { errors?: Error[]; tray?: number }> =>
        (await rejection(get(tasks.fail.remote(kind)))).cause as Error;
      expect(await causeOf("plain"))
        .to.be.instanceOf(Error)
        .with.property("message", "plain");
      const several = await causeOf("aggregate");
      expect(several).to.be.instanceOf(AggregateError);
      expect(several.errors?.[1]).to.be.instanceOf(SyntaxError);
      const paper = await causeOf("paper");
      expect(paper).to.include({ name: "OutOfPaper", message: "tray 2 is empty", tray: 2 });
      const text = await rejection(get(tasks.fail.remote("text")));
      expect(text.message).to.contain("a text");
      expect(text.cause).to.equal("a text");
      const nothing = await rejection(get(tasks.fail.remote("nothing")));
      expect(nothing).to.be.instanceOf(TaskError);
      expect(nothing.message).to.contain("undefined");
    });

    it("give an error of a registered class back as one of it, with its methods", async () => {
      const error = await rejection(get(reject.remote()));
      expect(error.message).to.contain("Rejected: no");
      expect(error.cause).to.be.instanceOf(Rejected);
      expect((error.cause as Rejected).advice()).to.equal("go to 3");
    });
  });

  describe("with their worker", () => {
    it("run again, at most maxRetries times", async () => {
      const file = newFile();
      expect(await get(tasks.dying.remote(file, 2))).to.equal(3);
      expect(new Set(linesOf(file)).size).to.equal(3);
      const often = newFile();
      const error = await rejection(get(tasks.dying.options({ maxRetries: 1 }).remote(often, 100)));
      expect(error).to.be.instanceOf(WorkerCrashedError);
      expect(error.message).to.match(/dying .*SIGKILL.*2 attempts/);
      expect(linesOf(often)).to.have.length(2);
    });

    it("run at most once with maxRetries: 0", async () => {
      const files = Array.from({ length: 10 }, newFile);
      const refs = files.map((file, i) =>
        (i % 2 === 0 ? tasks.dying : tasks.flaky)
          .options({ maxRetries: 0 })
          .remote(file, i % 2 === 0 ? 1 : 0),
      );
      for (const [i, ref] of refs.entries()) {
        if (i % 2 === 0) expect(await rejection(get(ref))).to.be.instanceOf(WorkerCrashedError);
        else expect(await get(ref)).to.equal(1);
      }
      for (const file of files) expect(linesOf(file)).to.have.length(1);
    });

    it("tell how it ended and what it said last", async () => {
      const error = (await rejection(
        get(tasks.exiting.options({ maxRetries: 0 }).remote(7)),
      )) as unknown as StingrayError;
      expect(error).to.be.instanceOf(WorkerCrashedError);
      expect(error.message).to.match(/exiting .*exit code 7.*these are its last words/);
      expect(error.detail).to.include({ exitCode: 7, signal: null });
    });

    it("keep the arguments that they need again", async () => {
      const ref = tasks.dyingSum.remote(newFile(), tasks.numbers.remote(50_000, 2));
      expect(await get(ref)).to.equal(100_000);
      expect(await get(tasks.dyingSum.remote(newFile(), new Float64Array(50_000).fill(3)))).to.equal(150_000);
    });

    it("do not take along others that waited behind them", async () => {
      const file = newFile();
      const dying = tasks.dying.remote(file, 1);
      const others = Array.from({ length: 50 }, (_, i) => tasks.add.remote(i, i));
      expect(await get(others)).to.deep.equal(others.map((_, i) => 2 * i));
      expect(await get(dying)).to.equal(2);
    });
  });

  describe("by taking too long", () => {
    it("end with an error that says so, sync or async", async () => {
      const slow = tasks.sleeper.options({ timeoutMs: 100 }).remote(newFile(), 60_000);
      const busy = tasks.spin.options({ timeoutMs: 100 }).remote(newFile());
      for (const ref of [slow, busy]) {
        const error = await rejection(get<unknown>(ref));
        expect(error).to.be.instanceOf(TaskTimeoutError).and.not.instanceOf(TaskCancelledError);
        expect(error.message).to.match(/(sleeper|spin) took longer than its timeoutMs \(100 ms\)/);
      }
    });

    it("can end by their signal before they are ended", async () => {
      const file = newFile();
      const ref = tasks.attentive.options({ timeoutMs: 100 }).remote(file);
      expect(await rejection(get(ref))).to.be.instanceOf(TaskTimeoutError);
      await eventually(() => linesOf(`${file}.saw`).length === 1, "it sees its signal");
    });

    it("are tried again only where retryOn says so", async () => {
      const file = newFile();
      const again = tasks.sleeper.options({ timeoutMs: 50, retryOn: [TaskTimeoutError], maxRetries: 1 });
      expect(await rejection(get(again.remote(file, 60_000)))).to.be.instanceOf(TaskTimeoutError);
      expect(linesOf(file)).to.have.length(2);
      const once = newFile();
      await rejection(get(tasks.sleeper.options({ timeoutMs: 50 }).remote(once, 60_000)));
      expect(linesOf(once)).to.have.length(1);
    });

    it("count from the start: neither waiting for a place nor for arguments nor loading the module is part of it", async () => {
      const limited = tasks.addLater.options({ timeoutMs: 100, cpus: 2 });
      const slow = tasks.addLater.options({ cpus: 2 }).remote(1, 1, 500);
      const loading = quick.options({ timeoutMs: 100, cpus: 2 }).remote();
      expect(await get([limited.remote(1, 1, 0), limited.remote(slow, 1, 0), loading])).to.deep.equal([
        2, 3, 1,
      ]);
    });
  });

  it("do not take along the task that waits for them, which runs once", async () => {
    for (const [how, name] of [
      ["timeoutMs", "TaskTimeoutError"],
      ["force", "TaskCancelledError"],
      ["dies", "WorkerCrashedError"],
    ] as const) {
      const files = [newFile(), newFile()];
      const refs = files.map((file) => tasks.survivor.remote(file, how));
      expect(await get(refs)).to.deep.equal(refs.map(() => name));
      for (const file of files) expect(linesOf(`${file}.survivor`)).to.have.length(1);
    }
  });

  it("by a result that can't be sent are not tried again, and say where", async () => {
    const error = await rejection(get(tasks.unsendable.options({ retryOn: [TypeError] }).remote()));
    expect(error).to.be.instanceOf(SerializationError);
  });

  it("leave the cluster usable: all resources come back", async () => {
    expect(await get(tasks.add.remote(await put(1), 1))).to.equal(2);
    await eventually(async () => (await availableResources())["CPU"] === 2, "all processors are free");
  });
});
