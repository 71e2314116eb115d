/** However `stingray start` ends, nothing of the node stays. */
import { expect } from "chai";
import { eventually } from "stingray/testing";
import { Sandbox } from "./support/sandbox.js";
import type { Program } from "./support/program.js";

const START = ["start", "--cpus", "2", "--gpus", "0", "--object-store-memory", "64MiB", "--drain", "0.5"];

describe("stingray start", function () {
  this.timeout(40_000);
  let sandbox: Sandbox;
  beforeEach(() => (sandbox = new Sandbox()));
  afterEach(() => sandbox.end());

  /** A node with a nats-server of its own, and a program on it whose workers are in a loop. */
  async function atWork(): Promise<{ node: Program; program: Program }> {
    const node = sandbox.stingray([...START, "--port", String(await sandbox.freePort())]);
    await node.up();
    const address = /STINGRAY_ADDRESS='([^']+)'/.exec(node.stdout)?.[1] ?? "";
    const program = sandbox.program("life-program.js", ["furnish", `${sandbox.directory}/notes`], {
      STINGRAY_ADDRESS: address,
    });
    await program.says("ready");
    sandbox.look();
    return { node, program };
  }

  it("ends by SIGTERM, under a program that uses it", async () => {
    const { node, program } = await atWork();
    node.signal("SIGTERM");
    expect(await node.ended()).to.deep.equal({ code: 0, signal: null });
    program.signal("SIGKILL");
    await program.ended();
    await sandbox.nothingRemains();
  });

  it("ends by Ctrl-C, which a terminal sends to its whole process group", async () => {
    const { node, program } = await atWork();
    node.signalGroup("SIGINT");
    expect(await node.ended()).to.deep.equal({ code: 0, signal: null });
    program.signal("SIGTERM");
    await program.ended();
    await sandbox.nothingRemains();
  });

  it("takes everything with it when it is killed", async () => {
    const { node, program } = await atWork();
    node.signal("SIGKILL");
    await node.ended();
    program.signal("SIGKILL");
    await program.ended();
    await sandbox.nothingRemains();
  });

  it("goes on with a new agent when its agent is killed, and leaves nothing of the old one", async () => {
    const { node, program } = await atWork();
    const [old] = sandbox.processes().filter(({ command }) => command.includes("agent/main.js"));
    process.kill(old?.pid ?? 0, "SIGKILL");
    await eventually(() => node.stderr.includes("back as node"), "a new agent is up");
    program.signal("SIGKILL");
    await program.ended();
    node.signal("SIGTERM");
    expect(await node.ended()).to.deep.equal({ code: 0, signal: null });
    await sandbox.nothingRemains();
  });
});
