import { ConnectionError } from "@stingray/protocol";
import { eventually, rejection } from "@stingray/protocol/testing";
import { connectBroker } from "@stingray/broker/connect";
import { expect } from "chai";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { NodeRunner } from "../src/cli/node-runner.js";
import { planStart, type StartPlan } from "../src/cli/start-plan.js";
import { listNodeFiles } from "../src/runtime-files.js";
import { isRunning, nodeDirs } from "./support/leftovers.js";

const FAKE = fileURLToPath(new URL("./fixtures/fake-agent.js", import.meta.url));

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe("node of `stingray start`", function () {
  this.timeout(20_000);
  let runtimeDir: string;
  let lines: string[];
  let runner: NodeRunner | undefined;
  beforeEach(() => {
    runtimeDir = mkdtempSync(join(tmpdir(), "st-run-"));
    lines = [];
    runner = undefined;
  });
  afterEach(async () => {
    await runner?.force();
    delete process.env["FAKE_AGENT"];
    rmSync(runtimeDir, { recursive: true, force: true });
    rmSync(`${runtimeDir}.store`, { recursive: true, force: true });
  });
  async function start(change: Partial<StartPlan> = {}) {
    const flags = {
      port: await freePort(),
      dataPort: 0,
      cluster: "default",
      subjectRoot: "st",
      replicas: 1,
      links: "auto" as const,
      drain: 0,
    };
    const started = await NodeRunner.start(
      { ...planStart(flags, runtimeDir), agentMain: FAKE, ...change },
      (line) => lines.push(line),
    );
    runner = started.runner;
    return started;
  }

  it("has a nats-server of its own, tells how to reach it, and leaves nothing", async () => {
    const { runner: subject, node } = await start();
    const nc = await connectBroker({ servers: [node.address] });
    await nc.close();
    const [file] = await listNodeFiles(runtimeDir);
    expect(file?.node).to.equal(node.ready.node);
    expect(file?.launcher.pid).to.equal(process.pid);
    await subject.stop();
    expect(isRunning(node.agentPid)).to.equal(false);
    expect(nodeDirs(runtimeDir)).to.deep.equal([]);
    expect(await rejection(connectBroker({ servers: [node.address] }))).to.be.instanceOf(ConnectionError);
  });

  it("comes back as a new node when its agent is killed", async () => {
    const { runner: subject, node } = await start();
    process.kill(node.agentPid, "SIGKILL");
    const back = await eventually(
      async () => (await listNodeFiles(runtimeDir)).find((file) => file.node !== node.ready.node),
      "another node",
    );
    await subject.stop();
    expect(isRunning(back.pid)).to.equal(false);
    expect(nodeDirs(runtimeDir)).to.deep.equal([]);
  });

  it("gives up an agent that ends again and again", async () => {
    const { runner: subject } = await start();
    process.env["FAKE_AGENT"] = "crash";
    const [file] = await listNodeFiles(runtimeDir);
    process.kill(file?.pid ?? 0, "SIGKILL");
    const error = await rejection(subject.lost);
    expect(error).to.be.instanceOf(ConnectionError);
    await subject.stop();
  });

  it("starts its nats-server again when that is killed", async () => {
    const { node } = await start();
    const pid = Number(/nats-server \(pid (\d+)\)/.exec(lines.join("\n"))?.[1]);
    process.kill(pid, "SIGKILL");
    await eventually(() => lines.some((line) => line.includes("starting it again")), "it is noticed");
    const nc = await eventually(() => connectBroker({ servers: [node.address] }), "it is back");
    await nc.close();
  });

  it("says that a port is taken, and leaves nothing", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const error = await rejection(start({ broker: { kind: "own", port, token: undefined } }));
    server.close();
    expect(error).to.be.instanceOf(ConnectionError);
    expect((error as Error).message).to.contain(`port ${port} on 127.0.0.1 is taken`);
    expect(nodeDirs(runtimeDir)).to.deep.equal([]);
  });
});
