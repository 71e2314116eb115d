/** Cancellation: of tasks that wait, run, loop, do not listen, and of what they have begun themselves. */
import { existsSync } from "node:fs";
import { expect } from "chai";
import {
  InvalidArgumentError,
  type ObjectRef,
  TaskCancelledError,
  TaskError,
  availableResources,
  cancel,
  get,
  put,
} from "stingray";
import { eventually, isRunning, rejection, testCluster, type TestCluster } from "stingray/testing";
import * as tasks from "./fixtures/tasks.js";
import { linesOf } from "./support/lines.js";

describe("cancel()", function () {
  this.timeout(20_000);
  let test: TestCluster;
  let count = 0;
  const newFile = (): string => test.file(`cancel-${count++}`);
  const begun = (file: string): Promise<number> =>
    eventually(() => Number(linesOf(file)[0]), "the task has begun");
  const isCancelled = async (ref: ObjectRef): Promise<void> => {
    const error = await rejection(get(ref));
    expect(error).to.be.instanceOf(TaskCancelledError).with.property("code", "TASK_CANCELLED");
    expect(await rejection(get(ref))).to.be.instanceOf(TaskCancelledError);
  };

  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());
  afterEach("all processors are free again", () =>
    eventually(async () => (await availableResources())["CPU"] === 2, "all processors are free"),
  );

  it("keeps a task that has not begun from ever running", async () => {
    const file = newFile();
    const blocker = tasks.attentive.options({ cpus: 2 }).remote(newFile());
    const queued = tasks.sleeper.options({ cpus: 2 }).remote(file, 0);
    const behind = tasks.add.options({ cpus: 2 }).remote(1, 1);
    await cancel(queued);
    await isCancelled(queued);
    await cancel(blocker);
    expect(await get(behind)).to.equal(2);
    expect(existsSync(file)).to.equal(false);
  });

  it("keeps a task from running that waits for an argument, and leaves the argument alone", async () => {
    const argument = tasks.addLater.remote(1, 1, 200);
    const waiting = tasks.add.remote(argument, 1);
    await cancel(waiting);
    await isCancelled(waiting);
    expect(await get(argument)).to.equal(2);
  });

  it("ends a running task by its signal, also when it returns a value", async () => {
    const file = newFile();
    const ref = tasks.attentive.remote(file);
    await begun(file);
    await cancel(ref);
    await isCancelled(ref);
    await eventually(() => linesOf(`${file}.saw`)[0] === "true", "isCancelled() was true");
  });

  it("ends a loop that never yields, which asks isCancelled()", async () => {
    const file = newFile();
    const ref = tasks.busyUntilCancelled.remote(file);
    const worker = await begun(file);
    await cancel(ref);
    await isCancelled(ref);
    expect(linesOf(`${file}.saw`)).to.deep.equal(["true"]);
    expect(isRunning(worker)).to.equal(true);
  });

  it("with force ends the worker of a task that does not listen, without running it again", async () => {
    const file = newFile();
    const ref = tasks.spin.options({ maxRetries: 3, retryOn: true }).remote(file);
    const worker = await begun(file);
    await cancel(ref, { force: true });
    await isCancelled(ref);
    await eventually(() => !isRunning(worker), "its worker is gone");
    expect(linesOf(file)).to.have.length(1);
  });

  it("with force of one task lets the others of its worker run to their end", async () => {
    const file = newFile();
    const victim = tasks.spin.options({ cpus: 2, maxRetries: 0 }).remote(file);
    await begun(file);
    const others = Array.from({ length: 20 }, (_, i) => tasks.add.options({ cpus: 2 }).remote(i, 1));
    await cancel(victim, { force: true });
    await isCancelled(victim);
    expect(await get(others)).to.deep.equal(others.map((_, i) => i + 1));
  });

  it("of a task reaches what it has submitted, and not with recursive: false", async () => {
    for (const recursive of [true, false]) {
      const file = newFile();
      const ref = tasks.parent.remote(file);
      await begun(file);
      await cancel(ref, { recursive });
      if (recursive) {
        await isCancelled(ref);
        await eventually(() => linesOf(`${file}.saw`).length === 1, "the child sees its signal");
      } else {
        expect(existsSync(`${file}.saw`)).to.equal(false);
        await cancel(ref);
        await isCancelled(ref);
        await eventually(() => linesOf(`${file}.saw`).length === 1, "the child sees its signal");
      }
    }
  });

  it("fails the tasks that wait for the result", async () => {
    const file = newFile();
    const ref = tasks.attentive.remote(file);
    const dependent = tasks.echo.remote(ref);
    await begun(file);
    await cancel(ref);
    await isCancelled(dependent);
  });

  it("leaves alone what has ended", async () => {
    const done = tasks.add.remote(1, 1);
    await get(done);
    await cancel(done);
    expect(await get(done)).to.equal(2);
    const failed = tasks.fail.remote("range");
    await rejection(get(failed));
    await cancel(failed, { force: true });
    expect(await rejection(get(failed))).to.be.instanceOf(TaskError);
    await cancel(await put(1));
  });

  it("may come twice, and for all results of a task with several", async () => {
    const file = newFile();
    const [one, two] = tasks.attentive.options({ returns: 2 }).remote(file) as unknown as [
      ObjectRef,
      ObjectRef,
    ];
    await begun(file);
    await Promise.all([cancel(two), cancel(one), cancel(two)]);
    await isCancelled(one);
    await isCancelled(two);
  });

  it("of many at once leaves none", async () => {
    const refs = Array.from({ length: 100 }, () => tasks.sleeper.remote(newFile(), 60_000));
    await Promise.all(refs.map((ref) => cancel(ref, { force: true })));
    for (const ref of refs) await isCancelled(ref);
  });

  it("takes references of this process's tasks only", async () => {
    const { ref } = await get(tasks.makeTask.remote(1, 2));
    const error = await rejection(cancel(ref));
    expect(error).to.be.instanceOf(InvalidArgumentError);
    expect(error.message).to.contain("only the process that submitted");
    expect(await get(ref)).to.equal(3);
    expect(await rejection(cancel(1 as unknown as ObjectRef))).to.be.instanceOf(InvalidArgumentError);
  });
});
