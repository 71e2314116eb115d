/** However a program with a cluster inside it ends, nothing of the cluster stays. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { eventually } from "stingray/testing";
import { Sandbox } from "./support/sandbox.js";
import type { Program } from "./support/program.js";

const PROGRAM = "life-program.js";

describe("a program with a cluster of its own", function () {
  this.timeout(40_000);
  let sandbox: Sandbox;
  let file: string;
  beforeEach(() => {
    sandbox = new Sandbox();
    file = join(sandbox.directory, "notes");
  });
  afterEach(() => sandbox.end());

  const notes = (): string[] => {
    try {
      return readFileSync(file, "utf8").trimEnd().split("\n");
    } catch {
      return [];
    }
  };
  /** A program whose two workers are in loops that never yield. */
  async function inALoop(): Promise<Program> {
    const program = sandbox.program(PROGRAM, ["loop", file]);
    await program.says("ready");
    await eventually(() => notes().length === 2, "both workers are in their loops");
    sandbox.look();
    return program;
  }

  for (const signal of ["SIGTERM", "SIGHUP"] as const)
    it(`ends by ${signal} with all that it started`, async () => {
      const program = await inALoop();
      program.signal(signal);
      expect(await program.ended()).to.deep.equal({ code: null, signal });
      await sandbox.nothingRemains();
      expect(program.stderr).to.equal("");
    });

  it("ends by Ctrl-C, which a terminal sends to its whole process group", async () => {
    const program = await inALoop();
    program.signalGroup("SIGINT");
    expect(await program.ended()).to.deep.equal({ code: null, signal: "SIGINT" });
    await sandbox.nothingRemains();
    expect(program.stderr).to.equal("");
  });

  it("leaves the decision to a handler of its own", async () => {
    const program = sandbox.program(PROGRAM, ["own handler"]);
    await program.says("ready");
    sandbox.look();
    program.signal("SIGTERM");
    expect(await program.ended()).to.deep.equal({ code: 7, signal: null });
    expect(program.lines).to.include("handled ");
    await sandbox.nothingRemains();
  });

  it("takes its cluster with it when it is killed while workers compute", async () => {
    const program = await inALoop();
    program.signal("SIGKILL");
    await program.ended();
    await sandbox.nothingRemains();
  });

  it("takes its cluster with it by process.exit()", async () => {
    const program = sandbox.program(PROGRAM, ["process.exit", file]);
    expect(await program.ended()).to.deep.equal({ code: 3, signal: null });
    await sandbox.nothingRemains();
  });

  it("takes its cluster with it by an uncaught exception, which is shown", async () => {
    const program = sandbox.program(PROGRAM, ["throws"]);
    expect(await program.ended()).to.deep.equal({ code: 1, signal: null });
    expect(program.stderr).to.match(/Error: thrown by the program\n\s+at .*life-program\.ts/);
    await sandbox.nothingRemains();
  });

  it("fails with a clear error, and ends cleanly, when its node agent is killed", async () => {
    const program = await inALoop();
    const agent = sandbox.processes().find(({ command }) => command.includes("agent/main.js"));
    process.kill(agent?.pid ?? 0, "SIGKILL");
    await eventually(() => program.stderr.includes("the cluster is lost"), "the program is told");
    program.signal("SIGTERM");
    await program.ended();
    await sandbox.nothingRemains();
  });
});
