import { expect } from "chai";
import type { GpuDevice } from "../../src/gpu/device.js";
import { devicesOf, merge, readList, readQuery } from "../../src/gpu/nvidia-smi.js";
import { acceleratorType, commonType } from "../../src/gpu/type.js";
import * as recorded from "../fixtures/nvidia-smi.js";

const read = ({ list, query }: recorded.Recorded): { devices: GpuDevice[]; notes: string[] } =>
  devicesOf(merge(readList(list), readQuery(query)));
const entries = (r: recorded.Recorded): string[] => read(r).devices.map(({ entry }) => entry);

describe("what nvidia-smi prints", () => {
  const plain: [string, recorded.Recorded, number, string | undefined][] = [
    ["one GPU, driver 390", recorded.gtx1080, 1, "GTX1080Ti"],
    ["two of different types, driver 440", recorded.titan, 2, undefined],
    ["eight, driver 460", recorded.v100, 8, "V100"],
    ["eight, driver 550", recorded.h200, 8, "H200"],
    ["a GeForce", recorded.rtx4090, 1, "RTX4090"],
  ];
  for (const [what, text, count, type] of plain) {
    it(`${what}: numbers, and nothing to remark`, () => {
      const { devices, notes } = read(text);
      expect(devices.map(({ entry }) => entry)).to.deep.equal(
        Array.from({ length: count }, (_, n) => `${n}`),
      );
      expect(devices.map(({ uuid }) => uuid)).to.deep.equal(devices.map((_, n) => recorded.uuid(n)));
      expect(commonType(devices)).to.equal(type);
      expect(notes).to.deep.equal([]);
    });
  }

  it("each part of a divided GPU is one, a GPU that is to be divided and is not is none", () => {
    const { devices, notes } = read(recorded.mig);
    const parts = [10, 11, 12].map((n) => recorded.uuid(n, "MIG"));
    expect(devices.map(({ entry }) => entry)).to.deep.equal([...parts, "2"]);
    expect(devices.map(({ mig }) => mig)).to.deep.equal([...parts, undefined]);
    expect(notes).to.have.length(1);
    expect(notes[0]).to.match(/GPU 1 .*MIG mode.*no instances/);
    expect(commonType(devices)).to.equal("A100");
  });

  it("parts had longer names once", () => {
    expect(entries(recorded.oldMig)).to.deep.equal([7, 1].map((n) => `MIG-${recorded.uuid(0)}/${n}/0`));
  });

  it("warnings before or after the data are no data", () => {
    const { devices, notes } = read(recorded.damagedRom);
    expect(devices.map(({ entry }) => entry)).to.deep.equal(["0", "1"]);
    expect(notes).to.have.length(1);
    expect(notes[0]).to.contain("infoROM");
  });

  it("where a GPU is lost, the others are named by UUID, since numbers may have moved", () => {
    const { devices, notes } = read(recorded.lost);
    expect(devices.map(({ entry }) => entry)).to.deep.equal([0, 2].map((n) => recorded.uuid(n)));
    expect(notes).to.have.length(1);
    expect(commonType(devices)).to.equal("A6000");
  });

  for (const [what, text] of [
    ["no driver", recorded.noDriver],
    ["a driver of another version", recorded.mismatch],
    ["no devices", recorded.noDevices],
    ["nothing at all", { list: "", query: "" }],
    ["noise", { list: "\u0000\u001b[31mGPU x: (UUID: )\nGPU 0:\n", query: "0, GPU-1\n,,,\n" }],
  ] as const) {
    it(`${what}: no GPU`, () => expect(read(text).devices).to.deep.equal([]));
  }

  it("either answer does without the other", () => {
    const half = { list: recorded.h200.list, query: "" };
    expect(entries(half)).to.deep.equal(entries(recorded.h200));
    expect(entries({ list: "", query: recorded.h200.query })).to.deep.equal(entries(recorded.h200));
  });

  it("names of types are short and stable", () => {
    const types: Record<string, string | undefined> = {
      "NVIDIA A100-SXM4-80GB": "A100",
      "NVIDIA A100 80GB PCIe": "A100",
      "NVIDIA H100 80GB HBM3": "H100",
      "NVIDIA H200": "H200",
      "NVIDIA GH200 480GB": "GH200",
      "NVIDIA A10G": "A10G",
      "NVIDIA L40S": "L40S",
      "Tesla T4": "T4",
      "Tesla V100-SXM2-16GB": "V100",
      "Tesla K80": "K80",
      "NVIDIA GeForce RTX 2080 Ti": "RTX2080Ti",
      "NVIDIA GeForce RTX 4070 SUPER": "RTX4070SUPER",
      "NVIDIA GeForce RTX 4070 Laptop GPU": "RTX4070Laptop",
      "GeForce GTX 960M": "GTX960M",
      "NVIDIA RTX A6000": "A6000",
      "NVIDIA RTX 6000 Ada Generation": "RTX6000Ada",
      "NVIDIA RTX PRO 6000 Blackwell Server Edition": "RTXPRO6000",
      "Quadro P4000": "P4000",
      "NVIDIA TITAN X (Pascal)": "TITANX",
      "GRID V100D-8Q": "V100D",
      "NVIDIA Graphics Device": undefined,
      "": undefined,
    };
    for (const [name, type] of Object.entries(types)) expect(acceleratorType(name), name).to.equal(type);
  });
});
