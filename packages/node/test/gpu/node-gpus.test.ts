import { expect } from "chai";
import { InvalidOptionError } from "@stingray/protocol";
import { planNodes } from "../../src/embedded/options.js";
import { NodeGpus, type FoundGpus, type OfferedGpus } from "../../src/gpu/node-gpus.js";
import { devicesOf, merge, readList, readQuery } from "../../src/gpu/nvidia-smi.js";
import * as recorded from "../fixtures/nvidia-smi.js";

const found = ({ list, query }: recorded.Recorded): FoundGpus =>
  devicesOf(merge(readList(list), readQuery(query)));
const NOBODY: FoundGpus = { devices: undefined, notes: [] };
const all = (gpus: NodeGpus): number[] => Array.from({ length: gpus.count }, (_, place) => place);
/** What a process sees that has all of them, and their numbers. */
const seen = (from: FoundGpus, o: OfferedGpus = {}): [string | undefined, number[]] => {
  const gpus = NodeGpus.of(from, o);
  return [gpus.variable(all(gpus)), gpus.numbers(all(gpus))];
};

describe("the GPUs that a node offers", () => {
  const h200 = found(recorded.h200);

  it("are those of the machine", () => {
    const gpus = NodeGpus.of(h200, {});
    expect([gpus.count, gpus.type]).to.deep.equal([8, "H200"]);
    expect(gpus.variable([5, 2])).to.equal("5,2");
    expect(gpus.variable([])).to.equal("");
    expect(NodeGpus.of(NOBODY, {}).variable([])).to.equal(undefined);
  });

  it("are those that CUDA_VISIBLE_DEVICES leaves, under the numbers and names that it uses", () => {
    expect(seen(h200, { visible: "6, 3" })).to.deep.equal(["6,3", [6, 3]]);
    const names = `${recorded.uuid(4)},${recorded.uuid(1)}`;
    expect(seen(h200, { visible: names })).to.deep.equal([names, [4, 1]]);
    // CUDA takes the beginning of a UUID, and stops at what it does not know.
    expect(seen(h200, { visible: "GPU-00000007,0,99,1" })).to.deep.equal(["GPU-00000007,0", [7, 0]]);
    expect(seen(h200, { visible: "2,2,1" })).to.deep.equal(["2,1", [2, 1]]);
    for (const none of ["", "-1", "NoDevFiles", "-1,0", "none"]) {
      expect(NodeGpus.of(h200, { visible: none }).count, none).to.equal(0);
    }
  });

  it("may be parts of GPUs, which have UUIDs and no numbers", () => {
    const mig = found(recorded.mig);
    const parts = [10, 11, 12].map((n) => recorded.uuid(n, "MIG"));
    expect(seen(mig)).to.deep.equal([[...parts, "2"].join(","), [0, 1, 2, 3]]);
    expect(seen(mig, { visible: parts.slice(1).join(",") })).to.deep.equal([
      parts.slice(1).join(","),
      [0, 1],
    ]);
    expect(seen(mig, { visible: "0,2" })).to.deep.equal([`${parts[0]},2`, [0, 1]]);
  });

  it("are as many as were declared", () => {
    expect(seen(h200, { declared: 2 })).to.deep.equal(["0,1", [0, 1]]);
    expect(seen(h200, { declared: 1, visible: "6,3" })).to.deep.equal(["6", [6]]);
    expect(seen(NOBODY, { declared: 3 })).to.deep.equal(["0,1,2", [0, 1, 2]]);
    expect(seen(NOBODY, { declared: 2, visible: "2,3" })).to.deep.equal(["2,3", [2, 3]]);
    expect(seen(found(recorded.noDevices), { declared: 1, visible: "" })).to.deep.equal(["0", [0]]);
    expect(NodeGpus.of(h200, { declared: 0 }).variable([])).to.equal(undefined);
    const more = NodeGpus.of(found(recorded.rtx4090), { declared: 4 });
    expect([more.count, more.type, more.variable([3])]).to.deep.equal([4, "RTX4090", "3"]);
    expect(more.notes.join()).to.contain("4 GPUs are declared where 1 were found");
    expect(() => NodeGpus.of(h200, { declared: 3, visible: "6,3" }))
      .to.throw(InvalidOptionError, "CUDA_VISIBLE_DEVICES=6,3 leaves 2")
      .with.property("message")
      .that.contains("declare at most");
  });

  it("are shared out among the nodes of one program", () => {
    const parts = [0, 1, 2].map((part) => seen(h200, { share: { part, of: 3, before: 0 } })[1]);
    expect(parts).to.deep.equal([
      [0, 3, 6],
      [1, 4, 7],
      [2, 5],
    ]);
    const declared = [0, 2, 4].map((before, part) =>
      NodeGpus.of(h200, { declared: 2, share: { part, of: 3, before } }).variable([0, 1]),
    );
    expect(declared).to.deep.equal(["0,1", "2,3", "4,5"]);
    // Where there are not enough for all, they are only numbers; still none is given to two.
    const titans = found(recorded.titan); // 2
    const [first, second] = [0, 2].map((before) =>
      NodeGpus.of(titans, { declared: 2, share: { part: 0, of: 1, before } }),
    );
    expect([first?.variable([0, 1]), second?.variable([0, 1])]).to.deep.equal(["0,1", "2,3"]);
    expect(second?.notes.join()).to.contain("4 GPUs are declared where 2 were found").and.contain("from 2");
    expect(() =>
      NodeGpus.of(h200, { declared: 2, visible: "6,3,1", share: { part: 0, of: 1, before: 2 } }),
    ).to.throw(InvalidOptionError, "leaves 1 to this node, as 2 are declared for others");
    expect(seen(NOBODY, { declared: 2, share: { part: 1, of: 2, before: 2 } })[0]).to.equal("0,1");
  });

  it("are planned together: first for the nodes that declare some, the rest for the others", () => {
    const numbers = (nodes: { gpus?: number }[]): number[][] =>
      planNodes({ nodes }, "/").map(
        ({ gpus, gpuShare }) => seen(found(recorded.h200), { declared: gpus, share: gpuShare })[1],
      );
    expect(numbers([{}, { gpus: 2 }, {}, { gpus: 3 }])).to.deep.equal([[5, 7], [0, 1], [6], [2, 3, 4]]);
    expect(numbers([{ gpus: 8 }, {}])).to.deep.equal([[0, 1, 2, 3, 4, 5, 6, 7], []]);
  });

  it("have no type where they are of several", () => {
    const gpus = NodeGpus.of(found(recorded.titan), {});
    expect(gpus.type).to.equal(undefined);
    expect(gpus.notes.join()).to.contain("TITAN RTX, Quadro P4000");
  });
});
