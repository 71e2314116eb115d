import { expect } from "chai";
import { InvalidOptionError } from "@stingray/protocol";
import { parseOptions } from "../src/options.js";

describe("the command line of the benchmark", () => {
  it("has Ray's method as its default", () => {
    expect(parseOptions(["micro"])).to.include({ suite: "micro", rounds: 4, seconds: 2, links: "auto" });
    expect(parseOptions([])).to.deep.include({ suite: "micro", vs: [], small: false });
  });

  it("takes what the help says", () => {
    const options = parseOptions(
      "micro --json out.json --vs ray --rounds 2 --seconds 0.5 --only actor --links nats --no-floors".split(
        " ",
      ),
    );
    expect(options).to.deep.include({ json: "out.json", vs: ["ray"], rounds: 2, seconds: 0.5 });
    expect(options).to.include({ only: "actor", links: "nats", floors: false });
  });

  it("has a suite for objects, at full size unless small ones are asked for", () => {
    expect(parseOptions(["objects"])).to.include({ suite: "objects", rounds: 4, seconds: 2, small: false });
    expect(parseOptions(["objects", "--small", "--only", "get"])).to.include({ small: true, only: "get" });
  });

  it("has a suite for clusters of several sizes, the smallest first", () => {
    const full = parseOptions(["scale"]);
    expect(full).to.deep.include({ suite: "scale", rounds: 1, nodes: [100, 300, 1000] });
    expect(full).to.include({ requests: 100_000, rate: 500 });
    expect(parseOptions("scale --nodes 300,20,300 --requests 9 --rate 2.5".split(" "))).to.deep.include({
      nodes: [20, 300],
      requests: 9,
      rate: 2.5,
    });
    expect(parseOptions(["actors", "--small"])).to.include({ suite: "actors", rounds: 4, small: true });
    expect(parseOptions(["scale", "--small"])).to.deep.include({ nodes: [12], requests: 300 });
  });

  const elsewhere = ["scale --vs ray", "micro --nodes 100", "objects --rate 3"];
  const few = ["scale --nodes 4", "scale --nodes 100,x", "scale --requests 1.5"];
  for (const wrong of ["objects --vs ray", "micro --small", "dask", "micro objects", ...elsewhere, ...few]) {
    it(`refuses ${wrong}`, () => {
      expect(() => parseOptions(wrong.split(" "))).to.throw(InvalidOptionError);
    });
  }

  for (const wrong of ["--vs dask", "--links tcp", "--rounds 0", "--rounds 1.5", "--seconds x", "--nope"]) {
    it(`refuses ${wrong}`, () => {
      expect(() => parseOptions(["micro", ...wrong.split(" ")])).to.throw(InvalidOptionError);
    });
  }
});
