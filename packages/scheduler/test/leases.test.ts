import { expect } from "chai";
import {
  InvalidOptionError,
  newJobId,
  newNodeId,
  newWorkerId,
  RuntimeEnvError,
  UnschedulableError,
  type ProcessId,
  type Shape,
} from "@stingray/protocol";
import { ClusterView, type Reservation } from "../src/mod.js";
import { Submitter } from "./support/submitter.js";
import { EXIT, World, type SimNode } from "./support/world.js";

const cpu: Shape = { resources: { CPU: 1 } };
const atRest = (node: SimNode): void => {
  expect(node.account.available).to.deep.equal(node.account.total);
  expect(node.scheduler.snapshot()).to.deep.include({ leases: [], demands: [] });
};

describe("LeaseScheduler on one node", function () {
  this.timeout(20_000); // a lot of computing, in virtual time
  let world: World;
  beforeEach(() => (world = new World()));
  afterEach(() => world.stop());

  it("streams many tasks over as many leases as there are CPUs, then rests", async () => {
    const node = world.node({ total: { CPU: 2 } });
    const s = new Submitter(world, node, newJobId(), cpu, 5);
    s.submit(1000);
    await world.clock.until("all done", () => s.done === 1000);
    expect([s.mostLeases, node.started]).to.deep.equal([2, 2]);
    await world.clock.advance(100);
    atRest(node);
    expect(world.clock.pendingTimers).to.equal(0);
  });

  it("takes a level twice as once, and 0 as withdrawal, also while workers start", async () => {
    world.startMs = 100;
    const node = world.node({ total: { CPU: 4 } });
    const s = new Submitter(world, node, newJobId(), cpu, 5);
    s.todo = 2;
    for (let i = 0; i < 5; i++) s.demand();
    await world.clock.advance(1);
    expect(node.scheduler.snapshot().leases).to.have.length(2);
    s.todo = 0;
    s.demand();
    expect(node.account.available).to.deep.equal({ CPU: 4 });
    await world.clock.advance(200);
    atRest(node);
    expect(s.mostLeases).to.equal(0);
    expect(node.started).to.equal(2);
  });

  it("shares a node between jobs and submitters by asking leases back", async () => {
    const node = world.node({ total: { CPU: 2 } });
    const [a, b] = [newJobId(), newJobId()];
    const first = new Submitter(world, node, a, cpu, 10);
    first.submit(100_000);
    await world.clock.advance(500);
    const others = [a, b].map((job) => new Submitter(world, node, job, cpu, 10));
    for (const s of others) s.submit(100_000);
    const before = first.done;
    await world.clock.advance(6000);
    const [same, other] = others.map((s) => s.done);
    // 1,200 tasks: half for each job, of which the two submitters of the first get half each.
    expect(other).to.be.within(500, 700);
    expect(same).to.be.within(200, 400);
    expect(first.done - before).to.be.within(200, 400);
  });

  it("serves higher priority first, and takes leases from lower", async () => {
    const node = world.node({ total: { CPU: 1 } });
    const low = new Submitter(world, node, newJobId(), cpu, 10);
    const high = new Submitter(world, node, newJobId(), { ...cpu, priority: 5 }, 10);
    low.submit(1000);
    await world.clock.advance(300);
    high.submit(50);
    await world.clock.until("high is done", () => high.done === 50, 1000);
    const between = low.done;
    await world.clock.until("low goes on", () => low.done > between + 10, 1000);
  });

  it("serves a large request among many small ones", async () => {
    const node = world.node({ total: { CPU: 4 } });
    const small = [1, 2, 3, 4].map(() => new Submitter(world, node, newJobId(), cpu, 300));
    for (const s of small) s.submit(100_000);
    await world.clock.advance(1000);
    const large = new Submitter(world, node, newJobId(), { resources: { CPU: 4 } }, 10);
    large.submit(1);
    await world.clock.until("the large one ran", () => large.done === 1, 10_000);
  });

  /** A task that waits for a task that waits for one …, each submitted by a process of its own. */
  async function recursion(shape: Shape | ((level: number) => Shape), levels: number): Promise<SimNode> {
    const node = world.node({ total: { CPU: 2 } });
    const job = newJobId();
    let depth = 0;
    let finished = false;
    const call = (done: () => void): void => {
      const wanted = typeof shape === "function" ? shape(depth) : shape;
      const s = new Submitter(world, node, job, wanted, 1);
      s.work = (grant, end) => {
        if (++depth === levels) {
          end();
          done();
          return;
        }
        node.scheduler.blocked(grant.lease);
        call(() => {
          node.scheduler.unblocked(grant.lease);
          end();
          done();
        });
      };
      s.submit(1);
    };
    call(() => (finished = true));
    await world.clock.until("the outermost is done", () => finished);
    expect(depth).to.equal(levels);
    await world.clock.advance(100);
    atRest(node);
    return node;
  }

  it("runs recursion of depth 1,000 on two CPUs with few workers", async () => {
    const node = await recursion(cpu, 1_000);
    expect(node.mostWorkers).to.equal(8); // processes of their own, as long as there are not many
  });

  it("gives what should be alone a process of its own, and lets it share one as a last resort", async () => {
    for (const shape of [
      { ...cpu, alone: true },
      { ...cpu, maxCalls: 1 },
    ]) {
      const node = await recursion(shape, 1_000);
      expect(node.mostWorkers).to.equal(16);
    }
  });

  it("nests through several environments, each of which has some of the processes", async () => {
    const envs = ["a", "b", "c"].map((setup): Shape => ({ ...cpu, runtimeEnv: { setup } }));
    const node = await recursion((level) => envs[level % 3] as Shape, 1_000);
    expect(node.mostWorkers).to.be.at.most(9);
  });

  it("starts no more at a time than there are CPUs, and has no more than the limits, over environments and actors", async () => {
    world.startMs = 50;
    const node = world.node({ total: { CPU: 4 }, limits: { maxWorkers: 6 } });
    const job = newJobId();
    const submitters = ["a", "b", "c"].map(
      (setup) => new Submitter(world, node, job, { resources: { CPU: 0.1 }, runtimeEnv: { setup } }, 20),
    );
    for (const s of submitters) s.submit(200);
    const what = "an actor";
    const actors: Reservation[] = [];
    for (let i = 0; i < 3; i++) {
      const reserved = node.scheduler.reserve({ job, shape: { resources: { CPU: 0.1 } }, what });
      void reserved.then((actor) => actors.push(actor));
    }
    await world.clock.until("all done", () => {
      const { busy, blocked, reserved } = node.scheduler.snapshot().workers;
      expect(busy).to.be.at.most(6);
      expect([blocked, reserved]).to.deep.equal([0, actors.length]);
      return actors.length === 3 && submitters.every((s) => s.done === 200);
    });
    expect(node.mostStarting).to.equal(4);
    for (const actor of actors) actor.release();
    await world.clock.advance(100);
    atRest(node);
  });

  it("retires a worker: its leases are asked back, and nobody is given it again", async () => {
    const node = world.node({ total: { CPU: 1 } });
    const s = new Submitter(world, node, newJobId(), cpu, 10);
    s.submit(100);
    await world.clock.advance(100);
    const [lease] = node.scheduler.snapshot().leases;
    const worker = lease?.worker as ProcessId;
    node.scheduler.workerRetired(worker);
    await world.clock.until("all done", () => s.done === 100);
    await world.clock.advance(100);
    expect(node.workers.has(worker)).to.equal(false);
    expect(node.started).to.equal(2);
    node.scheduler.workerRetired(worker);
    atRest(node);
  });

  it("tells of a lost worker, of a failed start once, and of bad shapes at once", async () => {
    const node = world.node({ total: { CPU: 2 } });
    const s = new Submitter(world, node, newJobId(), cpu, 1000);
    s.submit(2);
    await world.clock.advance(10);
    const [held] = s.leases.values();
    node.kill(held?.grant.worker ?? s.id);
    await world.clock.until("both done again", () => s.done === 2);

    node.failStart = new RuntimeEnvError("no such directory");
    const bad = new Submitter(world, node, newJobId(), cpu, 1);
    bad.submit(10);
    await world.clock.advance(5000);
    expect(bad.failures.map((e) => e.code)).to.deep.equal(["RUNTIME_ENV"]);
    expect(node.started).to.be.at.most(2 + 1 + 2);

    const worse = new Submitter(world, node, newJobId(), { resources: { CPU: -1 } }, 1);
    worse.submit(1);
    const label = new Submitter(world, node, newJobId(), { ...cpu, labels: { a: "in(" } }, 1);
    label.submit(1);
    for (const x of [worse, label]) expect(x.failures[0]).to.be.instanceOf(InvalidOptionError);
    await world.clock.advance(100);
    atRest(node);
  });

  it("says why after three seconds when no node can ever run it, and runs it when one can", async () => {
    const node = world.node({ total: { CPU: 1 } });
    const s = new Submitter(world, node, newJobId(), { resources: { special: 1 } }, 1);
    s.submit(1);
    await world.clock.advance(2900);
    expect(s.reasons).to.deep.equal([]);
    expect(s.notes, "there for those who ask, long before").to.have.length(1);
    expect(s.notes[0]).to.include("needs special: 1");
    await world.clock.advance(60_000);
    expect(s.reasons).to.have.length(1);
    expect(s.reasons[0]).to.include("needs special: 1, this node has none");
    expect(node.scheduler.snapshot().demands[0]?.reason).to.equal(s.reasons[0]);
    node.account.setTotal("special", 1);
    node.scheduler.capacityChanged();
    await world.clock.until("done", () => s.done === 1, 1000);
  });

  it("says that all is busy early to those who ask, and to the user every half minute", async () => {
    const node = world.node({ total: { CPU: 1 } });
    const job = newJobId();
    const [first, second] = [1, 2].map(
      () => new Submitter(world, node, job, { resources: { CPU: 1 } }, 80_000),
    );
    if (first === undefined || second === undefined) throw new Error("no submitters");
    first.submit(1);
    await world.clock.advance(100);
    second.submit(1);
    await world.clock.advance(600);
    expect(second.notes[0]).to.include("needs CPU: 1, 0 of 1 free");
    const [demand] = node.scheduler.snapshot().demands;
    expect(demand?.waitsFor).to.equal("resources");
    expect(demand?.trail.at(-1)).to.include({ kind: "local" });
    await world.clock.advance(29_000);
    expect(second.reasons).to.deep.equal([]);
    await world.clock.advance(1_000);
    expect(second.reasons).to.have.length(1);
    await world.clock.advance(31_000);
    expect(second.reasons).to.have.length(2);
    await world.clock.until("done", () => second.done === 1, 200_000);
    expect(second.reasons).to.have.length(2);
  });

  it("ends the leases and workers of dead submitters and ended jobs", async () => {
    world.startMs = 20;
    const node = world.node({ total: { CPU: 4 } });
    const [a, b] = [newJobId(), newJobId()];
    const gone = new Submitter(world, node, a, cpu, 1e6);
    const ended = new Submitter(world, node, b, cpu, 1e6);
    gone.submit(10);
    ended.submit(10);
    await world.clock.advance(100);
    expect(node.workers.size).to.equal(4);
    gone.die();
    node.scheduler.jobEnded(b);
    await world.clock.advance(200);
    atRest(node);
    expect([...node.workers.keys()].length).to.equal([...node.idle.values()].flat().length);
  });

  it("runs fractions of a CPU side by side, and tasks that need nothing", async () => {
    const node = world.node({ total: { CPU: 1 } });
    const quarter = new Submitter(world, node, newJobId(), { resources: { CPU: 0.25 } }, 1000);
    const nothing = new Submitter(world, node, newJobId(), { resources: {} }, 1000);
    quarter.submit(8);
    nothing.submit(8);
    await world.clock.advance(100);
    expect([quarter.leases.size, nothing.leases.size]).to.deep.equal([4, 8]);
  });

  it("gives out nothing again while the process that had it still lives", async () => {
    world.endMs = 500;
    const node = world.node({ total: { CPU: 2, GPU: 1 } });
    const gpu: Shape = { resources: { CPU: 1, GPU: 1 } };
    const first = new Submitter(world, node, newJobId(), gpu, 5);
    first.submit(1);
    await world.clock.until("it is returned", () => first.done === 1 && first.leases.size === 0);
    expect(node.account.available, "the GPU is the process's own").to.deep.equal({ CPU: 1, GPU: 0 });
    const vanishes = new Submitter(world, node, newJobId(), gpu, 100_000);
    vanishes.submit(1);
    await world.clock.until("the process is gone", () => vanishes.leases.size === 1, 600);
    node.scheduler.submitterGone(vanishes.id);
    const next = new Submitter(world, node, newJobId(), gpu, 5);
    next.submit(1);
    await world.clock.advance(400);
    expect(next.mostLeases, "what it runs goes on until it is killed").to.equal(0);
    await world.clock.until("done", () => next.done === 1 && next.leases.size === 0);
    const worker = node.scheduler.snapshot().ending[0]?.worker;
    if (worker !== undefined) node.scheduler.workerKept(worker);
    expect(node.account.available, "others need what it owns").to.deep.equal(node.account.total);
    await world.clock.advance(1_000);
    atRest(node);
  });

  it("counts processes that stay for what they own, and says so when there may be no more", async () => {
    const node = world.node({ total: { CPU: 4 }, limits: { maxWorkers: 4, maxBlockedWorkers: 2 } });
    node.kept = 5;
    const s = new Submitter(world, node, newJobId(), cpu, 5);
    s.submit(20);
    await world.clock.until("all done", () => s.done === 20);
    expect(node.started, "one more may be there, and is used again").to.equal(1);
    node.kept = 6;
    const other = new Submitter(world, node, newJobId(), cpu, 5);
    other.submit(1);
    await world.clock.advance(1_000);
    expect(node.scheduler.snapshot().demands[0]?.reason).to.contain("6 worker processes").and.contain("own");
    node.kept = 0;
    node.scheduler.workerExited(newWorkerId(), EXIT);
    await world.clock.until("done", () => other.done === 1);
  });

  it("does not give a worker that had GPUs to anyone else", async () => {
    const node = world.node({ total: { CPU: 1, GPU: 1 } });
    const job = newJobId();
    const gpu = new Submitter(world, node, job, { resources: { GPU: 1 } }, 5);
    gpu.submit(3);
    await world.clock.until("done", () => gpu.done === 3);
    await world.clock.advance(10);
    expect(node.workers.size).to.equal(0);
  });

  it("reserves for actors in turn with tasks, shrinks and releases", async () => {
    const node = world.node({ total: { CPU: 1 } });
    const job = newJobId();
    const s = new Submitter(world, node, job, cpu, 10);
    s.submit(100_000);
    await world.clock.advance(200);
    expect(node.scheduler.reserveNow({ job, shape: cpu, what: "actor A" })).to.equal(undefined);
    const pending = [1, 2, 3].map((i) => node.scheduler.reserve({ job, shape: cpu, what: `actor ${i}` }));
    const workers = new Set<string>();
    for (const one of pending) {
      let done = false;
      void one.then(() => (done = true));
      await world.clock.until("reserved", () => done, 2000);
      const r = await one;
      workers.add(r.worker);
      expect(node.account.available).to.deep.equal({ CPU: 0 });
      r.shrinkTo({});
    }
    expect(workers.size).to.equal(3);
    await world.clock.until("tasks go on", () => s.leases.size === 1, 2000);
    for (const one of pending) {
      const r = await one;
      r.release();
      r.release();
    }
    s.die();
    await world.clock.advance(100);
    atRest(node);
  });

  it("refuses reservations that can't be, and gives up waiting ones with the signal", async () => {
    const node = world.node({ total: { CPU: 1 } });
    const job = newJobId();
    const never = await node.scheduler
      .reserve({ job, shape: { resources: { GPU: 1 } }, what: "actor A" })
      .catch((e: unknown) => e);
    expect(never).to.be.instanceOf(UnschedulableError);
    expect(String(never)).to.include("actor A").and.include("needs GPU: 1, this node has none");
    const held = await node.scheduler.reserve({ job, shape: cpu, what: "actor B" });
    const abort = new AbortController();
    const waiting = node.scheduler.reserve({ job, shape: cpu, what: "actor C", signal: abort.signal });
    const reason = new Error("changed my mind");
    abort.abort(reason);
    expect(await waiting.catch((e: unknown) => e)).to.equal(reason);
    node.scheduler.workerExited(held.worker, EXIT);
    held.release();
    atRest(node);
  });

  it("leaves nothing behind of a reservation that is refused at once", async () => {
    const node = world.node({ total: { CPU: 1 } });
    const leave = new AbortController();
    const q = { job: newJobId(), shape: { resources: { GPU: 1 } }, what: "actor A", signal: leave.signal };
    const unhandled: unknown[] = [];
    const note = (thrown: unknown): void => void unhandled.push(thrown);
    const others = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection");
    process.on("unhandledRejection", note);
    try {
      expect(node.scheduler.reserveNow(q)).to.equal(undefined);
      expect(await node.scheduler.reserve(q).catch((e: unknown) => e)).to.be.instanceOf(UnschedulableError);
      leave.abort(new Error("the search is over"));
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.off("unhandledRejection", note);
      for (const other of others) process.on("unhandledRejection", other);
    }
    expect(unhandled).to.deep.equal([]);
  });

  it("goes on although a node bids what nobody can calculate with", async () => {
    const node = world.node({ total: { CPU: 1 } });
    const other = world.node({ total: { CPU: 4 } });
    node.view.update({ ...other.fresh(), available: { CPU: -1 } }, 0);
    const s = new Submitter(world, node, newJobId(), { resources: { CPU: 2 } }, 5);
    s.submit(1);
    await world.clock.advance(50);
    expect(s.failures[0]).to.be.instanceOf(UnschedulableError);
    const fits = new Submitter(world, node, newJobId(), cpu, 5);
    fits.submit(1);
    await world.clock.until("done", () => fits.done === 1);
  });

  it("serves those that wait once when a job with many leases ends", async () => {
    const node = world.node({ total: { CPU: 64 } });
    const job = newJobId();
    const submitters = Array.from({ length: 32 }, () => new Submitter(world, node, job, cpu, 1_000_000));
    for (const s of submitters) s.submit(2);
    await world.clock.until("busy", () => submitters.every((s) => s.leases.size === 2));
    let rounds = 0;
    const waiting = new Submitter(world, node, newJobId(), { resources: { CPU: 64 } }, 5);
    waiting.submit(1);
    const { view } = node;
    const nodes = (): ReturnType<typeof view.nodes> => ClusterView.prototype.nodes.call(view);
    view.nodes = () => (rounds++, nodes());
    node.scheduler.jobEnded(job);
    expect(rounds).to.be.lessThan(10);
    await world.clock.until("done", () => waiting.done === 1);
  });

  it("lends the CPU of an actor that awaits its own tasks", async () => {
    const node = world.node({ total: { CPU: 1 } });
    const job = newJobId();
    const actor = await node.scheduler.reserve({ job, shape: cpu, what: "actor A" });
    node.scheduler.blocked(actor.lease);
    const s = new Submitter(world, node, job, cpu, 5, actor.worker);
    s.submit(3);
    await world.clock.until("done", () => s.done === 3);
    expect([...node.workers.keys()]).to.have.length(2);
    node.scheduler.unblocked(actor.lease);
    actor.release();
    await world.clock.advance(50);
    atRest(node);
  });

  it("drains: grants nothing, asks all back", async () => {
    const node = world.node({ total: { CPU: 2 } });
    const s = new Submitter(world, node, newJobId(), cpu, 10);
    s.submit(100_000);
    await world.clock.advance(100);
    node.scheduler.drain();
    await world.clock.advance(100);
    expect(s.leases.size).to.equal(0);
    expect(node.account.available).to.deep.equal(node.account.total);
    const answer = node.scheduler.offered({ submitter: s.id, job: s.job, key: "k", shape: cpu, count: 1 });
    expect(answer).to.deep.include({ granted: 0, reason: "this node is draining" });
  });

  it("fails hard affinity to a node that is unknown", async () => {
    const node = world.node({ total: { CPU: 2 } });
    const to = (soft: boolean): Shape => ({ ...cpu, scheduling: { kind: "node", node: newNodeId(), soft } });
    const hard = new Submitter(world, node, newJobId(), to(false), 10);
    const soft = new Submitter(world, node, newJobId(), to(true), 10);
    hard.submit(1);
    soft.submit(1);
    await world.clock.until("soft runs elsewhere", () => soft.done === 1, 100);
    await world.clock.until("hard fails", () => hard.failures.length === 1, 3000);
    expect(hard.failures[0]).to.be.instanceOf(UnschedulableError);
  });
});
