/** Leases, workers and jobs on one node, with a driver that speaks the protocol by hand. */
import { existsSync, readdirSync } from "node:fs";
import { Agent as AgentMethods, ErrorCode } from "@stingray/protocol";
import { eventually, rejection } from "@stingray/protocol/testing";
import { expect } from "chai";
import type { Agent } from "../../src/agent/agent.js";
import type { FakeDriver, Grant } from "../fixtures/fake-driver.js";
import { TestCluster } from "../fixtures/test-cluster.js";
import { isRunning } from "../support/leftovers.js";

describe("agent: leases and workers", function () {
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

  const first = async (key: string): Promise<Grant> => (await driver.granted(key))[0] as Grant;

  it("grants a lease, runs on it, and uses the worker again", async () => {
    driver.demand("a", 1);
    const one = await first("a");
    const pid = await driver.run(one, "pid");
    expect(await driver.run(one, "job")).to.equal(driver.spec.job);
    driver.giveBack(one);
    driver.demand("b", 1);
    const two = await first("b");
    expect(await driver.run(two, "pid")).to.equal(pid);
    expect(two.lease).not.to.equal(one.lease);
  });

  it("gives each environment its own process, and keeps credentials out of all", async () => {
    process.env["STINGRAY_TOKEN"] = "secret";
    try {
      driver.demand("red", 1, { runtimeEnv: { envVars: { COLOUR: "red" } } });
      driver.demand("plain", 1);
      const [red, plain] = [await first("red"), await first("plain")];
      expect(await driver.run(red, "env")).to.equal("red");
      expect(await driver.run(plain, "env")).to.equal(null);
      expect(await driver.run(red, "credentials")).to.deep.equal([]);
    } finally {
      delete process.env["STINGRAY_TOKEN"];
    }
  });

  it("fails a demand once, with the worker's last words, when its environment can't be made", async () => {
    for (const setup of ["fails", "dies"]) driver.demand(setup, 1, { runtimeEnv: { setup } });
    await eventually(() => driver.failed.length === 2, "both to fail");
    const text = (key: string): string => driver.failed.find((f) => f.key === key)?.error.message ?? "";
    expect(driver.failed.map((f) => f.error.code)).to.deep.equal([
      ErrorCode.RuntimeEnvError,
      ErrorCode.RuntimeEnvError,
    ]);
    expect(text("fails")).to.contain("setup module fails: it threw").and.contain("the setup module threw");
    expect(text("dies")).to.contain("exit code 7").and.contain("last words");
  });

  it("tells the holder of a lease how its worker died", async () => {
    driver.demand("a", 1);
    const grant = await first("a");
    void driver.run(grant, "die").catch(() => undefined);
    const [lost] = await eventually(() => (driver.lost.length > 0 ? driver.lost : undefined), "LeaseLost");
    expect(lost?.lease).to.equal(grant.lease);
    expect(lost?.report).to.deep.include({ exitCode: 3 });
    expect(lost?.report.stderr).to.include("about to die");
  });

  it("kills a worker for the holder of its lease, and for nobody else", async () => {
    driver.demand("a", 1);
    const grant = await first("a");
    const other = await cluster.driver(agent.identity);
    const refused = await rejection(
      other.agent().request(AgentMethods.leaseKill, { lease: grant.lease, reason: "x" }),
    );
    expect(refused).to.have.property("code", ErrorCode.InvalidArgumentError);
    await driver.agent().request(AgentMethods.leaseKill, { lease: grant.lease, reason: "cancelled" });
    await eventually(() => driver.lost.length > 0, "LeaseLost");
    expect(driver.lost[0]?.report).to.deep.include({ signal: "SIGKILL", reason: "cancelled" });
    await other.endJob();
  });

  it("passes on what workers print, all of it before the end of the job is answered", async () => {
    driver.demand("a", 1);
    const grant = await first("a");
    const pid = (await driver.run(grant, "pid")) as number;
    for (let i = 0; i < 20; i++) void driver.run(grant, "print").catch(() => undefined);
    await driver.run(grant, "pid");
    await driver.endJob();
    expect(driver.lines.filter((line) => line === "hello from the worker")).to.have.length(20);
    expect(isRunning(pid)).to.equal(false);
  });

  it("never grants more than there is, and says why something waits", async () => {
    driver.demand("a", 3);
    const grants = await driver.granted("a", 2);
    driver.demand("much", 1, { resources: { CPU: 1, unobtainium: 1 } });
    const pending = await eventually(() => driver.pending.find((p) => p.key === "much"), "LeasePending");
    expect(pending.reason).to.contain("unobtainium");
    expect(driver.grants).to.have.length(2);
    driver.giveBack(grants[0] as Grant);
    await driver.granted("a", 3);
  });

  it("ends the job of a driver that is gone, and frees what it held", async () => {
    const gone = await cluster.driver(agent.identity);
    gone.demand("a", 1);
    const pid = (await gone.run((await gone.granted("a"))[0] as Grant, "pid")) as number;
    await gone.close();
    await eventually(() => !isRunning(pid), "the worker to end");
  });

  it("refuses to serve a job that is over", async () => {
    await driver.endJob();
    driver.demand("late", 1);
    const failed = await eventually(() => driver.failed[0], "LeaseFailed");
    expect(failed.error.code).to.equal(ErrorCode.UnschedulableError);
    expect(await rejection(driver.startJob())).to.have.property("code", ErrorCode.InvalidArgumentError);
  });

  it("leaves nothing behind when it stops", async () => {
    const short = await cluster.agent({ prestart: 1 });
    const guest = await cluster.driver(short.identity);
    guest.demand("a", 1);
    const pid = (await guest.run((await guest.granted("a"))[0] as Grant, "pid")) as number;
    const { storeDir, socketDir } = short;
    expect(readdirSync(socketDir)).not.to.deep.equal([]);
    await short.stop({ graceMs: 0 });
    expect([existsSync(storeDir), existsSync(socketDir), isRunning(pid)]).to.deep.equal([
      false,
      false,
      false,
    ]);
    await cluster.sees(driver, 1);
    cluster.problems.length = 0;
  });
});
