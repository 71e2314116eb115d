/** GPUs: work that needs them is on nodes that have them, and each process sees exactly its own. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import {
  availableResources,
  clusterResources,
  get,
  init,
  kill,
  nodes,
  shutdown,
  type NodeOptions,
} from "stingray";
import { eventually } from "stingray/testing";
import { Looker, look, lookAndPut, stay } from "./fixtures/placement.js";
import { Sandbox } from "./support/sandbox.js";
import { Stage } from "./support/stage.js";

const SMALL = { objectStoreMemory: 64 << 20, logToDriver: false };

/** A cluster inside this program, for the tests of one block. */
function cluster(o: NodeOptions[], prepare: (sandbox: Sandbox) => Record<string, string>): () => string[] {
  let sandbox: Sandbox;
  let leave: () => void;
  let ids: string[] = [];
  before(async () => {
    sandbox = new Sandbox();
    leave = sandbox.enter(prepare(sandbox));
    const { nodeId } = await init({ nodes: o, cpus: 4, ...SMALL });
    const all = await eventually(async () => {
      const seen = (await nodes()).map(({ node }) => node);
      return seen.length === o.length && seen;
    }, "all nodes are there");
    ids = [nodeId ?? "", ...all.filter((id) => id !== nodeId)];
  });
  after(async () => {
    sandbox.look();
    await shutdown();
    await sandbox.nothingRemains();
    leave();
    await sandbox.end();
  });
  return () => ids;
}

const allFree = (): Promise<unknown> =>
  eventually(async () => {
    const [free, all] = [await availableResources(), await clusterResources()];
    return free["GPU"] === all["GPU"] && free["CPU"] === all["CPU"];
  }, "everything is free");

describe("GPUs that are declared", function () {
  this.timeout(30_000);
  // Whatever this machine has: without it, devices are only numbers.
  const ids = cluster([{ gpus: 0 }, { gpus: 3 }], () => ({ CUDA_VISIBLE_DEVICES: "-1" }));
  const withGpus = (): string => ids()[1] ?? "";
  afterEach(allFree);

  it("whole ones are exclusive: each process sees its own, and who comes too late waits", async () => {
    using stage = new Stage();
    const one = stay.options({ gpus: 1 });
    const refs = [1, 2, 3].map(() => one.remote(stage.directory));
    const began = await stage.has(3);
    expect(began.map(({ visible }) => visible)).to.have.members(["0", "1", "2"]);
    for (const { node, gpuIds, visible, resources } of began) {
      expect(node).to.equal(withGpus());
      expect(gpuIds.join()).to.equal(visible);
      expect(resources).to.deep.equal({ CPU: 1, GPU: 1 });
    }
    expect(new Set(began.map(({ pid }) => pid)).size).to.equal(3);
    const late = one.remote(stage.directory);
    await eventually(
      async () => (await nodes()).some(({ pending }) => pending.some(({ shape }) => shape["GPU"] === 1)),
      "the fourth waits",
    );
    expect((await availableResources())["GPU"]).to.equal(0);
    stage.go();
    expect((await get(late)).node).to.equal(withGpus());
    await get(refs);
  });

  it("fractions share one, and leave whole ones to others", async () => {
    using stage = new Stage();
    const [third, most] = [stay.options({ gpus: 1 / 3 }), stay.options({ gpus: 0.7 })];
    const refs = [1, 2].map(() => third.remote(stage.directory));
    const shared = await stage.has(2);
    expect(new Set(shared.map(({ visible }) => visible)).size).to.equal(1);
    expect(new Set(shared.map(({ pid }) => pid)).size, "processes of their own").to.equal(2);
    refs.push(most.remote(stage.directory));
    const second = (await stage.has(3))[2];
    expect(second?.visible).to.not.equal(shared[0]?.visible);
    refs.push(stay.options({ gpus: 1 }).remote(stage.directory));
    const whole = (await stage.has(4))[3];
    expect(new Set([shared[0]?.visible, second?.visible, whole?.visible]).size).to.equal(3);
    expect((await availableResources())["GPU"]).to.be.closeTo(0.6334, 1e-9);
    stage.go();
    await get(refs);
  });

  it("several are seen in one process, by an actor from its constructor on", async () => {
    const two = await get(look.options({ gpus: 2 }).remote());
    expect([two.visible, two.order, two.gpuIds]).to.deep.equal(["0,1", "PCI_BUS_ID", [0, 1]]);
    const actor = Looker.options({ gpus: 2 }).remote();
    const fraction = Looker.options({ gpus: 0.5 }).remote();
    const seen = (await get([actor.look.remote(), fraction.look.remote()])).flat();
    expect(seen.map(({ visible }) => visible)).to.deep.equal(["0,1", "0,1", "2", "2"]);
    for (const { node, gpuIds, visible } of seen)
      expect([node, gpuIds.join()]).to.deep.equal([withGpus(), visible]);
    await Promise.all([kill(actor), kill(fraction)]);
  });

  it("a process stays for what it has put, and others need not wait for its GPUs", async () => {
    const ref = await get(lookAndPut.options({ gpus: 3 }).remote());
    // Another shape, so that it is not given the same lease.
    const other = await get(look.options({ gpus: 3, cpus: 2 }).remote());
    const first = await get(ref);
    expect(first.gpuIds).to.deep.equal(other.gpuIds);
    expect(first.pid).to.not.equal(other.pid);
  });

  it("who has none sees none there, and elsewhere what the node itself sees", async () => {
    const [home = "", other = ""] = ids();
    const there = await get(look.options({ scheduling: { node: other } }).remote());
    expect([there.visible, there.gpuIds]).to.deep.equal(["", []]);
    const here = await get(look.options({ scheduling: { node: home } }).remote());
    expect([here.visible, here.gpuIds]).to.deep.equal(["-1", []]);
  });

  it("libraries use as many threads as there are CPUs, unless the user has said how many", async () => {
    const threads = async (cpus: number, envVars: Record<string, string> = {}): Promise<string | null> =>
      (await get(look.options({ cpus, runtimeEnv: { envVars } }).remote())).threads;
    const given = process.env["OMP_NUM_THREADS"];
    for (const [cpus, wanted] of [
      [1, "1"],
      [3, "3"],
      [0.5, "1"],
      [2.9, "2"],
    ] as const)
      expect(await threads(cpus)).to.equal(given ?? wanted);
    expect(await threads(2, { OMP_NUM_THREADS: "7" })).to.equal("7");
  });
});

