/** Shares of jobs that compete: by what they hold, whatever they ask for and wherever they ask. */
import { newDriverId, newJobId, type Shape } from "@stingray/protocol";
import { expect } from "chai";
import { settle } from "./support/clock.js";
import { Submitter } from "./support/submitter.js";
import { World, type SimNode } from "./support/world.js";

const FLOOD = 10_000_000;
const cpu: Shape = { resources: { CPU: 1 } };

describe("shares of jobs", () => {
  let world: World;

  beforeEach(() => {
    world = new World(7);
    world.latencyMs = 2;
  });
  afterEach(async () => {
    world.stop();
    await settle();
  });

  async function start(...cpus: number[]): Promise<SimNode[]> {
    const nodes = cpus.map((CPU) => world.node({ total: { CPU } }));
    for (const node of nodes) node.heartbeat(1000);
    await world.clock.advance(10);
    return nodes;
  }

  /** CPU time that each of them got in this time, as shares of all that they got. */
  async function sharesOver(ms: number, groups: Submitter[][]): Promise<number[]> {
    const used = (): number[] =>
      groups.map((group) =>
        group.reduce((sum, s) => sum + s.done * s.taskMs * (s.shape.resources["CPU"] ?? 0), 0),
      );
    const before = used();
    await world.clock.advance(ms);
    const got = used().map((time, i) => time - (before[i] ?? 0));
    const all = got.reduce((a, b) => a + b, 0);
    return got.map((time) => time / all);
  }

  function flood(
    job: ReturnType<typeof newJobId>,
    home: SimNode | undefined,
    shape = cpu,
    ms = 10,
  ): Submitter {
    if (home === undefined) throw new Error("no such node");
    const s = new Submitter(world, home, job, shape, ms);
    s.submit(FLOOD);
    return s;
  }

  it("are equal on one node, whatever the number of submitters", async () => {
    const [node] = await start(4);
    const [a, b] = [newJobId(), newJobId()];
    const many = Array.from({ length: 5 }, () => flood(a, node));
    await world.clock.advance(1_000);
    const one = [flood(b, node)];
    await world.clock.advance(1_000);
    const [first] = await sharesOver(10_000, [many, one]);
    expect(first).to.be.within(0.45, 0.55);
  });

  it("are equal where one lease more or less would tip the balance", async () => {
    const [node] = await start(3);
    const groups = [[flood(newJobId(), node)], [flood(newJobId(), node)]];
    await world.clock.advance(1_000);
    const [first] = await sharesOver(20_000, groups);
    expect(first).to.be.within(0.45, 0.55);
  });

  it("are of resources, not of leases", async () => {
    const [node] = await start(8);
    const groups = [[flood(newJobId(), node, { resources: { CPU: 2 } })], [flood(newJobId(), node)]];
    await world.clock.advance(1_000);
    const [first] = await sharesOver(10_000, groups);
    expect(first).to.be.within(0.43, 0.57);
  });

  it("are equal over several nodes, whichever each asks first", async () => {
    for (const home of [0, 1]) {
      const nodes = await start(4, 4, 4);
      const early = [flood(newJobId(), nodes[0])];
      await world.clock.advance(1_000);
      const late = [flood(newJobId(), nodes[home])];
      await world.clock.advance(8_000);
      const [first] = await sharesOver(10_000, [early, late]);
      expect(first, `home ${home}`).to.be.within(0.4, 0.6);
      world.stop();
      await settle();
      world = new World(8);
      world.latencyMs = 2;
    }
  });

  it("take no whole GPU from who waits for one because of halves that are free on two", async () => {
    const node = world.node({ total: { CPU: 8, GPU: 2 } });
    const halves = new Submitter(world, node, newJobId(), { resources: { GPU: 0.5 } }, FLOOD);
    halves.submit(4);
    await world.clock.until("all in use", () => halves.leases.size === 4);
    const leases = node.scheduler.snapshot().leases;
    for (const gpu of [0, 1]) {
      const one = leases.find(({ gpus }) => gpus[0] === gpu);
      if (one !== undefined) node.scheduler.returned(one.lease, true);
    }
    await world.clock.advance(5); // their processes end
    const whole = new Submitter(world, node, newJobId(), { resources: { GPU: 1 } }, 10);
    whole.submit(1);
    await world.clock.advance(200);
    const states = node.scheduler.snapshot().leases.map(({ state }) => state);
    expect(states.toSorted()).to.deep.equal(["held", "revoking"]);
  });

  it("don't make a node tell of room that is of no use, over and over", async () => {
    const [home, node] = [world.node({ total: { CPU: 1 } }), world.node({ total: { CPU: 8, GPU: 2 } })];
    const halves = new Submitter(world, node, newJobId(), { resources: { GPU: 0.5 } }, FLOOD);
    halves.submit(4);
    await world.clock.until("all in use", () => halves.leases.size === 4);
    const leases = node.scheduler.snapshot().leases;
    for (const gpu of [0, 1]) {
      const one = leases.find(({ gpus }) => gpus[0] === gpu);
      if (one !== undefined) node.scheduler.returned(one.lease, true);
    }
    await world.clock.advance(5); // their processes end
    const offer = {
      submitter: newDriverId(),
      job: newJobId(),
      key: "k",
      shape: { resources: { GPU: 1 } },
      count: 1,
      askerNode: home.node,
    };
    expect(node.scheduler.offered(offer).granted).to.equal(0);
    expect([...node.scheduler.invitations()]).to.deep.equal([]);
    const last = node.scheduler.snapshot().leases[0];
    if (last !== undefined) node.scheduler.returned(last.lease, true);
    await world.clock.advance(5);
    expect([...node.scheduler.invitations()]).to.deep.equal([home.node]);
    expect(node.scheduler.offered(offer).granted).to.equal(1);
  });

  it("don't count between priorities: the higher gets all that it asks for, wherever it asks", async () => {
    const nodes = await start(2, 2);
    const low = [flood(newJobId(), nodes[0])];
    await world.clock.advance(1_000);
    const high = [flood(newJobId(), nodes[1], { ...cpu, priority: 1 })];
    await world.clock.advance(6_000);
    const [share] = await sharesOver(5_000, [high, low]);
    expect(share).to.be.greaterThan(0.95);
    for (const s of high) {
      s.todo = 0;
      s.demand();
    }
    await world.clock.advance(1_000);
    const [rest] = await sharesOver(2_000, [low]);
    expect(rest).to.equal(1);
    expect(low[0]?.leases.size).to.equal(4);
  });
});
