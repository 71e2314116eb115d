import { InvalidOptionError, newAgentId, newNodeId, newSecret } from "@stingray/protocol";
import { expect } from "chai";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { processStartTime } from "../src/process-info.js";
import {
  clusterIdOf,
  findLocalNode,
  listNodeFiles,
  prepareRuntimeRoot,
  runtimeRoot,
  writeNodeFile,
  type NodeFile,
} from "../src/runtime-files.js";
import { sweepDeadNodes } from "../src/sweep.js";

function fileOf(pid: number, change: Partial<NodeFile> = {}): NodeFile {
  return {
    node: newNodeId(),
    agent: newAgentId(),
    pid,
    startTime: processStartTime(pid) ?? "",
    cluster: "default",
    clusterId: "c1",
    subjectRoot: "st",
    socketDir: "/tmp/x",
    secret: newSecret(),
    storeDir: "/dev/shm/x",
    broker: { servers: ["nats://127.0.0.1:4222"] },
    startedBy: "command",
    launcher: { pid, startTime: "" },
    ...change,
  };
}

describe("runtime files", () => {
  let root: string;
  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "st-rt-"));
    await prepareRuntimeRoot(root);
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it("finds a live agent by its cluster, in a file for its user only", async () => {
    const file = fileOf(process.pid);
    await writeNodeFile(root, file);
    expect(statSync(join(root, file.node, "node.json")).mode & 0o777).to.equal(0o600);
    expect(await findLocalNode({ clusterId: "c1" }, root)).to.deep.equal(file);
    expect(await findLocalNode({ clusterId: "c2" }, root)).to.equal(undefined);
    expect(await findLocalNode({ nodes: [newNodeId(), file.node] }, root)).to.deep.equal(file);
  });

  it("does not list an agent that was killed, and sweeps away what it left", async () => {
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    await once(child, "spawn");
    const file = fileOf(child.pid ?? 0);
    await writeNodeFile(root, file);
    expect(await listNodeFiles(root)).to.have.lengthOf(1);
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
    expect(await listNodeFiles(root)).to.deep.equal([]);
    const storeDir = join(root, "store", file.node);
    mkdirSync(storeDir, { recursive: true });
    await writeNodeFile(root, { ...file, storeDir });
    const live = fileOf(process.pid);
    await writeNodeFile(root, live);
    expect(await sweepDeadNodes(root)).to.deep.equal([file.node]);
    expect(existsSync(join(root, file.node))).to.equal(false);
    expect(existsSync(storeDir)).to.equal(false);
    expect(await listNodeFiles(root)).to.deep.equal([live]);
  });

  it("does not list a process whose pid is another's now", async function () {
    if (process.platform !== "linux") this.skip();
    await writeNodeFile(root, fileOf(process.pid, { startTime: "1" }));
    expect(await listNodeFiles(root)).to.deep.equal([]);
  });

  it("passes over files that are no node files", async () => {
    const good = fileOf(process.pid);
    await writeNodeFile(root, good);
    for (const text of ["{", `{"node":"x"}`]) {
      const dir = join(root, newNodeId());
      mkdirSync(dir);
      writeFileSync(join(dir, "node.json"), text);
    }
    mkdirSync(join(root, newNodeId()));
    writeFileSync(join(root, newNodeId()), "not a directory");
    expect(await listNodeFiles(root)).to.deep.equal([good]);
    expect(await sweepDeadNodes(root), "they may be starting just now").to.deep.equal([]);
  });

  it("knows the same cluster under several spellings of its address", () => {
    const id = clusterIdOf(["nats://127.0.0.1:4222", "b:1"], "st", "default");
    expect(clusterIdOf(["b:1", "tls://user:secret@localhost"], "st", "default")).to.equal(id);
    expect(clusterIdOf(["127.0.0.1:4222", "b:2"], "st", "default")).not.to.equal(id);
    expect(clusterIdOf(["127.0.0.1:4222", "b:1"], "st", "other")).not.to.equal(id);
  });

  it("knows no nodes where there is no directory", async () => {
    expect(await listNodeFiles(join(root, "missing"))).to.deep.equal([]);
  });

  it("refuses a directory that is open to others", async () => {
    chmodSync(root, 0o755);
    let thrown: unknown;
    await prepareRuntimeRoot(root).catch((error: unknown) => (thrown = error));
    expect(thrown).to.be.instanceOf(InvalidOptionError);
  });

  it("chooses a directory whose socket paths are short enough", () => {
    const long = mkdtempSync(join(root, "x".repeat(80)));
    expect(runtimeRoot({ XDG_RUNTIME_DIR: root })).to.equal(join(root, "stingray"));
    expect(runtimeRoot({ XDG_RUNTIME_DIR: long })).to.match(/stingray-\d+$/);
    expect(runtimeRoot({ XDG_RUNTIME_DIR: join(root, "missing") })).to.match(/stingray-\d+$/);
    expect(runtimeRoot({ STINGRAY_RUNTIME_DIR: root, XDG_RUNTIME_DIR: long })).to.equal(root);
    expect(() => runtimeRoot({ STINGRAY_RUNTIME_DIR: long })).to.throw(InvalidOptionError);
  });
});
