import { expect } from "chai";
import { newJobId, type Shape } from "@stingray/protocol";
import { Submitter } from "./support/submitter.js";
import { World, type SimNode } from "./support/world.js";

const cpu: Shape = { resources: { CPU: 1 } };

describe("a node that has less than is in use", () => {
  let world: World;
  beforeEach(() => (world = new World()));
  afterEach(() => world.stop());

  const held = (node: SimNode): number => node.scheduler.snapshot().leases.length;
  const change = (node: SimNode, name: string, amount: number): void => {
    node.account.setTotal(name, amount);
    node.scheduler.capacityChanged(name);
  };

  it("comes down to what it has although there is no end of work, and up again", async () => {
    const node = world.node({ total: { CPU: 4 } });
    const s = new Submitter(world, node, newJobId(), cpu, 10);
    s.submit(100_000);
    await world.clock.until("four leases", () => held(node) === 4);
    change(node, "CPU", 1);
    await world.clock.until("one lease", () => held(node) === 1, 2_000);
    const before = s.done;
    await world.clock.advance(500);
    expect(held(node), "and not more later").to.equal(1);
    expect(s.done).to.be.above(before);
    change(node, "CPU", 3);
    await world.clock.until("three leases", () => held(node) === 3, 2_000);
    change(node, "CPU", 0);
    await world.clock.until("none", () => held(node) === 0, 2_000);
    expect(node.scheduler.snapshot().demands[0]?.reason).to.contain("needs CPU: 1, this node has none");
    expect(node.account.free.units("CPU")).to.equal(0);
  });

  it("begins nothing that was about to, and says once more what it waits for", async () => {
    world.startMs = 100;
    const node = world.node({ total: { CPU: 4, special: 4 } });
    const s = new Submitter(world, node, newJobId(), { resources: { special: 1 } }, 10);
    s.submit(1_000);
    expect(held(node), "none has a worker yet").to.equal(4);
    change(node, "special", 1);
    expect(held(node)).to.be.at.most(1);
    await world.clock.advance(500);
    expect([held(node), s.mostLeases]).to.deep.equal([1, 1]);
    await world.clock.until("all done", () => s.done === 1_000);
  });

  it("has those back, too, that wait for others", async () => {
    const node = world.node({ total: { CPU: 4, special: 1 } });
    const s = new Submitter(world, node, newJobId(), { resources: { CPU: 1, special: 1 } }, 10);
    let resume: (() => void) | undefined;
    s.work = ({ lease }, done) => {
      node.scheduler.blocked(lease);
      resume = () => {
        node.scheduler.unblocked(lease);
        done();
      };
    };
    s.submit(100);
    await world.clock.until("it waits", () => resume !== undefined);
    change(node, "special", 0);
    resume?.();
    await world.clock.advance(100);
    expect([held(node), s.done]).to.deep.equal([0, 1]);
  });

  it("asks back what was promised to another node and gets its worker later", async () => {
    world.startMs = 100;
    const [home, node] = [world.node({ total: { CPU: 1 } }), world.node({ total: { CPU: 1, special: 2 } })];
    node.bid();
    const s = new Submitter(world, home, newJobId(), { resources: { special: 1 } }, 10);
    s.submit(1_000);
    await world.clock.until("it begins", () => held(node) === 2);
    change(node, "special", 0);
    await world.clock.advance(1_000);
    expect(held(node)).to.equal(0);
    expect(node.account.free.units("special")).to.equal(0);
  });

  it("leaves leases alone that hold nothing of it", async () => {
    const node = world.node({ total: { CPU: 4, special: 2 } });
    const plain = new Submitter(world, node, newJobId(), cpu, 10);
    const special = new Submitter(world, node, newJobId(), { resources: { special: 1 } }, 10);
    plain.submit(100_000);
    special.submit(100_000);
    await world.clock.until("six leases", () => held(node) === 6);
    const before = new Set(node.scheduler.snapshot().leases.map(({ lease }) => lease));
    change(node, "special", 1);
    await world.clock.until("five leases", () => held(node) === 5, 2_000);
    const after = node.scheduler.snapshot().leases;
    const kept = after.filter(({ lease }) => before.has(lease));
    expect(kept.filter(({ resources }) => resources["CPU"] === 1)).to.have.length(4);
  });
});
