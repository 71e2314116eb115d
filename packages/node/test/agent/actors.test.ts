/** Actors on one node: claims, names, restarts and ends. */
import { Agent as AgentMethods, ErrorCode } from "@stingray/protocol";
import { eventually, rejection } from "@stingray/protocol/testing";
import { expect } from "chai";
import type { Agent } from "../../src/agent/agent.js";
import type { FakeDriver } from "../fixtures/fake-driver.js";
import { TestCluster } from "../fixtures/test-cluster.js";
import { isRunning } from "../support/leftovers.js";

describe("agent: actors", function () {
  this.timeout(20_000);
  let cluster: TestCluster;
  let agent: Agent;
  let driver: FakeDriver;

  before(async () => {
    cluster = await TestCluster.start();
    agent = await cluster.agent();
  });
  beforeEach(async () => {
    driver = await cluster.driver(agent.identity);
  });
  afterEach(async () => {
    await driver.endJob();
    await cluster.atRest(driver);
    expect(cluster.problems).to.deep.equal([]);
    await driver.close();
  });
  after(() => cluster.close());

  it("makes an actor, tells its watchers, and keeps only its running resources", async () => {
    const spec = driver.actorSpec("Fine");
    await driver.create(spec);
    const view = await driver.actor(spec, "ALIVE");
    expect(view.epoch).to.be.greaterThan(0);
    expect(await driver.call(view, "pid")).to.be.a("number");
    const [node] = await cluster.nodes(driver);
    expect(node?.available["CPU"]).to.equal(2);
    expect(node?.actors).to.equal(1);
  });

  it("ends an actor whose constructor throws with what it threw, and does not restart it", async () => {
    const spec = driver.actorSpec("Throws", { maxRestarts: 5, name: "thrower" });
    await driver.create(spec);
    const dead = await driver.actor(spec, "DEAD");
    expect(dead.cause?.message).to.equal("the constructor threw");
    const found = driver.agent().request(AgentMethods.actorGet, { name: "thrower", namespace: "test" });
    expect(await rejection(found)).to.have.property("code", ErrorCode.ActorNotFoundError);
  });

  it("restarts an actor whose process died, under a higher epoch, as often as it may", async () => {
    const spec = driver.actorSpec("Fine", { maxRestarts: 1 });
    await driver.create(spec);
    const first = await driver.actor(spec, "ALIVE");
    void driver.call(first, "die").catch(() => undefined);
    const second = await driver.actor(spec, "ALIVE", first.epoch);
    expect(second.process).not.to.equal(first.process);
    expect(driver.views.map((v) => v.state)).to.include("RESTARTING");
    void driver.call(second, "die").catch(() => undefined);
    const dead = await driver.actor(spec, "DEAD");
    expect(dead.cause?.code).to.equal(ErrorCode.WorkerCrashedError);
    expect(dead.cause?.detail).to.deep.include({ exitCode: 3 });
    expect(dead.cause?.detail?.["stderr"]).to.include("about to die");
  });

  it("counts a process that dies in the constructor as a death, not as a constructor that threw", async () => {
    const spec = driver.actorSpec("Dies", { maxRestarts: 2 });
    await driver.create(spec);
    const dead = await driver.actor(spec, "DEAD");
    expect(dead.cause?.code).to.equal(ErrorCode.WorkerCrashedError);
  });

  it("kills an actor for good, or only its process", async () => {
    const spec = driver.actorSpec("Fine", { maxRestarts: 1 });
    await driver.create(spec);
    const first = await driver.actor(spec, "ALIVE");
    await driver.kill(spec, true);
    const second = await driver.actor(spec, "ALIVE", first.epoch);
    const pid = (await driver.call(second, "pid")) as number;
    await driver.kill(spec);
    const dead = await driver.actor(spec, "DEAD");
    expect(dead.cause?.code).to.equal(ErrorCode.ActorDiedError);
    await eventually(() => !isRunning(pid), "its process to end");
    await driver.kill(spec); // a dead one is no error
    await driver.kill(driver.actorSpec("Unknown"));
  });

  it("lets an actor end itself, without a restart", async () => {
    const spec = driver.actorSpec("Fine", { maxRestarts: -1 });
    await driver.create(spec);
    void driver.call(await driver.actor(spec, "ALIVE"), "exit").catch(() => undefined);
    expect((await driver.actor(spec, "DEAD")).cause?.code).to.equal(ErrorCode.ActorDiedError);
  });

  it("gives a name to one of fifty creators, and its spec to the others", async () => {
    const specs = Array.from({ length: 50 }, () => driver.actorSpec("Fine", { name: "one" }));
    const existing = await Promise.all(specs.map((spec) => driver.create(spec, true)));
    const winners = specs.filter((_, i) => existing[i] === undefined);
    expect(winners).to.have.length(1);
    const winner = winners[0]?.actor;
    expect(new Set(existing.map((spec) => spec?.actor ?? winner))).to.deep.equal(new Set([winner]));
    const { actors } = await driver.agent().request(AgentMethods.actorList, { namespace: "test" });
    expect(actors).to.deep.equal([{ namespace: "test", name: "one" }]);
  });

  it("refuses a name that is taken, naming the holder, and frees it when that ends", async () => {
    const holder = driver.actorSpec("Fine", { name: "c" });
    await driver.create(holder);
    const refused = (await rejection(driver.create(driver.actorSpec("Fine", { name: "c" })))) as Error;
    expect(refused).to.have.property("code", ErrorCode.NameTakenError);
    expect(refused.message).to.contain(holder.actor);
    const found = await driver.agent().request(AgentMethods.actorGet, { name: "c", namespace: "test" });
    expect(found.actor).to.equal(holder.actor);
    await driver.create(driver.actorSpec("Fine", { name: "c", namespace: "other" }));
    await driver.kill(holder);
    const next = driver.actorSpec("Fine", { name: "c" });
    await driver.create(next);
    await driver.actor(next, "ALIVE");
  });

  it("ends what a process created when that process is gone, detached actors excepted", async () => {
    const other = await cluster.driver(agent.identity);
    const bound = other.actorSpec("Fine");
    const detached = other.actorSpec("Fine", { detached: true, name: "stays" });
    await other.create(bound);
    await other.create(detached);
    await other.actor(bound, "ALIVE");
    const alive = await other.actor(detached, "ALIVE");
    await other.endJob();
    await other.close();
    await driver.actor(bound, "DEAD");
    expect(await driver.call(alive, "pid")).to.be.a("number");
    await driver.create(driver.actorSpec("Fine", { name: "stays" }), true);
    // It comes back after its job's end, too: its row still says how to make workers for it.
    await driver.kill(detached);
    await driver.actor(detached, "DEAD");
  });

  it("says what an actor waits for that fits nowhere, and ends one that is bound to an unknown node", async () => {
    const waiting = driver.actorSpec("Fine", { placement: { resources: { unobtainium: 1 } } });
    await driver.create(waiting);
    const bound = driver.actorSpec("Fine", {
      placement: { resources: {}, scheduling: { kind: "node", node: "n000000000000", soft: false } },
    });
    await driver.create(bound);
    expect((await driver.actor(bound, "DEAD")).cause?.code).to.equal(ErrorCode.UnschedulableError);
    await driver.agent().request(AgentMethods.actorWatch, { actor: waiting.actor });
    const view = await eventually(
      () => driver.views.find((v) => v.actor === waiting.actor && v.cause !== undefined),
      "the reason",
    );
    expect(view.state).to.equal("PENDING");
    expect(view.cause?.message).to.contain("unobtainium");
  });
});
