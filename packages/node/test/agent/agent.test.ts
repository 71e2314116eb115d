import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EmbeddedBroker } from "@stingray/broker/server";
import { expect } from "chai";
import { Agent } from "../../src/agent/agent.js";
import { FakeDriver } from "../fixtures/fake-driver.js";

const workerMain = fileURLToPath(new URL("../fixtures/fixture-worker.js", import.meta.url));

describe("agent", () => {
  it("works", async function () {
    this.timeout(20_000);
    const broker = await EmbeddedBroker.start({});
    const runtimeDir = mkdtempSync(join(tmpdir(), "sr-"));
    const t0 = performance.now();
    const agent = await Agent.start({
      broker: broker.options,
      runtimeDir,
      workerMain,
      cpus: 2,
      gpus: 0,
      objectStoreMemory: 1 << 26,
      storage: "memory",
      log: console.error,
    });
    console.log("agent start", performance.now() - t0);
    const driver = await FakeDriver.start(broker.options, agent.identity);
    console.log("driver", performance.now() - t0);
    await driver.startJob();
    console.log("job", performance.now() - t0);
    driver.demand("k", 1);
    const [grant] = await driver.granted("k");
    console.log("grant", performance.now() - t0);
    expect(await driver.run(grant!, "pid")).to.be.a("number");
    console.log("run", performance.now() - t0);
    await driver.endJob();
    console.log("end", performance.now() - t0);
    await driver.close();
    await agent.stop();
    console.log("stopped", performance.now() - t0);
    expect(existsSync(agent.storeDir)).to.equal(false);
    await broker.stop();
    rmSync(runtimeDir, { recursive: true });
  });
});
