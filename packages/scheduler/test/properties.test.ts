import { expect } from "chai";
import { newJobId, type JobId, type Shape } from "@stingray/protocol";
import { nextLeaseState, type LeaseEvent, type LeaseState } from "../src/lease-state.js";
import { mayHold } from "../src/starvation.js";
import { settle } from "./support/clock.js";
import { Submitter } from "./support/submitter.js";
import { World, type SimNode } from "./support/world.js";

const SHAPES: Shape[] = [
  { resources: { CPU: 1 } },
  { resources: { CPU: 0.5 } },
  { resources: { CPU: 2 } },
  { resources: { CPU: 0.1, GPU: 0.25 } },
  { resources: { GPU: 1 } },
  { resources: {} },
  { resources: { CPU: 1 }, scheduling: { kind: "spread" } },
  { resources: { CPU: 0.3333 }, priority: 3 },
  { resources: { CPU: 1 }, labels: { zone: "!b" } },
];

/** What is held, added up from the leases themselves, is never more than there is, but for CPUs that were resumed. */
function checkNode(node: SimNode, resumed: boolean): void {
  const used: Record<string, number> = {};
  const { leases, ending } = node.scheduler.snapshot();
  const lent = leases.map(({ resources, state }) => ({ resources, cpuYielded: state === "blocked" }));
  for (const { resources, cpuYielded } of [...lent, ...ending]) {
    for (const [name, amount] of Object.entries(resources)) {
      if (name === "CPU" && cpuYielded) continue;
      used[name] = (used[name] ?? 0) + amount;
    }
  }
  const { total, available } = node.account;
  for (const [name, all] of Object.entries(total)) {
    const held = used[name] ?? 0;
    if (name !== "CPU" || !resumed) expect(held, name).to.be.at.most(all + 1e-9);
    expect(available[name], name).to.be.closeTo(Math.max(0, all - held), 1e-6);
  }
}

function expectAtRest(node: SimNode): void {
  expect(node.account.available).to.deep.equal(node.account.total);
  const { leases, ending, demands, workers } = node.scheduler.snapshot();
  expect([...leases, ...ending]).to.deep.equal([]);
  expect(demands).to.deep.equal([]);
  expect(workers).to.deep.equal({ busy: 0, blocked: 0, reserved: 0, starting: 0 });
}

/** More of them on request: each is a different history. */
const SEEDS = Number(process.env["STINGRAY_TEST_SEEDS"] ?? 8);

