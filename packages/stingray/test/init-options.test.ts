import { InvalidOptionError } from "@stingray/protocol";
import { expect } from "chai";
import { checkInitOptions, type InitOptions } from "../src/init-options.js";

describe("options of init()", () => {
  it("says of each node how much memory objects may take, and where they go beyond it", () => {
    const node = { objectStoreMemory: 64 * 1024 ** 2, spillDir: "spilled" };
    checkInitOptions({ ...node, nodes: [node, {}] });
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
