import { EmbeddedBroker } from "@stingray/broker/server";
import { expect } from "chai";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@stingray/protocol/testing";
import { listNodeFiles, type NodeFile } from "../src/runtime-files.js";
import { stingray, stingrayHere, type Finished, type RunningCommand } from "./support/command.js";
import { isRunning, nodeDirs } from "./support/leftovers.js";

const SMALL = ["--cpus", "1", "--memory", "1GiB", "--object-store-memory", "64MiB"];

async function freePort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

describe("the stingray command", function () {
  this.timeout(40_000);
  let runtimeDir: string;
  let started: RunningCommand[];
  const run = (...args: string[]): Promise<Finished> => stingray(runtimeDir, args).finished();
  const look = (...args: string[]): Promise<Finished> => stingrayHere(runtimeDir, args);
  const start = (...args: string[]): RunningCommand => {
    const command = stingray(runtimeDir, ["start", ...SMALL, ...args]);
    started.push(command);
    return command;
  };
  const pidOfServer = (command: RunningCommand): number =>
    Number(/nats-server \(pid (\d+)\)/.exec(command.stderr)?.[1]);
  async function nothingLeft(files: readonly NodeFile[]): Promise<void> {
    const pids = files.flatMap(({ pid, launcher }) => [pid, launcher.pid]);
    await eventually(() => !pids.some(isRunning), "every process has ended");
    await eventually(() => nodeDirs(runtimeDir).length === 0, "no node's directory is left");
    for (const { storeDir } of files) expect(existsSync(storeDir), storeDir).to.equal(false);
  }

  beforeEach(() => {
    runtimeDir = mkdtempSync(join(tmpdir(), "st-cli-"));
    started = [];
  });
  afterEach(async () => {
    for (const { child } of started) child.kill("SIGKILL");
    await Promise.all(started.map((command) => command.finished()));
    for (const file of await listNodeFiles(runtimeDir)) process.kill(file.pid, "SIGKILL");
    rmSync(runtimeDir, { recursive: true, force: true });
  });

  it("runs a node with a nats-server of its own until Ctrl-C, and leaves nothing", async () => {
    const command = start("--port", await freePort(), "--labels", "zone=b", "--resources", `{"special": 2}`);
    const node = await command.up();
    expect(command.stdout)
      .to.match(/ends with it/)
      .and.to.match(/1 CPU.*2 special.*64 MiB object store/);
    const files = await listNodeFiles(runtimeDir);
    expect(files.map((file) => file.node)).to.deep.equal([node]);
    const sockets = statSync(join(runtimeDir, node)).mode & 0o777;
    expect(sockets).to.equal(0o700);

    const json = await look("status", "--json");
    const { clusters } = JSON.parse(json.stdout) as {
      clusters: { nodes: { node: string; labels: object }[] }[];
    };
    expect(clusters[0]?.nodes.map((view) => view.node)).to.deep.equal([node]);
    expect(clusters[0]?.nodes[0]?.labels).to.deep.equal({ zone: "b" });

    const server = pidOfServer(command);
    expect(isRunning(server)).to.equal(true);
    command.child.kill("SIGINT");
    expect((await command.finished()).code).to.equal(0);
    await nothingLeft(files);
    expect(isRunning(server)).to.equal(false);
  });

  it("runs in the background, takes in a second node, shows and ends both", async () => {
    const first = await run("start", "--detach", ...SMALL, "--port", await freePort());
    expect(first.code, first.stderr).to.equal(0);
    const address = /STINGRAY_ADDRESS='([^']+)'/.exec(first.stdout)?.[1] ?? "";
    const second = await run("start", "--detach", ...SMALL, "--address", address);
    expect(second.code, second.stderr).to.equal(0);
    const files = await listNodeFiles(runtimeDir);
    expect(files).to.have.lengthOf(2);
    expect(new Set(files.map(({ clusterId }) => clusterId)).size).to.equal(1);
    expect(JSON.stringify(files)).not.to.contain(new URL(address).username);

    const status = await eventually(async () => {
      const shown = await look("status", "--address", address);
      return shown.stdout.includes("2 nodes") && shown;
    }, "both are seen");
    for (const { node } of files) expect(status.stdout).to.contain(node);
    expect(status.stdout)
      .to.match(/1\/1 CPU/)
      .and.to.match(/No demand waits/);
    expect(status.stdout).not.to.contain(new URL(address).username);

    const [server, other] = [first, second].map(({ stdout }) => /Node (\w+) is up/.exec(stdout)?.[1] ?? "");
    const refused = await look("drain", server ?? "");
    expect(refused.code).to.equal(1);
    expect(refused.stderr).to.contain("nats-server of its own");
    const drained = await look("drain", other ?? "", "--address", address);
    expect(drained.stdout + drained.stderr).to.contain(`node ${other} was drained and has left`);
    expect(drained.code).to.equal(0);

    const stopped = await look("stop");
    expect(stopped.code, stopped.stderr).to.equal(0);
    expect(stopped.stdout).to.match(new RegExp(`ended node ${server}`));
    await nothingLeft(files);
    expect((await look("stop")).stdout).to.match(/nothing to stop/);
  });

  it("joins nodes to a broker that is there, and says what is wrong with credentials", async () => {
    const broker = await EmbeddedBroker.start({ token: "sesame" });
    try {
      const join = ["--address", broker.url, "--token", "sesame"];
      const nodes = [start(...join), start(...join)];
      const [first, second] = await Promise.all(nodes.map((command) => command.up()));
      const files = await listNodeFiles(runtimeDir);
      expect(files.map(({ node }) => node)).to.have.members([first, second]);
      expect(nodes[0]?.stdout).not.to.contain("sesame");

      const wrong = await look("status", "--address", broker.url, "--token", "wrong");
      expect(wrong.code).to.equal(1);
      expect(wrong.stderr).to.match(/refused.*token/s);
      const refused = await run("start", ...SMALL, "--address", broker.url, "--token", "wrong");
      expect(refused.code).to.equal(1);

      expect((await look("stop", "--node", first ?? "")).code).to.equal(0);
      const left = await eventually(async () => {
        const shown = await look("status", "--json");
        const { clusters } = JSON.parse(shown.stdout) as {
          clusters: { nodes: { node: string; state: string }[] }[];
        };
        return clusters[0]?.nodes.filter(({ state }) => state === "ALIVE").length === 1 && clusters[0].nodes;
      }, "one node is left");
      expect(left.find(({ state }) => state === "ALIVE")?.node).to.equal(second);
      expect((await look("stop", "--node", first ?? "")).stderr).to.match(/no node .* there are: /);
      expect((await look("stop", "--force")).stdout).to.match(/killed node/);
      await nothingLeft(files);
    } finally {
      await broker.stop();
    }
  });

  it("leaves nothing when it is killed", async () => {
    const command = start("--port", await freePort());
    await command.up();
    const files = await listNodeFiles(runtimeDir);
    const server = pidOfServer(command);
    command.child.kill("SIGKILL");
    await command.finished();
    await nothingLeft(files);
    await eventually(() => !isRunning(server), "the nats-server has ended");
  });

  it("says clearly that nothing runs, that a port is taken, that no broker is there", async () => {
    const [status, stop] = await Promise.all([run("status"), run("stop")]);
    expect(status.code).to.equal(1);
    expect(status.stderr).to.match(/no node .* stingray start/);
    expect(stop.code).to.equal(0);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const port = String((server.address() as AddressInfo).port);
    const taken = await run("start", ...SMALL, "--port", port);
    server.close();
    expect(taken.code).to.equal(1);
    expect(taken.stderr).to.match(/port \d+ .* is taken/);
    const nobody = await run(
      "start",
      "--detach",
      ...SMALL,
      "--address",
      `nats://127.0.0.1:${await freePort()}`,
    );
    expect(nobody.code).to.equal(1);
    expect(nobody.stderr).to.match(/127\.0\.0\.1/);
    expect(nodeDirs(runtimeDir)).to.deep.equal([]);
  });
});
