import { InvalidOptionError } from "@stingray/protocol";
import { expect } from "chai";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join, relative } from "node:path";
import { resolveAgentOptions } from "../src/agent/options.js";
import { prepareSpillDir } from "../src/agent/spill-dir.js";

describe("options of the object store on disk", () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "st-spill-"))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it("makes the directory, closed to others, wherever it is relative to", () => {
    const wanted = join(dir, "a", "b");
    expect(prepareSpillDir(relative(process.cwd(), wanted))).to.equal(wanted);
    expect(statSync(wanted).mode & 0o777).to.equal(0o700);
    expect(prepareSpillDir(wanted)).to.equal(wanted);
    expect(prepareSpillDir()).to.equal(tmpdir());
  });

  it("refuses one that can't be used, and says what to do", () => {
    const file = join(dir, "file");
    writeFileSync(file, "");
    for (const bad of [file, join(file, "below"), "/proc/none"])
      expect(() => prepareSpillDir(bad), bad).to.throw(
        InvalidOptionError,
        /spillDir.*can't be written.*name/,
      );
  });

  it("has a default for everything, and refuses amounts that make no sense", () => {
    const broker = { servers: ["nats://127.0.0.1:4222"] };
    const config = resolveAgentOptions({ broker });
    expect(isAbsolute(config.spillDir)).to.equal(true);
    expect(config).to.deep.include({ spillLimit: undefined, dataHost: undefined, dataPort: 0 });
    const embedded = resolveAgentOptions({ broker, embedded: true, spillLimit: 0, dataPort: 7000 });
    expect(embedded).to.deep.include({ spillLimit: 0, dataHost: "127.0.0.1", dataPort: 7000 });
    expect(embedded.advertisedHosts).to.deep.equal(["127.0.0.1"]);
    for (const bad of [{ spillLimit: -1 }, { spillLimit: 0.5 }, { dataPort: 65_536 }])
      expect(() => resolveAgentOptions({ broker, ...bad })).to.throw(InvalidOptionError, Object.keys(bad)[0]);
  });
});
