/** How long actors live, and what they hold meanwhile. */
import { expect } from "chai";
import {
  availableResources,
  get,
  kill,
  nodes,
  ready,
  shutdown,
  type ActorHandle,
  type ObjectRef,
} from "stingray";
import {
  collectGarbage,
  eventually,
  isRunning,
  rejection,
  testCluster,
  type TestCluster,
} from "stingray/testing";
import {
  RemoteBoss,
  RemoteCounter,
  RemoteCreator,
  RemoteDiarist,
  RemoteGreedy,
  RemoteMortal,
  RemoteRecorder,
  RemoteSlowConstructor,
  callAndForget,
  type Counter,
} from "./fixtures/actors.js";
import { linesOf } from "./support/lines.js";

describe("the life of an actor", function () {
  this.timeout(20_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());

  it("ends when its last handle is gone, after its pending calls, with onDeactivate", async () => {
    const file = test.file("scope");
    const pending = await (async (): Promise<ObjectRef<void>[]> => {
      const diarist = RemoteDiarist.remote(file);
      await ready(diarist);
      return Array.from({ length: 5 }, (_, i) => diarist.note.remote(`note ${i}`));
    })();
    await get(pending);
    await eventually(() => {
      collectGarbage();
      return linesOf(file).at(-1)?.startsWith("deactivated");
    }, "it is deactivated");
    expect(linesOf(file).slice(2)).to.deep.equal([
      ...Array.from({ length: 5 }, (_, i) => `note ${i}`),
      "deactivated: out-of-scope",
    ]);
  });

  it("does not end while somebody else has a handle", async () => {
    const holder = RemoteCounter.remote();
    const { pid, kept } = await (async () => {
      const counter = RemoteCounter.remote(1);
      return { pid: await get(counter.pid.remote()), kept: holder.echo.remote([counter]) };
    })();
    await get(kept);
    for (let i = 0; i < 10; i++) {
      collectGarbage();
      await get(holder.value.remote());
    }
    expect(isRunning(pid)).to.equal(true);
    const [back] = (await get(kept)) as [ActorHandle<Counter>];
    expect(await get(back.add.remote(1))).to.equal(2);
  });

  it("ends when the value with its handle is gone", async () => {
    const creator = RemoteCreator.remote();
    const pid = await (async () => {
      const ref = creator.make.remote(3);
      const counter = await get(ref);
      return get(counter.pid.remote());
    })();
    await eventually(async () => {
      collectGarbage();
      await get(creator.collect.remote());
      return !isRunning(pid);
    }, "it ends with the reference to the result that had its handle");
  });

  it("does not end while somebody waits for it to be ready", async () => {
    const now = { waits: true };
    const waiting = ready(RemoteSlowConstructor.remote()).finally(() => (now.waits = false));
    while (now.waits) {
      collectGarbage();
      await new Promise((turn) => setImmediate(turn));
    }
    await waiting;
  });

  it("does not end while a call is pending whose handle was dropped", async () => {
    expect(await get(callAndForget.remote(test.file("forgotten")))).to.equal("answered");
  });

  it("ends with the actor that made it", async () => {
    for (const end of ["kill", "death"] as const) {
      const boss = RemoteBoss.remote();
      const counter = await get(boss.hire.remote(1));
      const pid = await get(counter.pid.remote());
      if (end === "kill") await kill(boss);
      else await rejection(get(boss.die.remote()));
      await eventually(() => !isRunning(pid), `it ends with the ${end} of its creator`);
      expect((await rejection(get(counter.value.remote()))).message).to.contain("created it");
    }
  });

  it("ends with its job, without leaving processes, however it was made", async () => {
    const pids = await get(RemoteBoss.remote().family.remote(2));
    const mortal = RemoteMortal.options({ maxRestarts: Infinity }).remote();
    pids.push(await get(mortal.pid.remote()));
    const detached = RemoteCounter.options({ name: "d", lifetime: "detached" }).remote(1);
    const lasting = await get(detached.pid.remote());
    const file = test.file("job");
    const diarist = RemoteDiarist.remote(file);
    await ready(diarist);
    await shutdown();
    expect(linesOf(file).at(-1)).to.equal("deactivated: job-ended");
    for (const pid of pids) expect(isRunning(pid), `process ${pid}`).to.equal(false);
    await test.end();
    expect(isRunning(lasting), `process ${lasting}`).to.equal(false);
    test = await testCluster();
  });
});

