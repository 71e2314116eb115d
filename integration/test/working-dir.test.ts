/** Where workers run, and where they find modules: only the job's working directory decides about the second. */
import { realpathSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { InvalidOptionError, get, init, isInitialized, shutdown } from "stingray";
import { Placed, outer, where } from "./fixtures/working-dir.js";
import { Sandbox } from "./support/sandbox.js";

const ROOT = realpathSync(fileURLToPath(new URL("fixtures/", import.meta.url)));
const BELOW = join(ROOT, "program");
const local = { nodes: 1, cpus: 2, gpus: 0, objectStoreMemory: 32 << 20, logToDriver: false };

describe("working directories", function () {
  this.timeout(30_000);
  let sandbox: Sandbox;
  let leave: () => void;
  before(() => {
    sandbox = new Sandbox();
    leave = sandbox.enter({});
  });
  after(async () => {
    await sandbox.nothingRemains();
    leave();
    await sandbox.end();
  });

  describe("of a job whose own is given", () => {
    before(() =>
      init({
        ...local,
        runtimeEnv: { workingDir: relative(process.cwd(), ROOT), setup: "./working-dir-setup.js" },
      }),
    );
    after(async () => {
      sandbox.look();
      await shutdown();
    });

    it("is what modules, setup and the workers are in", async () => {
      expect(await get(where.remote())).to.deep.equal({ cwd: ROOT, setup: ROOT });
    });

    it("of a task, relative to the job's, is where it runs, while modules and setup are found as before", async () => {
      const below = { cwd: BELOW, setup: BELOW };
      for (const workingDir of ["./program", "program", "program/../program/", BELOW])
        expect(await get(where.options({ runtimeEnv: { workingDir } }).remote()), workingDir).to.deep.equal(
          below,
        );
    });

    it("of a task is not that of the tasks that it starts", async () => {
      const [own, nested] = await get(outer.options({ runtimeEnv: { workingDir: "./program" } }).remote());
      expect([own.cwd, nested.cwd]).to.deep.equal([BELOW, ROOT]);
    });

    it("outside the job's changes nothing for modules, either", async () => {
      const workingDir = realpathSync(sandbox.directory);
      const [own, nested] = await get(outer.options({ runtimeEnv: { workingDir } }).remote());
      expect(own).to.deep.equal({ cwd: workingDir, setup: workingDir });
      expect(nested.cwd).to.equal(ROOT);
    });

    it("of an actor is relative to the job's, too", async () => {
      const actor = Placed.options({ runtimeEnv: { workingDir: "./program" } }).remote();
      expect(await get(actor.where.remote())).to.deep.equal({ cwd: BELOW, setup: BELOW });
    });
  });

  it("that are none are refused by init(), by the name of the option", async () => {
    for (const [workingDir, text] of [
      [join(sandbox.directory, "nope"), /no such file/],
      [fileURLToPath(import.meta.url), /is no directory/],
    ] as const) {
      const error: unknown = await init({ ...local, runtimeEnv: { workingDir } }).catch((e: unknown) => e);
      expect(error).to.be.instanceOf(InvalidOptionError);
      const { message } = error as Error;
      expect(message).to.match(/init\(\): runtimeEnv\.workingDir: /);
      expect(message).to.contain(workingDir);
      expect(message).to.match(text);
      expect(isInitialized()).to.equal(false);
    }
  });
});
