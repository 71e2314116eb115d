import { InvalidOptionError } from "@stingray/protocol";
import { expect } from "chai";
import { checkInitOptions, optionsThatDiffer, type InitOptions } from "../src/init-options.js";

describe("options of init()", () => {
  it("says of each node how much memory objects may take, and where they go beyond it", () => {
    const node = { objectStoreMemory: 64 * 1024 ** 2, spillDir: "spilled" };
    checkInitOptions({ ...node, nodes: [node, {}] });
  });

  it("says which ones a second call gives otherwise than the first", () => {
    const first: InitOptions = { cpus: 2, nodes: [{ gpus: 0 }], namespace: "a" };
    expect(optionsThatDiffer({}, first)).to.deep.equal([]);
    expect(optionsThatDiffer({ cpus: 2, nodes: [{ gpus: 0 }], gpus: undefined }, first)).to.deep.equal([]);
    expect(
      optionsThatDiffer({ cpus: 3, nodes: [{ gpus: 1 }], namespace: "a", cluster: "x" }, first),
    ).to.deep.equal(["cpus", "nodes", "cluster"]);
  });

  it("refuses what is no directory's name, and names what was meant", () => {
    const refused: [options: unknown, message: RegExp][] = [
      [{ spillDir: 7 }, /spillDir/],
      [{ nodes: [{ spillDir: true }] }, /nodes/],
      [{ spillDirectory: "x" }, /spillDir/],
    ];
    for (const [options, message] of refused)
      expect(() => checkInitOptions(options as InitOptions)).to.throw(InvalidOptionError, message);
  });
});
