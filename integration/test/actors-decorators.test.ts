/** The same program with decorators as TypeScript 5 has them and as `experimentalDecorators` makes them. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";

const LEGACY = fileURLToPath(new URL("../../test/fixtures/legacy/", import.meta.url));
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const COMPILED = fileURLToPath(new URL("./fixtures/legacy/program.js", import.meta.url));
const run = promisify(execFile);

describe("actor decorators", function () {
  this.timeout(30_000);
  let directory = "";

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "st-deco-"));
  });
  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  async function output(cwd: string, args: string[]): Promise<unknown> {
    const { STINGRAY_ADDRESS: _elsewhere, ...inherited } = process.env;
    const env = { ...inherited, STINGRAY_RUNTIME_DIR: join(directory, "run") };
    const { stdout } = await run(process.execPath, args, { cwd, env });
    return JSON.parse(stdout);
  }

  const expected = {
    city: "Alexandria",
    most: 3,
    reads: 3,
    pages: ["Alexandria 0", "Alexandria 1"],
    told: "Elements and Almagest",
  };

  it("work as standard decorators, as the compiler emits them", async () => {
    expect(await output(ROOT, [COMPILED])).to.deep.equal(expected);
  });

  it("work as standard decorators through tsx", async () => {
    const tsx = import.meta.resolve("tsx");
    expect(await output(ROOT, ["--import", tsx, join(LEGACY, "program.ts")])).to.deep.equal(expected);
  });

  it("work as legacy decorators through tsx", async () => {
    const tsx = import.meta.resolve("tsx");
    expect(await output(LEGACY, ["--import", tsx, join(LEGACY, "program.ts")])).to.deep.equal(expected);
  });

  it("have types for both kinds", async () => {
    const compiler = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
    const { stdout } = await run(process.execPath, [join(compiler, "bin/tsc"), "-p", LEGACY], {
      cwd: ROOT,
    }).catch((error: { stdout: string }) => error);
    expect(stdout).to.equal("");
  });
});
