/** What workers print: where a user looks first when something went wrong. */
import { expect } from "chai";
import { Sandbox } from "./support/sandbox.js";

describe("what workers print", function () {
  this.timeout(30_000);

  it("reaches the program, each line with the name and the process that printed it", async () => {
    const sandbox = new Sandbox();
    try {
      const program = sandbox.program("bad-use/prints.js");
      await program.succeeds();
      const pid = await program.says("task");
      const actor = await program.says("actor");
      expect(program.lines).to.include.members([
        `(prints pid=${pid}) hello`,
        `(prints pid=${pid}) world`,
        `(Talker.say pid=${actor}) from the actor`,
      ]);
      const errors = program.stderr.split("\n");
      expect(errors).to.include.members([
        `(prints pid=${pid}) hello`,
        `(prints pid=${pid}) world, as an error`,
      ]);
      expect(errors.some((line) => /^\(exits pid=\d+\) unfinished$/.test(line))).to.equal(true);
      await sandbox.nothingRemains();
    } finally {
      await sandbox.end();
    }
  });

  it("stays in the workers' log files with logToDriver: false", async () => {
    const sandbox = new Sandbox();
    try {
      const program = sandbox.program("bad-use/prints.js", ["quiet"]);
      await program.succeeds();
      expect(program.stdout).not.to.match(/hello|from the actor/);
      expect(program.stderr).to.equal("");
      await sandbox.nothingRemains();
    } finally {
      await sandbox.end();
    }
  });
});
