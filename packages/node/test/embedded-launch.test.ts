import { ConnectionError, InvalidOptionError, ProtocolError } from "@stingray/protocol";
import { eventually, rejection } from "@stingray/protocol/testing";
import { expect } from "chai";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startEmbeddedCluster, type EmbeddedOptions } from "../src/embedded/mod.js";
import { listNodeFiles } from "../src/runtime-files.js";
import { isRunning, nodeDirs } from "./support/leftovers.js";

const fixture = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}.js`, import.meta.url));
const FAKE = fixture("fake-agent");

describe("embedded cluster, launcher", function () {
  this.timeout(20_000);
  let runtimeDir: string;
  let lines: string[];
  beforeEach(() => {
    runtimeDir = mkdtempSync(join(tmpdir(), "st-emb-"));
    lines = [];
  });
  afterEach(() => {
    delete process.env["FAKE_AGENT"];
    rmSync(runtimeDir, { recursive: true, force: true });
    rmSync(`${runtimeDir}.store`, { recursive: true, force: true });
  });
  const start = (behaviour: string, o: EmbeddedOptions = {}) => {
    process.env["FAKE_AGENT"] = behaviour;
    return startEmbeddedCluster({ runtimeDir, agentMain: FAKE, log: (line) => lines.push(line), ...o });
  };
  const pidOfBroker = (): number => Number(/nats-server \(pid (\d+)\) listens/.exec(lines.join("\n"))?.[1]);

  it("starts a broker and agents, is found by others, and leaves nothing", async () => {
    const phases: string[] = [];
    const cluster = await start("good", {
      nodes: [{ cpus: 3 }, {}],
      cpus: 5,
      trace: (name) => phases.push(name),
    });
    expect(phases).to.deep.equal(["agents forked", "broker ready", "agents ready"]);
    expect(cluster.nodes).to.have.lengthOf(2);
    await eventually(() => lines.some((line) => line.includes("cpus 3")), "own options before common ones");
    await eventually(() => lines.some((line) => line.includes("cpus 5")), "common options");
    const files = await listNodeFiles(runtimeDir);
    expect(files.map(({ node }) => node)).to.have.members(cluster.nodes.map(({ node }) => node));
    expect(JSON.stringify(files)).not.to.contain((cluster.brokerOptions.auth as { token: string }).token);
    const added = await cluster.addNode();
    const pids = [...cluster.nodes.map(({ pid }) => pid), cluster.broker.pid ?? 0];
    expect(pids).to.include(added.pid).and.to.have.lengthOf(4);
    await Promise.all([cluster.stop(), cluster.stop()]);
    expect(pids.filter(isRunning)).to.deep.equal([]);
    expect(nodeDirs(runtimeDir)).to.deep.equal([]);
    expect(await rejection(cluster.addNode())).to.be.instanceOf(ConnectionError);
  });

  it("fails with the last output of an agent that ends while it starts, and leaves nothing", async () => {
    const error = await rejection(start("crash"));
    expect(error).to.be.instanceOf(ConnectionError);
    expect((error as Error).message).to.match(/exit code 7.*cannot find the thing/s);
    expect(isRunning(pidOfBroker())).to.equal(false);
    expect(nodeDirs(runtimeDir)).to.deep.equal([]);
  });

  it("fails with what an agent says", async () => {
    const error = await rejection(start("refuse"));
    expect(error).to.be.instanceOf(ConnectionError);
    expect((error as Error).message).to.equal("no JetStream there: start it with -js");
    expect(isRunning(pidOfBroker())).to.equal(false);
    expect(await rejection(start("garbage"))).to.be.instanceOf(ProtocolError);
  });

  it("does not wait for ever for an agent that says nothing", async () => {
    const error = await rejection(start("silent", { startTimeoutMs: 300 }));
    expect((error as Error).message).to.match(/was not ready within 300 ms/);
  });

  it("does not leave agents behind when there is no broker", async () => {
    const error = await rejection(start("good", { natsServer: "/does/not/exist" }));
    expect(error).to.be.instanceOf(ConnectionError);
    expect(nodeDirs(runtimeDir)).to.deep.equal([]);
  });

  it("kills an agent that does not end, and removes what it leaves", async () => {
    const cluster = await start("stubborn", { stopTimeoutMs: 200 });
    const [node] = cluster.nodes;
    await cluster.stop();
    expect(isRunning(node?.pid ?? 0)).to.equal(false);
    expect(existsSync(node?.storeDir ?? "")).to.equal(false);
    expect(nodeDirs(runtimeDir)).to.deep.equal([]);
    expect(lines.some((line) => line.includes("was killed"))).to.equal(true);
  });

  it("stops cleanly after an agent was killed", async () => {
    const cluster = await start("good");
    const [node] = cluster.nodes;
    process.kill(node?.pid ?? 0, "SIGKILL");
    await eventually(() => node?.process.state.kind === "exited", "the exit is seen");
    expect(await listNodeFiles(runtimeDir)).to.deep.equal([]);
    await cluster.stop();
    expect(existsSync(node?.storeDir ?? "")).to.equal(false);
    expect(nodeDirs(runtimeDir)).to.deep.equal([]);
  });

  it("refuses numbers of nodes that make no sense", async () => {
    for (const nodes of [0, -1, 1.5, 1_000, []]) {
      expect(await rejection(start("good", { nodes }))).to.be.instanceOf(InvalidOptionError);
    }
  });

  it("does not keep a program alive, and ends with it", async () => {
    const child = spawn(process.execPath, [fixture("embedding-program"), FAKE, "end"], {
      env: { ...process.env, STINGRAY_RUNTIME_DIR: runtimeDir, FAKE_AGENT: "good" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk) => (output += String(chunk)));
    await once(child, "close");
    const { broker, nodes } = JSON.parse(output) as { broker: number; nodes: { pid: number }[] };
    const pids = [broker, ...nodes.map(({ pid }) => pid)];
    await eventually(() => !pids.some(isRunning), "every process ended");
    await eventually(() => nodeDirs(runtimeDir).length === 0, "every file is gone");
  });
});