describe("the resources of actors", function () {
  this.timeout(30_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());

  const free = async (cpus: number): Promise<unknown> =>
    eventually(async () => (await availableResources())["CPU"] === cpus, `${cpus} CPUs are free`);

  it("are a CPU to be placed and none to run: twenty live on two CPUs", async () => {
    const counters = Array.from({ length: 20 }, (_, i) => RemoteCounter.remote(i));
    expect(await get(counters.map((counter) => counter.value.remote()))).to.deep.equal(
      Array.from({ length: 20 }, (_, i) => i),
    );
    await free(2);
    await Promise.all(counters.map((counter) => kill(counter)));
  });

  it("that are declared are held for life: no more than fit live at a time", async () => {
    const greedy = Array.from({ length: 4 }, () => RemoteGreedy.remote());
    const alive = new Set<number>();
    const watched = greedy.map((one, i) => ready(one).then(() => alive.add(i)));
    await eventually(() => alive.size === 2, "two have room");
    await free(0);
    const [first] = alive;
    await kill(greedy[first ?? 0]);
    await eventually(() => alive.size === 3, "a third one takes its place");
    await free(0);
    for (const i of alive) await kill(greedy[i]);
    await Promise.all(watched);
    await Promise.all(greedy.map((one) => kill(one)));
    await free(2);
  });

  it("come back when the process is lost, also in the middle of a restart", async () => {
    const mortal = RemoteMortal.options({ cpus: 2, maxRestarts: 1 }).remote();
    await ready(mortal);
    await free(0);
    process.kill(await get(mortal.pid.remote()), "SIGKILL");
    await eventually(() => get(mortal.pid.remote()).catch(() => undefined), "it is back");
    await free(0);
    await kill(mortal);
    await free(2);
  });
});

describe("actors on several nodes", function () {
  this.timeout(30_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster({ nodes: [{ cpus: 1 }, { cpus: 1 }], cpus: undefined });
  });
  after(() => test.end());

  it("go where there is room, and are called from everywhere", async () => {
    const greedy = [RemoteGreedy.remote(), RemoteGreedy.remote()];
    const pids = await get(greedy.map((one) => one.pid.remote()));
    expect(new Set(pids).size).to.equal(2);
    await eventually(async () => !(await availableResources())["CPU"], "both nodes are full");
    await Promise.all(greedy.map((one) => kill(one)));
  });

  it("keep their order, their handles and their large values across nodes", async () => {
    const found = await nodes();
    expect(found).to.have.length(2);
    const [a, b] = found.map(({ node }) => ({ scheduling: { node } }));
    const here = RemoteRecorder.options(a ?? {}).remote();
    const there = RemoteRecorder.options(b ?? {}).remote();
    const boss = RemoteBoss.options(b ?? {}).remote();
    for (const recorder of [here, there]) {
      const refs = Array.from({ length: 100 }, (_, i) =>
        recorder.note.remote("driver", i, i % 10 === 0 ? new Uint8Array(200_000) : i),
      );
      await get(refs);
      const seen = (await get(recorder.seen.remote())).map(([, n]) => n);
      expect(seen).to.deep.equal(Array.from({ length: 100 }, (_, i) => i));
    }
    const counter = RemoteCounter.options(a ?? {}).remote(1);
    expect(await get(boss.hireFor.remote(counter, 2))).to.equal(3);
    const large = (await get(counter.echo.remote(new Float64Array(50_000).fill(2)))) as Float64Array;
    expect(large[49_999]).to.equal(2);
  });

  it("come back wherever their process was lost", async () => {
    const found = await nodes();
    for (const { node } of found) {
      const mortal = RemoteMortal.options({
        scheduling: { node },
        maxRestarts: 1,
        maxTaskRetries: 2,
      }).remote();
      const pid = await get(mortal.pid.remote());
      process.kill(pid, "SIGKILL");
      await eventually(async () => (await get(mortal.pid.remote())) !== pid, "it comes back");
      await kill(mortal);
    }
  });
});