describe("random schedules", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    it(`one node: nothing overcommitted, forgotten or leaked (seed ${seed})`, async () => {
      const world = new World(seed);
      world.startMs = 30;
      const node = world.node({ total: { CPU: 3, GPU: 2 } });
      const { random } = world;
      const submitters: Submitter[] = [];
      const jobs: JobId[] = [newJobId(), newJobId()];
      let resumed = false;
      for (let step = 0; step < 250; step++) {
        const roll = random();
        const some = submitters[Math.floor(random() * submitters.length)];
        if (roll < 0.15 || some === undefined) {
          const shape = SHAPES[Math.floor(random() * SHAPES.length)] as Shape;
          const s = new Submitter(world, node, jobs[step % 2] as JobId, shape, 1 + random() * 40);
          s.work = (grant, done) => {
            if (random() < 0.7) return void world.clock.defer(s.taskMs, done);
            node.scheduler.blocked(grant.lease);
            world.clock.defer(s.taskMs, () => {
              resumed = true;
              node.scheduler.unblocked(grant.lease);
              world.clock.defer(s.taskMs, done);
            });
            return undefined;
          };
          submitters.push(s);
          s.submit(1 + Math.floor(random() * 30));
        } else if (roll < 0.4) some.submit(Math.floor(random() * 20));
        else if (roll < 0.45) {
          const [worker] = node.workers.keys();
          if (worker !== undefined) node.kill(worker);
        } else if (roll < 0.48) some.die();
        else if (roll < 0.6) {
          some.todo = Math.floor(some.todo / 2);
          some.demand();
        } else if (roll < 0.7) {
          const job = jobs[step % 2] as JobId;
          const signal = AbortSignal.any([]);
          const wanted = node.scheduler.reserve({ job, shape: { resources: { CPU: 1 } }, what: "x", signal });
          void wanted.then((r) => world.clock.defer(random() * 50, () => r.release(random() < 0.5)));
        }
        checkNode(node, resumed);
        await world.clock.advance(random() * 30);
        checkNode(node, resumed);
      }
      const live = submitters.filter((s) => !s.gone);
      await world.clock.until("all tasks are done", () => live.every((s) => s.todo + s.leases.size === 0));
      await world.clock.advance(1000);
      expectAtRest(node);
      expect(world.clock.pendingTimers).to.equal(0);
      world.stop();
    });
  }

  for (let seed = 1; seed <= SEEDS; seed++) {
    it(`four nodes with delays and deaths: every task of a living submitter runs (seed ${seed})`, async () => {
      const world = new World(100 + seed);
      world.latencyMs = 10;
      world.startMs = 40;
      const { random } = world;
      const totals: Record<string, number>[] = [
        { CPU: 2 },
        { CPU: 2, GPU: 2 },
        { CPU: 4, GPU: 1 },
        { CPU: 1 },
      ];
      const nodes = totals.map((total, i) => world.node({ total, labels: { zone: i === 3 ? "b" : "a" } }));
      for (const node of nodes) node.heartbeat(400);
      await world.clock.advance(100);
      const submitters: Submitter[] = [];
      world.onNodeDeath = (dead) => {
        // As the submitters' runtime does: leases of a dead node are lost.
        for (const s of submitters) {
          for (const [lease, { grant }] of s.leases) if (grant.node === dead) s.lose(lease);
        }
      };
      const job = newJobId();
      const home = nodes[0] as SimNode;
      for (let step = 0; step < 60; step++) {
        const roll = random();
        const some = submitters[Math.floor(random() * submitters.length)];
        if (roll < 0.3 || some === undefined) {
          const shape = SHAPES[Math.floor(random() * SHAPES.length)] as Shape;
          const s = new Submitter(
            world,
            random() < 0.7 ? home : (nodes[2] as SimNode),
            job,
            shape,
            random() * 60,
          );
          submitters.push(s);
          s.submit(1 + Math.floor(random() * 20));
        } else if (roll < 0.6) some.submit(Math.floor(random() * 10));
        else if (roll < 0.7) {
          const node = nodes[Math.floor(random() * 4)] as SimNode;
          const [worker] = node.workers.keys();
          if (node.alive && worker !== undefined) node.kill(worker);
        } else if (roll < 0.73) some.die();
        if (step === 20) nodes[1]?.die();
        if (step === 40) nodes[3]?.die();
        await world.clock.advance(random() * 100);
        for (const node of nodes) if (node.alive) checkNode(node, false);
      }
      const live = submitters.filter((s) => !s.gone);
      expect(live.length).to.be.greaterThan(3);
      await world.clock.until("all tasks are done", () => live.every((s) => s.todo + s.leases.size === 0));
      for (const s of live) {
        expect(s.failures).to.deep.equal([]);
        expect(s.done).to.equal(s.submitted);
      }
      await world.clock.advance(5000);
      for (const node of nodes) if (node.alive) expectAtRest(node);
      world.stop();
      await settle();
    });
  }

  it("gives every submitter progress while all compete", async () => {
    const world = new World(9);
    const node = world.node({ total: { CPU: 2 } });
    const jobs = [newJobId(), newJobId(), newJobId()];
    const submitters = Array.from({ length: 9 }, (_, i) => {
      const shape = { resources: { CPU: i % 3 === 0 ? 2 : 1 } };
      return new Submitter(world, node, jobs[i % 3] as JobId, shape, 20);
    });
    for (const s of submitters) s.submit(1_000_000);
    let before = submitters.map(() => 0);
    for (let period = 0; period < 3; period++) {
      await world.clock.advance(10_000);
      for (const [i, s] of submitters.entries())
        expect(s.done - (before[i] ?? 0), String(i)).to.be.greaterThan(5);
      before = submitters.map((s) => s.done);
    }
    world.stop();
  });
});

describe("the states of a lease", () => {
  it("end once, and ignore what does not fit", () => {
    const events: LeaseEvent[] = [
      { on: "start" },
      { on: "requeue" },
      { on: "grant", at: 5 },
      { on: "block" },
      { on: "unblock" },
      { on: "revoke" },
      { on: "end", how: "returned" },
    ];
    const reached = new Map<string, LeaseState>([["queued", { name: "queued" }]]);
    for (const state of reached.values()) {
      for (const event of events) {
        const next = nextLeaseState(state, event);
        if (next !== undefined) reached.set(JSON.stringify(next), next);
        if (state.name === "ended") expect(next).to.equal(undefined);
      }
    }
    expect(new Set([...reached.values()].map((s) => s.name)).size).to.equal(6);
  });

  it("remember a revocation while blocked", () => {
    const revoked = nextLeaseState({ name: "blocked", since: 1, revoked: false }, { on: "revoke" });
    expect(revoked && nextLeaseState(revoked, { on: "unblock" })).to.deep.equal({
      name: "revoking",
      since: 1,
    });
  });
});

describe("holding others back", () => {
  it("is for growing intervals, with as long pauses between", () => {
    const at = (ms: number): boolean => mayHold(ms, 100);
    const held = [50, 100, 149, 150, 199, 200, 299, 300, 400, 599, 600].filter(at);
    expect(held).to.deep.equal([100, 149, 200, 299, 400, 599]);
  });
});
