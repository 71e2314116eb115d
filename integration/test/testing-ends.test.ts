/** However a test run ends, nothing of its clusters stays: not what stands still either. */
import { expect } from "chai";
import { eventually, isRunning } from "stingray/testing";
import type { Program } from "./support/program.js";
import { Sandbox } from "./support/sandbox.js";

describe("a test run with a cluster whose parts stand still", function () {
  this.timeout(40_000);
  let sandbox: Sandbox;
  beforeEach(() => (sandbox = new Sandbox()));
  afterEach(() => sandbox.end());

  const begun = async (how: string): Promise<{ program: Program; pids: number[] }> => {
    const program = sandbox.program("kit-program.js", [how]);
    const pids = (await program.says("pids")).split(" ").map(Number);
    if (how === "waits") expect(pids.filter((pid) => isRunning(pid))).to.deep.equal(pids);
    return { program, pids };
  };

  it("leaves nothing when a test throws", async () => {
    const { program } = await begun("throws");
    expect((await program.ended()).code).to.equal(1);
    await sandbox.nothingRemains();
  });

  it("leaves nothing after Ctrl-C", async () => {
    const { program } = await begun("waits");
    program.signalGroup("SIGINT");
    expect((await program.ended()).signal).to.equal("SIGINT");
    await sandbox.nothingRemains();
  });

  it("works in other frameworks, too: node:test", async () => {
    const program = sandbox.program("node-test-file.js");
    expect((await program.ended()).code).to.equal(1);
    expect(program.stdout, program.stderr).to.match(/ok \d+ - waits for what takes a while/);
    expect(program.stdout)
      .to.match(/^ok \d+ - in a block/m)
      .and.match(/^not ok \d+ - fails/m);
    await sandbox.nothingRemains();
  });

  it("leaves no process when it is killed, and the next one removes its files", async () => {
    const { program, pids } = await begun("waits");
    program.signal("SIGKILL");
    await program.ended();
    await eventually(() => !pids.some((pid) => isRunning(pid)), "all processes have ended");
    const next = await begun("ends");
    await next.program.succeeds();
    await sandbox.nothingRemains();
  });
});
