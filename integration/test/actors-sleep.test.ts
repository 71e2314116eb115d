/** Actors with durable mailboxes that have nothing to do sleep, and are woken by what comes. */
import { expect } from "chai";
import {
  ActorNotFoundError,
  InvalidOptionError,
  availableResources,
  clusterResources,
  get,
  getActor,
  ready,
  remote,
  setReminder,
  type ActorHandle,
} from "stingray";
import {
  collectGarbage,
  eventually,
  isRunning,
  rejection,
  testCluster,
  type TestCluster,
} from "stingray/testing";
import { RemoteSleeper, callWithPauses, type Sleeper } from "./fixtures/sleepers.js";
import { linesOf } from "./support/lines.js";

describe("actors that sleep", function () {
  this.timeout(60_000);
  let cluster: TestCluster;

  before(async () => {
    cluster = await testCluster({ nodes: 2, cpus: 2, deadAfterMs: 2_000, heartbeatMs: 250 });
  });
  after(() => cluster.end());

  const asleep = (log: string, times = 1): Promise<unknown> =>
    eventually(() => linesOf(log).filter((line) => line === "passivated").length >= times, {
      message: "it was put to sleep",
    });

  it("end in order, give back what they have, and come back with their state, however often", async () => {
    const log = cluster.file("again");
    const sleeper = RemoteSleeper.options({ cpus: 1 }).remote(log);
    for (let life = 1; life <= 3; life++) {
      expect(await get(sleeper.add.remote())).to.equal(life);
      const pid = await get(sleeper.pid.remote());
      await asleep(log, life);
      await eventually(() => !isRunning(pid), { message: "its process has ended" });
      await eventually(
        async () => (await availableResources())["CPU"] === (await clusterResources())["CPU"],
        { message: "its CPU is free" },
      );
    }
    // Without restarts to spare.
    expect(linesOf(log).filter((line) => line === "wakes")).to.have.length.at.least(3);
  });

  it("wake for ready(), and for whoever finds them by name", async () => {
    const log = cluster.file("ready");
    const sleeper = RemoteSleeper.options({ name: "by-name" }).remote(log);
    await get(sleeper.add.remote(5));
    const pid = await get(sleeper.pid.remote());
    await asleep(log);
    await eventually(() => !isRunning(pid), { message: "its process has ended" });
    await ready(sleeper);
    await eventually(() => linesOf(log).filter((line) => line === "wakes").length === 2, {
      message: "it lives",
    });
    await asleep(log, 2);
    const found = await getActor<Sleeper>("by-name");
    expect(await get(found.add.remote(1))).to.equal(6);
  });

  it("wake for a reminder", async () => {
    const log = cluster.file("reminder");
    const sleeper = RemoteSleeper.remote(log);
    await get(sleeper.add.remote(1));
    await setReminder(sleeper, { name: "later", method: "add", args: [10], delayMs: 3_000 });
    await asleep(log);
    await eventually(() => linesOf(log).filter((line) => line === "wakes").length > 1, {
      message: "it wakes",
    });
    expect(await get(sleeper.add.remote(1))).to.equal(12);
  });

  it("lose and repeat no call that comes while they fall asleep", async () => {
    const sleeper = RemoteSleeper.remote(undefined, 40);
    const callers = [140, 150, 160].map((pauseMs) => callWithPauses.remote(sleeper, 8, pauseMs));
    const answers = (await get(callers)).flat().toSorted((a, b) => a - b);
    expect(answers).to.deep.equal(Array.from({ length: 24 }, (_, n) => n + 1));
  });

  it("stay awake while others hold what their process owns", async () => {
    const log = cluster.file("lends");
    const sleeper = RemoteSleeper.remote(log);
    let [lent] = await get(sleeper.lend.remote("mine"));
    await new Promise((over) => setTimeout(over, 600));
    expect(await get(lent)).to.equal("mine");
    expect(linesOf(log)).to.deep.equal(["wakes"]);
    lent.release();
    lent = undefined as never;
    await get(sleeper.forget.remote());
    await eventually(() => (collectGarbage(), linesOf(log).includes("passivated")), {
      message: "it sleeps then",
    });
  });

  it("end without being woken when their last handle is gone", async () => {
    const log = cluster.file("scope");
    await (async () => {
      const sleeper: ActorHandle<Sleeper> = RemoteSleeper.options({ name: "in-scope" }).remote(log);
      await get(sleeper.add.remote());
      await asleep(log);
    })();
    await eventually(
      async () => {
        collectGarbage();
        return (await rejection(getActor("in-scope"))) instanceof ActorNotFoundError;
      },
      { message: "it is gone" },
    );
    expect(linesOf(log)).to.deep.equal(["wakes", "passivated"]);
  });

  it("come back when the agent is killed while they fall asleep, with all that was saved", async () => {
    const log = cluster.file("killed");
    const onSecond = { scheduling: { node: cluster.node(1).id, soft: true } } as const;
    const sleeper = RemoteSleeper.options({ ...onSecond, maxRestarts: 5 }).remote(log, 1_500);
    expect(await get(sleeper.add.remote(7))).to.equal(7);
    await asleep(log); // its onDeactivate has begun
    const answer = sleeper.add.remote(1);
    await cluster.node(1).kill();
    expect(await get(answer, { timeoutMs: 30_000 })).to.equal(8);
    expect(await get(sleeper.add.remote(1))).to.equal(9);
  });

  it("need a durable mailbox", () => {
    class Plain {}
    expect(() => remote({ passivateAfterMs: 100 }, Plain).remote()).to.throw(
      InvalidOptionError,
      /add mailbox: "durable"/,
    );
  });
});
