import { expect } from "chai";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findGpus } from "../../src/gpu/find.js";
import type { FoundGpus } from "../../src/gpu/node-gpus.js";
import * as recorded from "../fixtures/nvidia-smi.js";

describe("looking for GPUs", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "st-gpus-"));
    mkdirSync(join(directory, "dev"));
    mkdirSync(join(directory, "bin"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const deviceFiles = (...names: string[]): void => {
    for (const name of names) writeFileSync(join(directory, "dev", name), "");
  };
  /** A command that prints what a machine printed, and ends with a code. */
  const command = ({ list, query }: recorded.Recorded, code = 0): void => {
    writeFileSync(join(directory, "list"), list);
    writeFileSync(join(directory, "query"), query);
    script(`case "$1" in -L) cat ${directory}/list;; *) cat ${directory}/query;; esac\nexit ${code}`);
  };
  const script = (body: string): void => {
    const path = join(directory, "bin", "nvidia-smi");
    writeFileSync(path, `#!/bin/sh\n${body}\n`);
    chmodSync(path, 0o755);
  };
  const find = (deadlineMs?: number): Promise<FoundGpus> =>
    findGpus({
      env: { PATH: `${join(directory, "bin")}:/usr/bin:/bin` },
      devDir: join(directory, "dev"),
      deadlineMs,
    });
  const entries = ({ devices }: FoundGpus): string[] | undefined => devices?.map(({ entry }) => entry);

  it("asks nvidia-smi, whatever its exit code", async () => {
    deviceFiles("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm");
    command(recorded.damagedRom, 14);
    const found = await find();
    expect(entries(found)).to.deep.equal(["0", "1"]);
    expect(found.notes.join()).to.contain("infoROM");
  });

  it("counts device files where there is no nvidia-smi", async () => {
    expect(await find()).to.deep.equal({ devices: undefined, notes: [] });
    deviceFiles("nvidia3", "nvidia12", "nvidiactl", "nvidia-caps", "nvidia-uvm");
    // A container has some of the machine's, and CUDA counts those from 0.
    expect(entries(await find())).to.deep.equal(["0", "1"]);
  });

  it("waits for a driver that hangs for no longer than it may", async () => {
    deviceFiles("nvidia0");
    script("exec sleep 60");
    const found = await find(150);
    expect(entries(found)).to.deep.equal(["0"]);
    expect(found.notes.join()).to.match(/did not answer within 150 ms.*device files/);
  });

  it("believes a driver that says that there is none, and tells only where there should be one", async () => {
    command(recorded.noDriver, 9);
    expect(await find()).to.deep.equal({ devices: [], notes: [] });
    deviceFiles("nvidia0");
    const found = await find();
    expect(found.devices).to.deep.equal([]);
    expect(found.notes.join()).to.contain("couldn't communicate");
  });

  it("goes on when the command says nothing", async () => {
    deviceFiles("nvidia0");
    script("exit 127");
    expect(entries(await find())).to.deep.equal(["0"]);
  });
});
