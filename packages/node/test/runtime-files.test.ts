import { InvalidOptionError, newAgentId, newNodeId, newSecret } from "@stingray/protocol";
import { expect } from "chai";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { processStartTime } from "../src/process-info.js";
import {
  findLocalNode,
  listNodeFiles,
  prepareRuntimeRoot,
  removeNodeFile,
  runtimeRoot,
  writeNodeFile,
  type NodeFile,
} from "../src/runtime-files.js";

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
    expect(statSync(join(root, "nodes", `${file.node}.json`)).mode & 0o777).to.equal(0o600);
    expect(await findLocalNode("c1", root)).to.deep.equal(file);
    expect(await findLocalNode("c2", root)).to.equal(undefined);
    await removeNodeFile(root, file.node);
    expect(await listNodeFiles(root)).to.deep.equal([]);
  });

  it("drops the file of an agent that was killed", async () => {
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    await once(child, "spawn");
    const file = fileOf(child.pid ?? 0);
    await writeNodeFile(root, file);
    expect(await listNodeFiles(root)).to.have.lengthOf(1);
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
    expect(await listNodeFiles(root)).to.deep.equal([]);
    expect(existsSync(join(root, "nodes", `${file.node}.json`))).to.equal(false);
  });

  it("drops the file of a process whose pid is another's now", async function () {
    if (process.platform !== "linux") this.skip();
    await writeNodeFile(root, fileOf(process.pid, { startTime: "1" }));
    expect(await listNodeFiles(root)).to.deep.equal([]);
  });

  it("passes over files that are no node files", async () => {
    const good = fileOf(process.pid);
    await writeNodeFile(root, good);
    writeFileSync(join(root, "nodes", "broken.json"), "{");
    writeFileSync(join(root, "nodes", "other.json"), `{"node":"x"}`);
    expect(await listNodeFiles(root)).to.deep.equal([good]);
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
