/** A program that has nothing left to do ends by itself, with its cluster. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { Program } from "./support/program.js";
import { Sandbox } from "./support/sandbox.js";

const PROGRAM = "life-program.js";

describe("a program that comes to its end without shutdown()", function () {
  this.timeout(40_000);
  let sandbox: Sandbox;
  beforeEach(() => (sandbox = new Sandbox()));
  afterEach(() => sandbox.end());

  /** Milliseconds between its last line and its end. */
  async function lastsAfterDone(program: Program): Promise<number> {
    const done = Number(await program.says("done"));
    await program.succeeds();
    const ended = performance.timeOrigin + performance.now();
    await sandbox.nothingRemains();
    expect(program.stderr).to.equal("");
    return ended - done;
  }

  it("ends at once when nothing is pending", async () => {
    const program = sandbox.program(PROGRAM, ["no shutdown"]);
    expect(await lastsAfterDone(program)).to.be.below(2_000);
    expect(program.lines[0]).to.equal("square 9");
  });

  it("ends at once when it did nothing", async () => {
    expect(await lastsAfterDone(sandbox.program(PROGRAM, ["nothing at all"]))).to.be.below(2_000);
  });

  it("waits for what it has begun, although only references stand for it", async () => {
    const file = join(sandbox.directory, "notes");
    const program = sandbox.program(PROGRAM, ["awaits only references", file]);
    expect(await program.says("rested")).to.equal("true");
    await program.succeeds();
    expect(readFileSync(file, "utf8").trimEnd().split("\n")).to.have.length(5);
    await sandbox.nothingRemains();
  });
});
