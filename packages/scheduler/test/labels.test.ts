import { expect } from "chai";
import { InvalidOptionError } from "@stingray/protocol";
import { LabelSelector } from "../src/mod.js";

const fits = (selector: string, value?: string): boolean =>
  new LabelSelector({ zone: selector }).mismatch(value === undefined ? {} : { zone: value }) === undefined;

describe("LabelSelector", () => {
  it("reads =, !=, in and !in", () => {
    expect([fits("a", "a"), fits("a", "b"), fits("a")]).to.deep.equal([true, false, false]);
    expect([fits("!a", "a"), fits("!a", "b"), fits("!a")]).to.deep.equal([false, true, true]);
    expect([fits("in(a, b)", "b"), fits("in(a,b)", "c"), fits("in(a)")]).to.deep.equal([true, false, false]);
    expect([fits("!in(a, b)", "b"), fits("! in(a,b)", "c"), fits("!in(a)")]).to.deep.equal([
      false,
      true,
      true,
    ]);
    expect(fits("inside", "inside")).to.equal(true);
  });

  it("wants all labels to match, and says which does not", () => {
    const selector = new LabelSelector({ zone: "a", disk: "!hdd" });
    expect(selector.mismatch({ zone: "a" })).to.equal(undefined);
    expect(selector.mismatch({ zone: "a", disk: "hdd" })).to.equal(
      "wants label disk !hdd, this node has hdd",
    );
    expect(selector.mismatch({})).to.equal("wants label zone a, this node has none");
  });

  it("takes a label's own name only from the node", () => {
    expect(new LabelSelector({ constructor: "!x" }).mismatch({})).to.equal(undefined);
    expect(new LabelSelector({ toString: "x" }).mismatch({})).to.be.a("string");
  });

  it("refuses what it can't read", () => {
    for (const bad of ["", "!", "in()", "in(a,)", "in(a", "a)", "a,b", "!!a", "in(in(a))"]) {
      expect(() => fits(bad), bad).to.throw(InvalidOptionError, "zone");
    }
  });
});
