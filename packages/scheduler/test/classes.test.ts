import { expect } from "chai";
import type { Shape } from "@stingray/protocol";
import { callClass, classesNeeded, classesOf } from "../src/mod.js";

describe("resource classes", () => {
  it("of a node are what it owns some of, with what is free of it", () => {
    const total = { CPU: 4, memory: 1e9, GPU: 2, special: 1, none: 0 };
    const labels = { "accelerator-type": "H200", zone: "a" };
    expect([...classesOf(total, labels)]).to.deep.equal([
      ["cpu", 4],
      ["gpu", 2],
      ["gpu:H200", 2],
      ["r:special", 1],
    ]);
    const free = classesOf(total, labels, { CPU: 0, memory: 5, GPU: 0.5, special: -1 });
    expect(Object.fromEntries(free)).to.deep.equal({ cpu: 0, gpu: 0.5, "gpu:H200": 0.5, "r:special": 0 });
    expect([...classesOf({ CPU: 1 }, labels).keys()]).to.deep.equal(["cpu"]);
  });

  it("of a request are the scarce ones", () => {
    const needed = (resources: Record<string, number>, o: Partial<Shape> = {}): string[] =>
      classesNeeded({ resources, ...o });
    expect(needed({})).to.deep.equal(["cpu"]);
    expect(needed({ CPU: 2, memory: 100 })).to.deep.equal(["cpu"]);
    expect(needed({ CPU: 2, GPU: 1 })).to.deep.equal(["gpu"]);
    expect(needed({ CPU: 2, GPU: 0, a: 1, b: 1 })).to.deep.equal(["r:a", "r:b"]);
    expect(needed({ GPU: 1 }, { labels: { "accelerator-type": "H200" } })).to.deep.equal(["gpu:H200"]);
    expect(needed({ GPU: 1 }, { labels: { "accelerator-type": "!H200" } })).to.deep.equal(["gpu"]);
  });

  it("can be called by where one subject reaches only nodes that have it all", () => {
    const cases: [Shape, string | undefined][] = [
      [{ resources: { CPU: 1 } }, "cpu"],
      [{ resources: { CPU: 1, GPU: 1 } }, "gpu"],
      [{ resources: { GPU: 1 }, labels: { "accelerator-type": "H200" } }, "gpu:H200"],
      [{ resources: { GPU: 1 }, labels: { "accelerator-type": "in(H200, L4)" } }, undefined],
      [{ resources: { GPU: 1 }, labels: { "accelerator-type": "H200", zone: "a" } }, undefined],
      [{ resources: { CPU: 1 }, labels: { "accelerator-type": "H200" } }, undefined],
      [{ resources: { GPU: 1, special: 1 } }, undefined],
      [{ resources: { CPU: 1 }, scheduling: { kind: "node", node: "n1", soft: true } }, undefined],
      [
        { resources: { CPU: 1 }, scheduling: { kind: "group", group: "b1", bundle: -1, capture: false } },
        undefined,
      ],
      [{ resources: { special: 1 }, scheduling: { kind: "spread" } }, "r:special"],
    ];
    for (const [shape, name] of cases) expect(callClass(shape), JSON.stringify(shape)).to.equal(name);
  });
});
