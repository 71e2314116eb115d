/** Actors that live with others in one process. */
import { expect } from "chai";
import {
  ActorDiedError,
  ActorUnavailableError,
  InvalidOptionError,
  NameTakenError,
  WorkerCrashedError,
  get,
  getActor,
  kill,
  nodes,
  ready,
  shutdown,
  type ActorHandle,
} from "stingray";
import { collectGarbage, eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import {
  HeavyPlain,
  LightPlain,
  RemoteLight,
  SlowLight,
  addTo,
  makeLight,
  type Light,
} from "./fixtures/light.js";
import { linesOf } from "./support/lines.js";

describe("actors with shared isolation", function () {
  this.timeout(60_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());

  const living = async (): Promise<number> => (await nodes()).reduce((sum, { actors }) => sum + actors, 0);

  it("live in few processes, by the thousand, each with a state and a mailbox of its own", async () => {
    const count = 2_000;
    const before = await living();
    const handles = Array.from({ length: count }, (_, i) => LightPlain.remote(i));
    await Promise.all(handles.map((handle) => ready(handle)));
    await eventually(async () => (await living()) === before + count, "all of them are listed");
    const doubles = await get(handles.map((handle) => handle.double.remote()));
    expect(doubles).to.deep.equal(handles.map((_, i) => i * 2));
    const pids = new Set(await get(handles.map((handle) => handle.pid.remote())));
    expect(pids.size).to.be.within(1, 2);
    expect(pids).not.to.include(process.pid);
    await Promise.all(handles.slice(1).map((handle) => kill(handle)));
    await eventually(async () => (await living()) === before + 1, "those that were killed are gone");
    expect(await get(handles[0]?.double.remote() as never)).to.equal(0);
  });

  it("run the calls of a caller in order", async () => {
    const light = RemoteLight.remote(0);
    const numbers = Array.from({ length: 300 }, (_, i) => i);
    void light.later.remote(5);
    await get(numbers.map((i) => light.add.remote(i)));
    expect(await get(light.seen.remote())).to.deep.equal(numbers);
  });

  it("are values, and can be made and called anywhere", async () => {
    const made = await get(makeLight.remote(5));
    expect(await get(made.add.remote(1))).to.equal(6);
    expect(await get(addTo.remote(made, 4))).to.equal(10);
  });

  it("have names, one each", async () => {
    const light = RemoteLight.options({ name: "lamp" }).remote(1);
    await ready(light);
    const found = await getActor<Light>("lamp");
    expect(await get(found.add.remote(1))).to.equal(2);
    const other = RemoteLight.options({ name: "lamp" }).remote(1);
    expect(await rejection(ready(other))).to.be.instanceOf(NameTakenError);
    const same = RemoteLight.options({ name: "lamp", getIfExists: true }).remote(1);
    expect(await get(same.add.remote(1))).to.equal(3);
    await kill(light);
    const next = RemoteLight.options({ name: "lamp" }).remote(10);
    expect(await get(next.add.remote(1))).to.equal(11);
  });

  it("die with what their constructor threw", async () => {
    const light = RemoteLight.remote(-1);
    const error = await rejection(ready(light));
    expect(error).to.be.instanceOf(ActorDiedError);
    expect(error.message).to.match(/Light constructor.*-1 is too small/);
    expect(await rejection(get(light.add.remote(1)))).to.be.instanceOf(ActorDiedError);
  });

  it("end by kill(), by exitActor() and with their last handle, and leave the others alone", async () => {
    const other = RemoteLight.remote(0);
    const killed = RemoteLight.remote(0);
    const slow = killed.later.remote(60_000);
    await ready(killed);
    await kill(killed);
    expect(await rejection(get(slow))).to.be.instanceOf(ActorDiedError);
    expect(await rejection(get(killed.add.remote(1)))).to.be.instanceOf(ActorDiedError);
    const left = RemoteLight.remote(0);
    expect((await rejection(get(left.leave.remote()))).message).to.contain("ended itself");
    expect(await rejection(get(left.add.remote(1)))).to.be.instanceOf(ActorDiedError);
    const file = test.file("deactivated");
    await (async () => ready(RemoteLight.remote(1, file)))();
    await eventually(() => {
      collectGarbage();
      return linesOf(file).length > 0;
    }, "an actor without handles ends in order");
    expect(linesOf(file)).to.deep.equal(["out-of-scope"]);
    expect(await get(other.add.remote(1))).to.equal(1);
  });

  it("come back in place after kill() with restart, as a later incarnation", async () => {
    const light = RemoteLight.options({ maxRestarts: 1 }).remote(1);
    await get(light.add.remote(1));
    const before = await get(light.where.remote());
    await kill(light, { restart: true });
    await eventually(async () => {
      const value = await get(light.add.remote(1)).catch((error: unknown) => error);
      if (value instanceof ActorUnavailableError) return false;
      expect(value).to.equal(2);
      return true;
    }, "it is made anew");
    const after = await get(light.where.remote());
    expect(after.epoch).to.be.greaterThan(before.epoch as number);
    await kill(light, { restart: true });
    await eventually(
      async () => (await rejection(get(light.add.remote(1)))) instanceof ActorDiedError,
      "it has no restart left",
    );
  });

  it("are lost together with their process, and come back as their maxRestarts says", async () => {
    const env = { runtimeEnv: { envVars: { LIGHT_TEST: "lost together" } } };
    const mortal = Array.from({ length: 20 }, (_, i) => RemoteLight.options(env).remote(i));
    const lasting = Array.from({ length: 20 }, (_, i) =>
      RemoteLight.options({ ...env, maxRestarts: 1, maxTaskRetries: 1 }).remote(i),
    );
    await get([...mortal, ...lasting].map((light) => light.add.remote(1)));
    const [first] = mortal as [ActorHandle<Light>];
    const before = await get((lasting[0] as ActorHandle<Light>).where.remote());
    expect((await get(first.where.remote())).pid).to.equal(before.pid);
    const error = await rejection(get(first.endProcess.remote()));
    expect(error).to.be.instanceOf(ActorDiedError);
    expect(error.cause).to.be.instanceOf(WorkerCrashedError);
    expect(error.message).to.contain("40 actors with shared isolation");
    for (const light of mortal)
      expect(await rejection(get(light.add.remote(1)))).to.be.instanceOf(ActorDiedError);
    expect(await get(lasting.map((light) => light.add.remote(1)))).to.deep.equal(
      lasting.map((_, i) => i + 1),
    );
    const after = await get((lasting[0] as ActorHandle<Light>).where.remote());
    expect(after.pid).not.to.equal(before.pid);
    expect(after.epoch).to.be.greaterThan(before.epoch as number);
  });

  it("hold no resources", () => {
    expect(() => RemoteLight.options({ cpus: 1 }).remote(1)).to.throw(InvalidOptionError, "cpus");
    expect(() => RemoteLight.options({ resources: { tape: 1 } }).remote(1)).to.throw(
      InvalidOptionError,
      "tape",
    );
    expect(() => RemoteLight.options({ gpus: 0.5 }).remote(1)).to.throw(InvalidOptionError, "process");
    expect(() => RemoteLight.options({ mailbox: "durable" }).remote(1)).to.throw(
      InvalidOptionError,
      "process",
    );
  });

  it("end in order with their job, also beside one that outlives it", async () => {
    const [namespace, file] = ["beside", test.file("beside")];
    const env = { runtimeEnv: { envVars: { LIGHT_TEST: "beside one that stays" } } };
    const stays = RemoteLight.options({ ...env, namespace, name: "stays", lifetime: "detached" }).remote(5);
    const goes = RemoteLight.options(env).remote(1, file);
    const [{ pid }, other] = await get([stays.where.remote(), goes.where.remote()]);
    expect(other.pid).to.equal(pid);
    await shutdown();
    await test.join({ namespace });
    expect(linesOf(file)).to.deep.equal(["job-ended"]);
    const found = await getActor<Light>("stays");
    expect(await get(found.where.remote())).to.include({ pid });
    expect(await get(found.add.remote(1))).to.equal(6);
    await kill(found);
  });
});

describe("actors with shared isolation, on several nodes", function () {
  this.timeout(60_000);

  it("live where labels and affinities say, are called from everywhere, and move away from a node that is drained", async () => {
    await using test = await testCluster({
      nodes: [{ cpus: 1 }, { cpus: 1, labels: { zone: "b" } }],
      cpus: undefined,
    });
    const [own] = (await nodes()).filter(({ node }) => node === test.cluster.nodeId);
    const [other] = (await nodes()).filter(({ node }) => node !== test.cluster.nodeId);
    if (own === undefined || other === undefined) throw new Error("there are not two nodes");
    const [mine, labelled] = own.labels["zone"] === "b" ? [other, own] : [own, other];
    const there = RemoteLight.options({ labels: { zone: "b" }, maxRestarts: 1 }).remote(1);
    const bound = RemoteLight.options({ scheduling: { node: other.node } }).remote(2);
    const here = RemoteLight.remote(3);
    expect((await get(there.where.remote())).node).to.equal(labelled.node);
    expect((await get(bound.where.remote())).node).to.equal(other.node);
    expect((await get(here.where.remote())).node).to.equal(test.cluster.nodeId);
    const from = { scheduling: { node: mine.node } };
    expect(await get(addTo.options(from).remote(there, 1))).to.equal(2);
    expect(await get(addTo.options({ labels: { zone: "b" } }).remote(here, 1))).to.equal(4);
    const movable = RemoteLight.options({
      scheduling: { node: other.node, soft: true },
      maxRestarts: 1,
      maxTaskRetries: 1,
    }).remote(7);
    expect((await get(movable.where.remote())).node).to.equal(other.node);
    const file = test.file("made");
    await ready(SlowLight.options({ scheduling: { node: other.node } }).remote(file));
    expect(linesOf(file)).to.deep.equal(["made"]);
    const failing = RemoteLight.options({ scheduling: { node: other.node } }).remote(-1);
    expect(await rejection(ready(failing))).to.be.instanceOf(ActorDiedError);
    const pairs = Array.from({ length: 200 }, () => LightPlain.options({ scheduling: "spread" }).remote(1));
    await Promise.all(pairs.map((one) => ready(one)));
    expect(new Set(await get(pairs.map((one) => one.pid.remote()))).size).to.be.greaterThan(1);
    const leaving = test.nodes.find(({ id }) => id === other.node);
    if (leaving === undefined) throw new Error("the test does not know its node");
    await Promise.all(pairs.map((one) => kill(one)));
    await test.removeNode(leaving);
    expect((await get(movable.where.remote())).node).to.equal(test.cluster.nodeId);
    expect(await get(movable.add.remote(1))).to.equal(8);
  });
});

describe("actors with a process each", function () {
  this.timeout(180_000);

  it("fifty at a time are made, called and ended, and nothing of them stays", async () => {
    await using test = await testCluster({ cpus: 4 });
    const handles = Array.from({ length: 50 }, (_, i) => HeavyPlain.remote(i));
    expect(await get(handles.map((handle) => handle.double.remote()))).to.deep.equal(
      handles.map((_, i) => i * 2),
    );
    expect(new Set(await get(handles.map((handle) => handle.pid.remote()))).size).to.equal(50);
    await Promise.all(handles.map((handle) => kill(handle)));
    await eventually(async () => (await nodes()).every(({ actors }) => actors === 0), {
      message: "none of them is left",
      timeoutMs: 30_000,
    });
    await test.end();
  });
});