describe("GPUs that are found", function () {
  this.timeout(30_000);
  /** A machine with eight, of which the program was given two. */
  cluster([{ labels: { zone: "z" } }], (sandbox) => {
    const bin = join(sandbox.directory, "bin");
    mkdirSync(bin);
    const list = Array.from({ length: 8 }, (_, n) => `GPU ${n}: NVIDIA H200 (UUID: GPU-0000000${n}-aaaa)`);
    const query = list.map((_, n) => `${n}, GPU-0000000${n}-aaaa, NVIDIA H200, Disabled`);
    const script = `#!/bin/sh\nif [ "$1" = -L ]; then echo '${list.join("\n")}'; else echo '${query.join("\n")}'; fi\n`;
    writeFileSync(join(bin, "nvidia-smi"), script);
    chmodSync(join(bin, "nvidia-smi"), 0o755);
    return { PATH: `${bin}:${process.env["PATH"] ?? ""}`, CUDA_VISIBLE_DEVICES: "6,GPU-00000003" };
  });

  it("are counted, named, and given out under the names that the program was given", async () => {
    const [node] = await nodes();
    expect(node?.total["GPU"]).to.equal(2);
    expect(node?.labels).to.deep.equal({ "accelerator-type": "H200", zone: "z" });
    using stage = new Stage();
    const one = stay.options({ gpus: 1, labels: { "accelerator-type": "in(H100, H200)" } });
    const refs = [1, 2].map(() => one.remote(stage.directory));
    const began = await stage.has(2);
    const seen = began.map(({ visible, gpuIds }) => [visible, gpuIds]);
    expect(seen).to.have.deep.members([
      ["6", [6]],
      ["GPU-00000003", [3]],
    ]);
    stage.go();
    await get(refs);
    const none = await get(look.remote());
    expect([none.visible, none.gpuIds]).to.deep.equal(["", []]);
  });
});
