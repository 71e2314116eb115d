import { expect } from "chai";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { eventually } from "@stingray/protocol/testing";
import { stateFromBroker, stateFromLocal } from "../src/cli/cluster-state.js";
import { startEmbeddedCluster } from "../src/embedded/mod.js";
import { listNodeFiles } from "../src/runtime-files.js";
import { isRunning, nodeDirs } from "./support/leftovers.js";

const PROGRAM = fileURLToPath(new URL("./fixtures/embedding-program.js", import.meta.url));

describe("embedded cluster", function () {
  this.timeout(30_000);
  let runtimeDir: string;
  beforeEach(() => (runtimeDir = mkdtempSync(join(tmpdir(), "st-emb-"))));
  afterEach(() => rmSync(runtimeDir, { recursive: true, force: true }));

  it("has nodes that see each other, with and without the broker's links, and leaves nothing", async () => {
    const cluster = await startEmbeddedCluster({
      runtimeDir,
      nodes: [{ labels: { a: "1" } }, { resources: { special: 1 } }],
      cpus: 1,
      objectStoreMemory: 64 * 1024 ** 2,
      agent: { prestart: 0 },
    });
    try {
      const ids = cluster.nodes.map(({ node }) => node);
      const [file] = await listNodeFiles(runtimeDir);
      if (file === undefined) throw new Error("no node file");
      const state = await eventually(async () => {
        const seen = await stateFromLocal(file);
        return seen.nodes.length === 2 && seen;
      }, "both nodes");
      expect(state.nodes.map(({ node }) => node)).to.have.members(ids);
      const remote = await stateFromBroker(cluster.brokerOptions, cluster.subjectRoot, cluster.cluster);
      expect(remote.nodes.find(({ total }) => total["special"] === 1)?.node).to.equal(ids[1]);
      expect(remote.nodes.find(({ labels }) => labels["a"] === "1")?.node).to.equal(ids[0]);
    } finally {
      await cluster.stop();
    }
    for (const { pid, storeDir } of cluster.nodes) {
      expect(isRunning(pid)).to.equal(false);
      expect(existsSync(storeDir)).to.equal(false);
    }
    expect(nodeDirs(runtimeDir)).to.deep.equal([]);
  });

  it("ends with a program that is killed, and leaves nothing", async () => {
    const child = spawn(process.execPath, [PROGRAM], {
      env: { ...process.env, STINGRAY_RUNTIME_DIR: runtimeDir },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    await eventually(() => output.includes("\n"), { message: "it has started", timeoutMs: 15_000 });
    const { broker, nodes } = JSON.parse(output) as {
      broker: number;
      nodes: { pid: number; socketDir: string; storeDir: string }[];
    };
    expect(nodes).to.have.lengthOf(2);
    for (const { storeDir } of nodes) expect(existsSync(storeDir)).to.equal(true);
    child.kill("SIGKILL");
    await once(child, "exit");
    const pids = [broker, ...nodes.map(({ pid }) => pid)];
    await eventually(() => !pids.some(isRunning), { message: "every process has ended", timeoutMs: 10_000 });
    for (const { socketDir, storeDir } of nodes) {
      expect(existsSync(socketDir)).to.equal(false);
      expect(existsSync(storeDir)).to.equal(false);
    }
    expect(nodeDirs(runtimeDir)).to.deep.equal([]);
  });
});
