/** What a running node has can be changed, and memory is a resource like others. */
import { expect } from "chai";
import {
  InvalidArgumentError,
  InvalidOptionError,
  availableResources,
  clusterResources,
  get,
  init,
  nodes,
  setResource,
  shutdown,
  type NodeView,
} from "stingray";
import { eventually } from "stingray/testing";
import { look, stay } from "./fixtures/placement.js";
import { refused } from "./support/bad-use.js";
import { Sandbox } from "./support/sandbox.js";
import { Stage } from "./support/stage.js";

const MIB = 1 << 20;

describe("resources of a running node", function () {
  this.timeout(30_000);
  let sandbox: Sandbox;
  let leave: () => void;
  let home: string;
  let other: string;
  before(async () => {
    sandbox = new Sandbox();
    leave = sandbox.enter({ CUDA_VISIBLE_DEVICES: "-1" }); // GPUs are only numbers here
    const size = { cpus: 2, memory: 1_000 * MIB, objectStoreMemory: 64 * MIB };
    const { nodeId } = await init({ nodes: [{ gpus: 2 }, { gpus: 0 }], ...size, logToDriver: false });
    const ids = await eventually(async () => {
      const seen = await nodes();
      return seen.length === 2 && seen.map(({ node }) => node);
    }, "two nodes");
    home = nodeId ?? "";
    other = ids.find((id) => id !== home) ?? "";
  });
  after(async () => {
    sandbox.look();
    await shutdown();
    await sandbox.nothingRemains();
    leave();
    await sandbox.end();
  });

  const view = async (node: string): Promise<NodeView> => {
    const found = (await nodes()).find((one) => one.node === node);
    if (found === undefined) throw new Error(`node ${node} is not there`);
    return found;
  };
  /** The amount that all nodes together are seen to have. */
  const sees = (name: string, amount: number | undefined): Promise<boolean> =>
    eventually(async () => {
      const now = (await clusterResources())[name];
      if (now !== amount) throw new Error(`${now} ${name}`);
      return true;
    }, `${amount} ${name}`);

  it("has what waits run, here and on another node, once there is enough", async () => {
    for (const node of [home, other]) {
      const waits = look.options({ resources: { special: 0.5 } }).remote();
      const reason = await eventually(
        async () => (await view(home)).pending.find(({ shape }) => shape["special"] === 0.5)?.reason ?? "",
        "it is seen to wait",
      );
      expect(reason).to.contain("special");
      await setResource("special", 0.4999, { node });
      await sees("special", 0.4999);
      await setResource("special", 0.5, node === home ? {} : { node });
      const ran = await get(waits, { timeoutMs: 10_000 });
      expect([ran.node, ran.resources]).to.deep.equal([node, { CPU: 1, special: 0.5 }]);
      await setResource("special", 0, { node });
      await sees("special", undefined);
    }
  });

  it("leaves what is in use in use, and gives no more until enough has come back", async () => {
    using stage = new Stage();
    await setResource("seat", 3, { node: other });
    await sees("seat", 3);
    const taker = stay.options({ cpus: 0, resources: { seat: 1 } });
    const first = [1, 2, 3].map((n) => taker.remote(stage.directory, `end${n}`));
    await stage.has(3);
    await setResource("seat", 1, { node: other });
    await eventually(async () => (await view(other)).total["seat"] === 1, "one seat");
    expect((await view(other)).available["seat"]).to.equal(0);
    const next = taker.remote(stage.directory, "end4");
    stage.go("end1");
    stage.go("end2");
    await get(first.slice(0, 2));
    // The third still sits on the last seat; nothing may have begun in its place.
    await eventually(
      async () => (await view(home)).pending.some(({ shape }) => shape["seat"] === 1),
      "the fourth waits",
    );
    expect(stage.began()).to.have.length(3);
    stage.go("end3");
    await stage.has(4);
    stage.go("end4");
    await get(next);
    await setResource("seat", 0, { node: other });
    await sees("seat", undefined);
  });

  it("is refused for what makes no sense, and for GPUs that the node does not know", async () => {
    for (const [amount, text] of [
      [-1, /amount/],
      [NaN, /amount/],
      [Infinity, /amount/],
      [1e12, /10\^11/],
    ] as const)
      await refused(setResource("special", amount), InvalidOptionError, [text], 5_000);
    for (const name of ["", " x", "a\nb", "x".repeat(200)])
      await refused(setResource(name, 1), InvalidOptionError, [/name/], 5_000);
    await refused(setResource("GPU", 3), InvalidOptionError, [home, /began with 2 GPUs/, /--gpus/], 5_000);
    await refused(setResource("GPU", 1.5), InvalidOptionError, [/whole/], 5_000);
    await refused(
      setResource("special", 1, { node: "n000000000000" }),
      InvalidArgumentError,
      [/no live node/, /nodes\(\)/],
      5_000,
    );
    const wrong = { nodes: other } as { node?: string };
    await refused(setResource("special", 1, wrong), InvalidOptionError, [/node/], 5_000);
    await setResource("GPU", 1);
    await sees("GPU", 1);
    await setResource("GPU", 2);
    await sees("GPU", 2);
    expect(await clusterResources()).to.not.have.property("special");
  });

  it("is done by the command, too", async () => {
    const set = sandbox.stingray(["resources", "set", other, "licence=2", "CPU=3", "memory=2GiB"]);
    await set.succeeds();
    expect(set.stdout).to.match(new RegExp(`Node ${other} has 2 licence. Free/total: .*2/2 licence`));
    await sees("CPU", 5);
    expect((await view(other)).total).to.deep.equal({ CPU: 3, memory: 2048 * MIB, licence: 2 });
    const status = sandbox.stingray(["status"]);
    await status.succeeds();
    expect(status.stdout).to.contain("3/3 CPU, 2 GiB/2 GiB memory, 2/2 licence");
    await sandbox.stingray(["resources", "remove", other, "licence"]).succeeds();
    await sandbox.stingray(["resources", "set", other, "CPU=2", `memory=${1_000 * MIB}`]).succeeds();
    await sees("licence", undefined);
    const wrong = [
      { args: ["set", other, "licence"], code: 2, says: /no amount of a resource/ },
      { args: ["set", other, "licence=many"], code: 2, says: /licence.*many/ },
      { args: ["set", other, "a=1", "a=2"], code: 2, says: /twice/ },
      { args: ["set", "mine", "a=1"], code: 2, says: /no id of a node/ },
      { args: ["set", "n000000000000", "a=1"], code: 1, says: /no live node.*there are/ },
      { args: ["set", home, "GPU=8"], code: 2, says: /began with 2 GPUs/ },
      { args: ["set", other], code: 2, says: /argument/ },
    ];
    const check = async ({ args, code, says }: (typeof wrong)[number]): Promise<void> => {
      const program = sandbox.stingray(["resources", ...args]);
      expect((await program.ended()).code, args.join(" ")).to.equal(code);
      expect(program.stderr).to.match(says);
    };
    await Promise.all(wrong.map(check));
  });

  it("memory is counted: tasks run as far as it goes", async () => {
    using stage = new Stage();
    const large = stay.options({ cpus: 0, memory: 400 * MIB });
    const all = Array.from({ length: 5 }, () => large.remote(stage.directory));
    // Two fit on each node, with 200 MiB to spare that are not enough.
    const began = await stage.has(4);
    const on = (node: string): number => began.filter((one) => one.node === node).length;
    expect([on(home), on(other)]).to.deep.equal([2, 2]);
    await eventually(async () => (await availableResources())["memory"] === 400 * MIB, "400 MiB are free");
    const small = await get(look.options({ cpus: 0, memory: 200 * MIB }).remote(), { timeoutMs: 10_000 });
    expect(small.resources).to.deep.equal({ memory: 200 * MIB });
    expect(stage.began()).to.have.length(4);
    stage.go();
    await get(all);
    await eventually(
      async () => (await availableResources())["memory"] === (await clusterResources())["memory"],
      "all of it is free again",
    );
  });
});
