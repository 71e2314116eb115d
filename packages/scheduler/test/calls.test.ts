/** Schedulers that hear nothing of each other but what they own: calls, offers to strangers, news of room. */
import { expect } from "chai";
import { newJobId, type Shape } from "@stingray/protocol";
import { seeded, settle } from "./support/clock.js";
import { Network } from "./support/calls.js";
import { Submitter } from "./support/submitter.js";
import { World, type SimNode } from "./support/world.js";

const LABELS = [{ zone: "a" }, { zone: "b" }, {}];
const SHAPES: Shape[] = [
  { resources: { CPU: 1 } },
  { resources: { CPU: 0.3333 } },
  { resources: { GPU: 1 } },
  { resources: { CPU: 0.5, GPU: 0.25 } },
  { resources: { GPU: 0.5 }, labels: { "accelerator-type": "H200" } },
  { resources: { special: 1 } },
  { resources: { special: 0.5, GPU: 0.5 } },
  { resources: { CPU: 1 }, labels: { zone: "a" } },
  { resources: { CPU: 1 }, scheduling: { kind: "spread" } },
  { resources: { CPU: 0.1 }, priority: 2 },
];

/** What is held is never more than there is; with `grown` less than there was when it was begun. */
function check(node: SimNode): void {
  const used: Record<string, number> = {};
  for (const { resources, state } of node.scheduler.snapshot().leases) {
    if (state === "ended") continue;
    for (const [name, amount] of Object.entries(resources)) used[name] = (used[name] ?? 0) + amount;
  }
  for (const [name, held] of Object.entries(used))
    expect(held, name).to.be.at.most((node.most[name] ?? 0) + 1e-9);
}

/** More of them on request: each is a different history. */
const SEEDS = Number(process.env["STINGRAY_TEST_SEEDS"] ?? 8);

