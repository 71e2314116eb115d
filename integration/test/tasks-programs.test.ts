/** A program of several files, run as users run theirs: compiled, and from its TypeScript sources. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { Sandbox } from "./support/sandbox.js";
import type { Program } from "./support/program.js";

const SOURCES = fileURLToPath(new URL("../../test/fixtures/program/", import.meta.url));
const lineOf = (file: string, text: string): number =>
  readFileSync(`${SOURCES}${file}`, "utf8")
    .split("\n")
    .findIndex((line) => line.includes(text)) + 1;

interface Found {
  own: number;
  bill: number;
  total: number;
  elsewhere: boolean;
  stack: string;
}

async function findings(program: Program): Promise<Found> {
  await program.succeeds();
  expect(program.stderr).to.equal("");
  return JSON.parse(program.lines.at(-1) ?? "") as Found;
}

describe("a program of several files", function () {
  this.timeout(30_000);
  let sandbox: Sandbox;
  beforeEach(() => {
    sandbox = new Sandbox();
  });
  afterEach(async () => {
    await sandbox.nothingRemains();
    await sandbox.end();
  });

  const check = ({ own, bill, total, elsewhere, stack }: Found): void => {
    expect({ own, bill, total, elsewhere }).to.deep.equal({ own: 20, bill: 6, total: 12, elsewhere: true });
    const line = lineOf("lib.ts", "throw new RangeError");
    expect(stack).to.match(new RegExp(`at .*price.*program[\\\\/]lib\\.ts:${line}:`));
    expect(stack).to.contain("RangeError: can't deliver -1 pen");
  };

  it("runs compiled, with stacks of workers in its sources", async () => {
    check(await findings(sandbox.program("program/app.js")));
  });

  it("runs from its sources with --import tsx", async () => {
    check(await findings(sandbox.source(`${SOURCES}app.ts`)));
  });
});
