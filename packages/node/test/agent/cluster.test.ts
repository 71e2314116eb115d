/** Several nodes: work and actors on other nodes, objects between them, and what happens when one dies. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { StoreClient, encode } from "@stingray/objectstore";
import { Encoder } from "cbor-x";
import {
  Agent as AgentMethods,
  ErrorCode,
  Join,
  Op,
  PROTOCOL_VERSION,
  Subjects,
  objectIdOf,
  type StoreSpan,
} from "@stingray/protocol";
import { eventually, rejection } from "@stingray/protocol/testing";
import { expect } from "chai";
import type { Grant } from "../fixtures/fake-driver.js";
import { TestCluster } from "../fixtures/test-cluster.js";
import { isRunning } from "../support/leftovers.js";

const only = { resources: { special: 1 } };

describe("agent: clusters", function () {
  this.timeout(30_000);
  let cluster: TestCluster;

  beforeEach(async () => {
    cluster = await TestCluster.start();
  });
  afterEach(() => cluster.close());

  it("sends work where the resources are, over either kind of link, and takes all of it back", async () => {
    const here = await cluster.agent({ cpus: 1 });
    const there = await cluster.agent({ cpus: 1, resources: { special: 1 }, links: "nats" });
    const driver = await cluster.driver(here.identity);
    await cluster.sees(driver, 2);
    driver.demand("special", 1, only);
    driver.demand("two", 2);
    const special = (await driver.granted("special"))[0] as Grant;
    expect(special.node).to.equal(there.node);
    expect(await driver.run(special, "pid")).to.be.a("number");
    const nodes = (await driver.granted("two", 2)).map((grant) => grant.node);
    expect(new Set(nodes)).to.deep.equal(new Set([here.node, there.node]));
    await driver.endJob();
    await cluster.atRest(driver);
  });

  it("places an actor on the node that fits, and serves a driver without a node", async () => {
    const here = await cluster.agent();
    const there = await cluster.agent({ resources: { special: 1 } });
    const driver = await cluster.driver(here.identity, { local: false });
    await cluster.sees(driver, 2);
    const spec = driver.actorSpec("Fine", { placement: only });
    await driver.create(spec);
    const view = await driver.actor(spec, "ALIVE");
    expect(view.node).to.equal(there.node);
    expect(await driver.call(view, "pid")).to.be.a("number");
    // Its death breaks no socket.
    await driver.close();
    const next = await cluster.driver(here.identity);
    await next.actor(spec, "DEAD");
    await cluster.atRest(next);
  });

  it("takes one of fifty creators of a name on two nodes", async () => {
    const [one, two] = [await cluster.agent(), await cluster.agent()];
    const driver = await cluster.driver(one.identity);
    const specs = Array.from({ length: 50 }, () => driver.actorSpec("Fine", { name: "n" }));
    const homes = [one.identity, two.identity];
    const outcomes = await Promise.allSettled(specs.map((s, i) => driver.create(s, false, homes[i % 2])));
    expect(outcomes.filter((o) => o.status === "fulfilled")).to.have.length(1);
    for (const o of outcomes) {
      if (o.status === "rejected") expect(o.reason).to.have.property("code", ErrorCode.NameTakenError);
    }
    await driver.endJob();
  });

  it("moves actors away from a node that was killed, and tells holders of leases", async () => {
    const here = await cluster.agent();
    const there = await cluster.process({ resources: { special: 1 } });
    const driver = await cluster.driver(here.identity);
    await cluster.sees(driver, 2);
    const soft = { kind: "node", node: there.node, soft: true } as const;
    const spec = driver.actorSpec("Fine", {
      maxRestarts: 1,
      placement: { resources: { CPU: 1 }, scheduling: soft },
    });
    await driver.create(spec);
    const first = await driver.actor(spec, "ALIVE");
    expect(first.node).to.equal(there.node);
    const pid = (await driver.call(first, "pid")) as number;
    there.process.child.kill("SIGKILL");
    const second = await driver.actor(spec, "ALIVE", first.epoch);
    expect(second.node).to.equal(here.node);
    await cluster.sees(driver, 1);
    await eventually(() => !isRunning(pid), "its worker to end");
    await driver.endJob();
    await cluster.atRest(driver);
  });

  it("fences a node that only stood still: it ends, and what it held does no harm", async () => {
    const here = await cluster.agent();
    const there = await cluster.process({ whenDeclaredDead: "stop" });
    const driver = await cluster.driver(here.identity);
    await cluster.sees(driver, 2);
    const spec = driver.actorSpec("Fine", {
      maxRestarts: 1,
      placement: { resources: {}, scheduling: { kind: "node", node: there.node, soft: true } },
    });
    await driver.create(spec);
    const first = await driver.actor(spec, "ALIVE");
    const pid = (await driver.call(first, "pid")) as number;
    there.process.child.kill("SIGSTOP");
    const second = await driver.actor(spec, "ALIVE", first.epoch);
    expect(second.node).to.equal(here.node);
    there.process.child.kill("SIGCONT");
    await eventually(() => there.process.state.kind === "exited", "the fenced agent to end");
    expect(there.process.state).to.have.property("code", 1);
    await eventually(() => !isRunning(pid), "its worker to end");
    expect(await driver.call(second, "pid")).to.be.a("number");
    await driver.endJob();
  });

  it("comes back under a new id after it was declared dead", async () => {
    const here = await cluster.agent();
    const there = await cluster.process();
    const driver = await cluster.driver(here.identity);
    await cluster.sees(driver, 2);
    there.process.child.kill("SIGSTOP");
    await cluster.declaredDead(driver, there.node);
    there.process.child.kill("SIGCONT");
    await cluster.sees(driver, 2);
    const alive = (await cluster.nodes(driver)).filter((node) => node.state === "ALIVE");
    expect(alive.map((node) => node.node)).not.to.include(there.node);
  });

  it("hands the controller role on when its holder dies", async () => {
    const first = await cluster.process();
    const [second, third] = [await cluster.agent(), await cluster.process()];
    const driver = await cluster.driver(second.identity);
    await cluster.sees(driver, 3);
    for (const { process, node } of [first, third]) {
      process.child.kill("SIGKILL");
      await cluster.declaredDead(driver, node);
    }
    await cluster.sees(driver, 1);
  });

  it("declares nobody dead while the broker is away, and goes on afterwards", async () => {
    const storage = "file";
    const [here, there] = [await cluster.agent({ storage }), await cluster.process({ storage })];
    const driver = await cluster.driver(here.identity);
    await cluster.sees(driver, 2);
    const scheduling = { kind: "node", node: here.node, soft: false } as const;
    const spec = driver.actorSpec("Fine", { placement: { resources: {}, scheduling } });
    await driver.create(spec);
    const view = await driver.actor(spec, "ALIVE");
    await cluster.broker.kill("SIGKILL");
    // Longer than a node may be silent.
    for (const end = performance.now() + 1_500; performance.now() < end;) {
      expect(await driver.call(view, "pid")).to.be.a("number");
    }
    await cluster.broker.restart();
    driver.demand("after", 1);
    expect(await driver.run((await driver.granted("after"))[0] as Grant, "pid")).to.be.a("number");
    await cluster.sees(driver, 2);
    expect((await cluster.nodes(driver)).map((node) => node.node)).to.have.members([here.node, there.node]);
    await driver.endJob();
  });

  it("fetches an object once for all who ask, from a copy that has it", async () => {
    const [here, there, without] = [await cluster.agent(), await cluster.agent(), await cluster.agent()];
    const driver = await cluster.driver(here.identity);
    await cluster.sees(driver, 3);
    const object = objectIdOf(driver.id, 1, 0);
    const encoded = encode(new Uint8Array(randomBytes(3_000_000)));
    const { size } = encoded;
    const room = await driver.agent().request(AgentMethods.storeCreate, { object, size });
    const client = await StoreClient.open({ dir: dirname(room.path) });
    client.write(room, object, encoded);
    client.close();
    driver.agent().send([Op.StoreSealed, object, size]);
    const copies: [string, string][] = [
      [without.node, without.agent],
      [here.node, here.agent],
    ];
    const ask = { objects: [{ object, size, copies }], hold: false };
    const pulls = await Promise.all(
      [1, 2, 3].map(() =>
        driver.agent(there.identity).request(AgentMethods.storeOpen, ask, { timeoutMs: 30_000 }),
      ),
    );
    const bytes = encoded.bytes();
    for (const { spans } of pulls) {
      const [[path, offset, length]] = spans as [StoreSpan];
      expect(
        readFileSync(path)
          .subarray(offset, offset + length)
          .subarray(-size)
          .equals(bytes),
      ).to.equal(true);
    }
    driver.agent().send([Op.StoreFree, [object]]);
    const lost = await rejection(
      driver.agent(there.identity).request(AgentMethods.storeOpen, {
        objects: [{ object: objectIdOf(driver.id, 2, 0), size, copies: [[here.node, here.agent]] }],
        hold: false,
      }),
    );
    expect(lost).to.have.property("code", ErrorCode.ObjectLostError);
    driver.agent(there.identity).send([Op.StoreFree, [object]]);
    await cluster.atRest(driver);
  });

  it("ends a job whose home died, unless its driver attaches elsewhere", async () => {
    const here = await cluster.agent({ resources: { special: 1 } });
    const home = await cluster.process();
    const driver = await cluster.driver(home, { local: false });
    await cluster.sees(driver, 2);
    driver.demand("special", 1, only);
    const grant = (await driver.granted("special"))[0] as Grant;
    home.process.child.kill("SIGKILL");
    await cluster.declaredDead(driver, home.node, here.identity);
    await driver.startJob(here.identity);
    expect(await driver.run(grant, "pid")).to.be.a("number");
    await driver.agent(here.identity).request(AgentMethods.jobEnd, { job: driver.spec.job });
    await cluster.atRest(driver, here.identity);
  });

  it("takes in a driver that speaks its version, and tells another which it is", async () => {
    const here = await cluster.agent();
    const driver = await cluster.driver(here.identity);
    const cbor = new Encoder({ useRecords: false, mapsAsObjects: true });
    const join = async (body: Uint8Array): Promise<unknown> => {
      const reply = await driver.nc.request(new Subjects().capability("driver"), body, { timeout: 2_000 });
      return cbor.decode(reply.data) as unknown;
    };
    const taken = Join.answer(await join(cbor.encode({ version: PROTOCOL_VERSION })), "join");
    expect(taken).to.deep.equal({
      cluster: "default",
      agent: here.agent,
      node: here.node,
      version: PROTOCOL_VERSION,
    });
    for (const body of [cbor.encode({ version: 99 }), Buffer.from([0xff, 0xfe])]) {
      expect(await join(body)).to.have.nested.property("error.code", ErrorCode.ProtocolError);
    }
  });
});
