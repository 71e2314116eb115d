import { expect } from "chai";
import { newDriverId, newJobId, RuntimeEnvError, UnschedulableError, type Shape } from "@stingray/protocol";
import { Submitter } from "./support/submitter.js";
import { World, type SimNode } from "./support/world.js";

const cpu: Shape = { resources: { CPU: 1 } };
const nodesOf = (s: Submitter): Map<SimNode, number> => {
  const counts = new Map<SimNode, number>();
  for (const { grant } of s.leases.values()) counts.set(grant.node, (counts.get(grant.node) ?? 0) + 1);
  return counts;
};

describe("LeaseSchedulers of several nodes", () => {
  let world: World;
  beforeEach(() => {
    world = new World(5);
    world.latencyMs = 2;
  });
  afterEach(() => world.stop());
  const start = async (nodes: SimNode[]): Promise<void> => {
    for (const node of nodes) node.heartbeat(1000);
    await world.clock.advance(100);
  };

  it("uses the local node first and the others for the rest", async () => {
    const nodes = [1, 2, 3].map(() => world.node({ total: { CPU: 2 } }));
    await start(nodes);
    const s = new Submitter(world, nodes[0] as SimNode, newJobId(), cpu, 1000);
    s.submit(2);
    await world.clock.advance(50);
    expect([...nodesOf(s).keys()]).to.deep.equal([nodes[0]]);
    s.submit(10);
    await world.clock.advance(200);
    expect([...nodesOf(s).values()]).to.deep.equal([2, 2, 2]);
    await world.clock.until("all done", () => s.done === 12);
  });

  it("serves a demand that is said again while leases are on their way at once, and gives no lease twice", async () => {
    const home = world.node({ total: { x: 1 } });
    world.node({ total: { CPU: 64 } });
    await start(world.nodes);
    const [submitter, job] = [newDriverId(), newJobId()];
    const waiting: number[] = [];
    let [got, surplus, longest] = [0, 0, 0];
    world.listeners.set(submitter, {
      granted: ({ node, lease }) => {
        got++;
        const since = waiting.shift();
        if (since === undefined) surplus++;
        else longest = Math.max(longest, world.clock.now() - since);
        world.clock.defer(20, () => node.scheduler.returned(lease, true));
      },
    });
    for (let i = 0; i < 200; i++) {
      waiting.push(world.clock.now());
      const demand = { submitter, job, key: "k", shape: cpu, want: waiting.length, got };
      world.clock.defer(1, () => home.scheduler.demand({ submitterNode: home.node, ...demand }));
      await world.clock.advance(world.random() * 4);
    }
    await world.clock.advance(50);
    expect([waiting.length, got, surplus]).to.deep.equal([0, 200, 0]);
    expect(longest).to.be.below(4 * world.latencyMs + 1);
  });

  it("spreads when asked to", async () => {
    const nodes = [1, 2, 3].map(() => world.node({ total: { CPU: 4 } }));
    await start(nodes);
    const shape: Shape = { ...cpu, scheduling: { kind: "spread" } };
    const s = new Submitter(world, nodes[0] as SimNode, newJobId(), shape, 1000);
    s.submit(6);
    await world.clock.advance(200);
    expect([...nodesOf(s).values()]).to.deep.equal([2, 2, 2]);
  });

  it("says what is coming, so that workers that are there first leave tasks for those that start slowly", async () => {
    world.startMs = 1000;
    const nodes = [1, 2].map(() => world.node({ total: { CPU: 2 } }));
    await start(nodes);
    const shape: Shape = { ...cpu, scheduling: { kind: "spread" } };
    for (let round = 1; round <= 10; round++) {
      // A tenth of what a worker takes to start: without a word of the others the first one would run it all.
      const s = new Submitter(world, nodes[0] as SimNode, newJobId(), shape, 50);
      s.submit(4);
      await world.clock.until("all done", () => s.done === 4);
      expect([...s.ran.values()], `round ${round}`).to.deep.equal([2, 2]);
      expect(s.coming.size).to.equal(0);
      await world.clock.advance(200);
    }
  });

  it("takes back what was announced of a node that refuses or dies", async () => {
    world.startMs = 500;
    const [home, other] = [world.node({ total: { CPU: 1 } }), world.node({ total: { CPU: 1 } })];
    await start(world.nodes);
    const shape: Shape = { ...cpu, scheduling: { kind: "spread" } };
    // It fills up before its next bid says so.
    const holder = new Submitter(world, other, newJobId(), cpu, 60_000);
    holder.submit(1);
    await world.clock.until("the other node is full", () => holder.leases.size === 1);
    const stale = {
      agent: other.agent,
      node: other.node,
      labels: {},
      queued: 0,
      idleWorkers: 0,
    };
    home.view.update(
      { ...stale, available: { CPU: 1 }, total: { CPU: 1 }, draining: false, sequence: 1_000 },
      world.clock.now(),
    );
    const refused = new Submitter(world, home, newJobId(), shape, 10);
    refused.submit(2);
    await world.clock.until("done at home", () => refused.done === 2, 5_000);
    expect([...refused.ran]).to.deep.equal([[home, 2]]);
    expect(refused.coming.size).to.equal(0);
    holder.die();
    const third = world.node({ total: { CPU: 1 } });
    third.heartbeat(1000);
    other.die();
    await world.clock.advance(100);
    const orphan = new Submitter(world, home, newJobId(), shape, 10);
    orphan.submit(2);
    await world.clock.until("promised", () => third.scheduler.snapshot().leases.length === 1, 1_000);
    await world.clock.advance(10);
    third.die();
    await world.clock.until("done at home", () => orphan.done === 2, 5_000);
    expect([...orphan.ran]).to.deep.equal([[home, 2]]);
    expect(orphan.coming.size).to.equal(0);
  });

  it("goes to the node with the resource, the label, or the name", async () => {
    const plain = world.node({ total: { CPU: 4 } });
    const gpu = world.node({ total: { CPU: 1, GPU: 1 } });
    const west = world.node({ total: { CPU: 1 }, labels: { zone: "west" } });
    await start(world.nodes);
    const wants: [Shape, SimNode][] = [
      [{ resources: { GPU: 0.5 } }, gpu],
      [{ resources: { CPU: 0.5 }, labels: { zone: "in(west, east)" } }, west],
      [{ resources: { CPU: 0.5 }, scheduling: { kind: "node", node: west.node, soft: false } }, west],
      [{ resources: { CPU: 0.5 }, scheduling: { kind: "node", node: gpu.node, soft: true } }, gpu],
    ];
    for (const [shape, node] of wants) {
      const s = new Submitter(world, plain, newJobId(), shape, 100);
      s.submit(1);
      await world.clock.until("granted", () => s.leases.size === 1, 1000);
      expect([...nodesOf(s).keys()]).to.deep.equal([node]);
      await world.clock.until("done", () => s.done === 1);
    }
  });

  it("does not storm full nodes, and is served as soon as there is room", async () => {
    const [home, other] = [world.node({ total: { CPU: 1 } }), world.node({ total: { CPU: 1, x: 1 } })];
    await start(world.nodes);
    const holder = new Submitter(world, other, newJobId(), { resources: { x: 1 } }, 5000);
    holder.submit(1);
    await world.clock.advance(50);
    const waiting = new Submitter(world, home, newJobId(), { resources: { x: 1 } }, 10);
    waiting.submit(5);
    await world.clock.advance(4000);
    expect(world.offers).to.be.at.most(6);
    await world.clock.until("served", () => waiting.done === 5, 2500);
  });

  it("gets its share of a node that another submitter holds", async () => {
    const [home, other] = [world.node({ total: { CPU: 1 } }), world.node({ total: { x: 1 } })];
    await start(world.nodes);
    const shape: Shape = { resources: { x: 1 } };
    const greedy = new Submitter(world, home, newJobId(), shape, 10);
    greedy.submit(1_000_000);
    await world.clock.advance(500);
    expect([...nodesOf(greedy).keys()]).to.deep.equal([other]);
    const late = new Submitter(world, home, newJobId(), shape, 10);
    late.submit(100_000);
    await world.clock.advance(10_000);
    expect(late.done).to.be.greaterThan(100);
    expect(greedy.done).to.be.greaterThan(100);
  });

  it("waits for a node that can run it to join", async () => {
    const home = world.node({ total: { CPU: 1 } });
    await start([home]);
    const s = new Submitter(world, home, newJobId(), { resources: { GPU: 1 } }, 10);
    s.submit(2);
    await world.clock.advance(5000);
    expect(s.reasons).to.have.length(1);
    const gpu = world.node({ total: { GPU: 1 } });
    gpu.heartbeat(1000);
    await world.clock.until("done", () => s.done === 2, 2000);
  });

  it("asks again for what a node promised and then died", async () => {
    world.startMs = 500;
    const [home, a] = [world.node({ total: { CPU: 1 } }), world.node({ total: { x: 1 } })];
    await start(world.nodes);
    const s = new Submitter(world, home, newJobId(), { resources: { x: 1 } }, 10);
    s.submit(1);
    await world.clock.until("promised", () => a.scheduler.snapshot().leases.length === 1, 1000);
    await world.clock.advance(10);
    a.die();
    await world.clock.advance(100);
    const b = world.node({ total: { x: 1 } });
    b.heartbeat(1000);
    await world.clock.until("done elsewhere", () => s.done === 1, 5000);
  });

  it("goes on elsewhere when a node can't start workers, which is left alone for a while", async () => {
    const [home, bad] = [world.node({ total: { CPU: 2 } }), world.node({ total: { CPU: 8 } })];
    bad.failStart = new RuntimeEnvError("no such directory");
    await start(world.nodes);
    const s = new Submitter(world, home, newJobId(), cpu, 100);
    s.submit(60);
    await world.clock.until("done at home", () => s.done === 60, 10_000);
    expect(s.failures).to.deep.equal([]);
    expect(s.failedThere, "it is tried again now and then").to.be.within(1, 3);
    expect(s.ran).to.deep.equal(new Map([[home, 60]]));

    bad.failStart = undefined;
    await world.clock.advance(6_000);
    s.submit(40);
    await world.clock.until("done at both", () => s.done === 100, 5_000);
    expect(s.ran.get(bad) ?? 0).to.be.greaterThan(10);
  });

  it("asks once for what a node takes long to start, and again at once for what it takes back", async () => {
    world.startMs = 30_000;
    const home = world.node({ total: { CPU: 1 } });
    const [slow, other] = [0, 1].map(() => world.node({ total: { CPU: 1, GPU: 4 } }));
    await start(world.nodes);
    const s = new Submitter(world, home, newJobId(), { resources: { GPU: 1 } }, 10);
    s.submit(1);
    for (let i = 0; i < 3; i++) {
      await world.clock.advance(5_000);
      s.demand();
    }
    const leases = (): number =>
      world.nodes.reduce((sum, { scheduler }) => sum + scheduler.snapshot().leases.length, 0);
    expect(leases()).to.equal(1);
    const giver = slow?.scheduler.snapshot().leases.length === 1 ? slow : other;
    giver?.scheduler.drain();
    if (giver !== undefined) giver.failStart = new RuntimeEnvError("it is going");
    world.startMs = 10;
    await world.clock.until("done", () => s.done === 1, 16_000);
  });

  it("fails what is bound to a node that can't start workers", async () => {
    const [home, bad] = [world.node({ total: { CPU: 2 } }), world.node({ total: { CPU: 8 } })];
    bad.failStart = new RuntimeEnvError("no such directory");
    await start(world.nodes);
    const shape: Shape = { ...cpu, scheduling: { kind: "node", node: bad.node, soft: false } };
    const s = new Submitter(world, home, newJobId(), shape, 10);
    s.submit(1);
    await world.clock.until("failed", () => s.failures.length === 1, 1_000);
  });

  it("fails hard affinity to a node that died, while others would do", async () => {
    const [home, target] = [world.node({ total: { CPU: 1 } }), world.node({ total: { CPU: 1 } })];
    await start(world.nodes);
    target.die();
    await world.clock.advance(20);
    const shape: Shape = { ...cpu, scheduling: { kind: "node", node: target.node, soft: false } };
    const s = new Submitter(world, home, newJobId(), shape, 10);
    s.submit(1);
    await world.clock.until("failed", () => s.failures.length === 1, 100);
    expect(s.failures[0]).to.be.instanceOf(UnschedulableError);
  });

  it("goes where its arguments lie, first of all; elsewhere when there is no room soon", async () => {
    const [home, other, far] = [2, 2, 2].map((CPU) => world.node({ total: { CPU } })) as [
      SimNode,
      SimNode,
      SimNode,
    ];
    await start(world.nodes);
    const shape: Shape = { ...cpu, near: { [far.node]: 64 << 20 } };
    const s = new Submitter(world, home, newJobId(), shape, 1_000);
    s.submit(2);
    await world.clock.until("done there", () => s.done === 2, 1_500);
    expect(s.ran).to.deep.equal(new Map([[far, 2]]));
    s.submit(6);
    await world.clock.until("done", () => s.done === 8, 2_500);
    expect(s.ran.get(far)).to.be.at.least(4);
    expect(s.ran.get(home) ?? 0).to.be.greaterThan(0);
    far.die();
    await world.clock.advance(50);
    const before = s.done;
    s.submit(2);
    await world.clock.until("done elsewhere", () => s.done === before + 2, 1_500);
    expect(other.alive).to.equal(true);
  });

  it("prefers a busy node for a while with soft affinity, then goes elsewhere", async () => {
    const [home, target] = [world.node({ total: { CPU: 1 } }), world.node({ total: { CPU: 1 } })];
    await start(world.nodes);
    const holder = new Submitter(world, target, newJobId(), cpu, 60_000);
    holder.submit(1);
    await world.clock.advance(100);
    const shape: Shape = { ...cpu, scheduling: { kind: "node", node: target.node, soft: true } };
    const s = new Submitter(world, home, newJobId(), shape, 10);
    s.submit(1);
    await world.clock.advance(500);
    expect(s.done).to.equal(0);
    await world.clock.until("done elsewhere", () => s.done === 1, 2000);
  });
});
