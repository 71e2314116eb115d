/** `init()` and `shutdown()`: once, twice, again, with a scope, and without. */
import { expect } from "chai";
import {
  InvalidOptionError,
  NotInitializedError,
  asCompleted,
  cancel,
  context,
  get,
  init,
  isInitialized,
  nodes,
  put,
  shutdown,
  wait,
  type ObjectRef,
} from "stingray";
import { eventually, isRunning, rejection, testCluster } from "stingray/testing";
import * as tasks from "./fixtures/tasks.js";

const OPTIONS = { cpus: 1, gpus: 0, objectStoreMemory: 64 << 20, logToDriver: false };

describe("init() and shutdown()", function () {
  this.timeout(20_000);
  afterEach(() => shutdown());

  it("are needed: without them everything says so", async () => {
    expect(isInitialized()).to.equal(false);
    expect(() => tasks.add.remote(1, 1)).to.throw(NotInitializedError, "init()");
    expect(() => context()).to.throw(NotInitializedError);
    const none = [] as ObjectRef[];
    for (const call of [
      async (): Promise<unknown> => put(1),
      async (): Promise<unknown> => get(none),
      async (): Promise<unknown> => wait(none),
      async (): Promise<unknown> => nodes(),
      async (): Promise<unknown> => asCompleted(none).next(),
      async (): Promise<unknown> => cancel(none[0] as ObjectRef),
    ])
      expect(await rejection(call())).to.be.instanceOf(NotInitializedError);
  });

  it("give the same cluster twice, also to those who ask at once", async () => {
    const [one, two] = await Promise.all([init(OPTIONS), init(OPTIONS)]);
    expect(one).to.equal(two);
    expect(await init()).to.equal(one);
    expect(isInitialized()).to.equal(true);
    expect(await get(tasks.add.remote(1, 1))).to.equal(2);
    await Promise.all([shutdown(), shutdown(), one.shutdown()]);
    await shutdown();
    expect(isInitialized()).to.equal(false);
  });

  it("leave nothing behind with a scope", async () => {
    let worker: number;
    {
      await using test = await testCluster(OPTIONS);
      expect(test.cluster.jobId).to.be.a("string");
      worker = await get(tasks.pid.remote());
      expect(isRunning(worker)).to.equal(true);
    }
    expect(isInitialized()).to.equal(false);
    await eventually(() => !isRunning(worker), "the worker is gone");
  });

  it("begin anew after an end, with another job, and old references are refused", async () => {
    const first = await init(OPTIONS);
    const { jobId } = first;
    const old = tasks.add.remote(1, 1);
    expect(await get(old)).to.equal(2);
    await shutdown();
    const second = await init(OPTIONS);
    expect(second.jobId).not.to.equal(jobId);
    expect(await get(tasks.add.remote(2, 2))).to.equal(4);
    expect(await get(tasks.anonymous.remote(1))).to.equal("first anonymous 1");
    expect((await rejection(get(old))).message).to.contain(old.id);
  });

  it("may follow each other without waiting", async () => {
    await init(OPTIONS);
    const ending = shutdown();
    await init(OPTIONS);
    await ending;
    expect(await get(tasks.add.remote(1, 2))).to.equal(3);
  });

  it("end what waits with an error", async () => {
    await init(OPTIONS);
    const never = tasks.sleeper.options({ maxRetries: 0 }).remote("/dev/null", 60_000);
    const waiting = rejection(get(never));
    await shutdown();
    expect(await waiting).to.be.instanceOf(NotInitializedError);
  });

  it("refuse wrong options, and can be called again after that", async () => {
    const wrong = (options: object): Promise<unknown> => init(options);
    expect((await rejection(wrong({ cpu: 1 }))).message).to.contain("cpus");
    expect(await rejection(wrong({ nodes: 0 }))).to.be.instanceOf(InvalidOptionError);
    expect(await rejection(wrong({ runtimeEnv: { envVars: { A: 1 } } }))).to.be.instanceOf(
      InvalidOptionError,
    );
    await init(OPTIONS);
    expect(await get(tasks.add.remote(1, 1))).to.equal(2);
  });
});