describe("schedulers that do not hear each other", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    it(`grant everything in the end, and nothing twice (seed ${seed})`, async function () {
      this.timeout(20_000);
      const world = new World(1000 + seed);
      const network = new Network(world, 0.05);
      world.network = network;
      world.latencyMs = 8;
      world.startMs = 20;
      const random = seeded(seed);
      const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
      const nodes = Array.from({ length: 8 }, (_, i) =>
        world.node({
          total: {
            CPU: 1 + (i % 3),
            ...(i < 3 ? { GPU: 1 + (i % 2) } : {}),
            ...(i > 1 && i < 5 ? { special: 2 } : {}),
          },
          labels: {
            ...pick(LABELS),
            ...(i === 1 ? { "accelerator-type": "H200" } : {}),
            ...(i === 7 ? { zone: "a" } : {}),
          },
          limits: { offerTimeoutMs: 400 },
        }),
      );
      network.tell();
      const submitters: Submitter[] = [];
      world.onNodeDeath = (dead) => {
        // As the submitters' runtime does: leases of a dead node are lost.
        for (const s of submitters)
          for (const [lease, { grant }] of s.leases) if (grant.node === dead) s.lose(lease);
      };
      // Those with the only GPU of a type, and of both kinds of resources, live on.
      const mortal = nodes.filter((_, i) => i === 0 || i === 3 || i === 5);
      const homes = nodes.filter((node) => !mortal.includes(node));
      const job = newJobId();
      for (let step = 0; step < 50; step++) {
        const roll = random();
        const some = submitters[Math.floor(random() * submitters.length)];
        if (roll < 0.5 || some === undefined) {
          const s = new Submitter(world, pick(homes), job, pick(SHAPES), random() * 40);
          submitters.push(s);
          s.submit(1 + Math.floor(random() * 10));
        } else if (roll < 0.7) some.submit(Math.floor(random() * 10));
        else if (roll < 0.75) some.die();
        else if (roll < 0.85) {
          // More or less of what it has; never so little that what was asked for could not be had.
          const node = pick(nodes.filter(({ alive }) => alive));
          node.resize("CPU", 1 + Math.floor(random() * 3));
          network.tell();
        } else if (roll < 0.88) mortal.pop()?.die();
        await world.clock.advance(random() * 60);
        for (const node of nodes) if (node.alive) check(node);
      }
      const live = submitters.filter((s) => !s.gone);
      await world.clock.until(
        "all tasks are done",
        () => {
          // Nothing waits in silence.
          for (const { scheduler, alive } of nodes) {
            for (const d of alive ? scheduler.pending() : [])
              if (d.waitingMs > 0) expect(d.reason, JSON.stringify(d)).not.to.equal("");
          }
          return live.every((s) => s.todo + s.leases.size === 0);
        },
        120_000,
      );
      for (const s of live) expect([s.failures.length, s.done]).to.deep.equal([0, s.submitted]);
      await world.clock.advance(10_000);
      for (const node of nodes) {
        if (!node.alive) continue;
        expect(node.account.available).to.deep.equal(node.account.total);
        const { leases, demands } = node.scheduler.snapshot();
        expect([leases, demands]).to.deep.equal([[], []]);
      }
      expect(network.calls).to.be.greaterThan(5);
      world.stop();
      await settle();
    });
  }

  it("find the one node that has it with one call, and say what they tried", async () => {
    const world = new World(1);
    world.latencyMs = 2;
    world.network = new Network(world, 0);
    const [home] = Array.from({ length: 6 }, () => world.node({ total: { CPU: 1 } })) as [SimNode];
    const gpu = world.node({ total: { CPU: 1, GPU: 1 } });
    world.network.tell();
    const s = new Submitter(world, home, newJobId(), { resources: { GPU: 1 } }, 50);
    s.submit(1);
    await world.clock.until("granted", () => s.leases.size === 1, 100);
    expect(world.network.calls).to.equal(1);
    expect([...s.leases.values()].map(({ grant }) => grant.node)).to.deep.equal([gpu]);
    s.submit(1);
    await world.clock.advance(20);
    const [waiting] = home.scheduler.pending();
    expect(waiting?.reason).to.contain("busy");
    expect(waiting?.trail.map(({ kind }) => kind)).to.include.members(["call", "local"]);
    await world.clock.until("done", () => s.done === 2, 500);
    world.stop();
  });

  it("are told of room by whoever has some, well before they would knock", async () => {
    const world = new World(3);
    world.latencyMs = 2;
    world.network = new Network(world, 0);
    const homes = Array.from({ length: 5 }, () => world.node({ total: { CPU: 1 } }));
    world.node({ total: { CPU: 1, special: 1 } });
    world.network.tell();
    const job = newJobId();
    const shape: Shape = { resources: { special: 1 } };
    const all = homes.map((home) => new Submitter(world, home, job, shape, 30));
    for (const s of all) s.submit(10);
    await world.clock.until("all done", () => all.every((s) => s.done === 10), 60_000);
    // 50 tasks of 30 ms, one after another; with knocks alone, once a second and rarer, it would take far longer.
    expect(world.clock.now()).to.be.lessThan(15_000);
    world.stop();
  });

  it("wait where no node can ever run it, and go on when one joins", async () => {
    const world = new World(4);
    world.network = new Network(world, 0);
    const [home] = [world.node({ total: { CPU: 1 } }), world.node({ total: { CPU: 1 } })] as const;
    world.network.tell();
    const s = new Submitter(world, home, newJobId(), { resources: { GPU: 1 } }, 10);
    s.submit(1);
    await world.clock.advance(100);
    expect(home.scheduler.pending()[0]?.waitsFor).to.equal("never");
    expect(world.network.calls).to.equal(0);
    world.node({ total: { CPU: 1, GPU: 1 } });
    world.network.tell();
    await world.clock.until("done", () => s.done === 1, 2_000);
    world.stop();
  });
});
