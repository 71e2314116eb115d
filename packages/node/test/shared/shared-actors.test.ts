/** Actors that live with others: what their agent does where processes are slow, calls go on, or incarnations cross. */
import { MemoryControlStore } from "@stingray/gcs-kv";
import {
  ActorDiedError,
  ConnectionError,
  encodeError,
  newActorId,
  type ActorSpec,
  type NodeId,
  type ProcessId,
} from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { expect } from "chai";
import { ActorBook, type ActorEntry } from "../../src/controller/actor-book.js";
import { HostPool } from "../../src/shared/host-pool.js";
import { SharedActors } from "../../src/shared/shared-actors.js";

const AGENT = "gaaaaaaaaaaaa" as ProcessId;
const OTHER = "gaaaaaaaaaaab" as ProcessId;
const JOB = "jaaaaaaaaaaaa";

const specOf = (more: Partial<ActorSpec> = {}): ActorSpec => ({
  actor: newActorId(),
  job: JOB,
  creator: "daaaaaaaaaaaa",
  module: "m.js",
  className: "Light",
  hash: "",
  args: [],
  placement: { resources: {} },
  running: {},
  namespace: "",
  detached: false,
  maxRestarts: -1,
  maxTaskRetries: 0,
  maxConcurrency: 1,
  concurrencyGroups: {},
  shared: true,
  methods: {},
  ...more,
});

/** An agent whose worker processes are stand-ins. */
class Agent {
  readonly made: { worker: ProcessId; actor: string; epoch: number }[] = [];
  readonly endedWorkers: ProcessId[] = [];
  readonly failures: string[] = [];
  acquire = (worker: ProcessId): Promise<ProcessId> => Promise.resolve(worker);
  open = (): Promise<void> => Promise.resolve();
  construct: (epoch: number) => Promise<void> = () => Promise.resolve();
  end = (): Promise<{ running: number }> => Promise.resolve({ running: 0 });
  readonly jobEnds: ProcessId[] = [];
  private workers = 0;

  readonly pool = new HostPool(
    { processes: 1, idleMs: 30 },
    {
      keyOf: () => Promise.resolve("one"),
      acquire: () => this.acquire(`waaaaaaaaaaa${++this.workers}` as ProcessId),
      open: () => this.open(),
      end: (worker) => void this.endedWorkers.push(worker),
    },
  );
  readonly shared: SharedActors;

  private constructor(readonly book: ActorBook) {
    this.shared = new SharedActors(this.pool, book, {
      agent: AGENT,
      node: "naaaaaaaaaaaa" as NodeId,
      start: (_host, worker, { actor }, epoch) => {
        this.made.push({ worker, actor, epoch });
        return this.construct(epoch);
      },
      beginState: () => Promise.resolve(undefined),
      end: () => this.end(),
      endJob: (worker) => Promise.resolve(this.jobEnds.push(worker)),
      endActor: async (actor, cause, epoch) => {
        const wire = cause instanceof Error ? encodeError(cause) : cause;
        await book.apply(actor, { kind: "ended", cause: wire, ...(epoch === undefined ? {} : { epoch }) });
      },
      ended: () => Promise.resolve(),
      place: (entry) => void this.shared.host(entry),
      changed: () => undefined,
      failed: (what) => void this.failures.push(what),
    });
    book.onChange((actor, now, before) => this.shared.rowChanged(actor, now, before));
  }

  static async start(): Promise<Agent> {
    return new Agent(await ActorBook.open(await new MemoryControlStore().table("actors")));
  }

  /** One that lives here. */
  async one(more?: Partial<ActorSpec>): Promise<ActorEntry> {
    const made = await this.shared.create(specOf(more), () => Promise.resolve(true));
    if (made === undefined || made === "later") throw new Error("it was not made");
    return made.entry;
  }

  row(actor: string): ActorEntry["value"] | undefined {
    return this.book.get(actor)?.value;
  }
  isAlive(actor: string): boolean {
    return this.row(actor)?.state === "ALIVE" && this.shared.hosted(actor)?.state === "alive";
  }
}

/** A promise that is settled by hand. */
function held(): { promise: Promise<void>; go: () => void; fail: (error: Error) => void } {
  let [go, fail]: [() => void, (error: Error) => void] = [() => undefined, () => undefined];
  const promise = new Promise<void>((resolve, reject) => ([go, fail] = [resolve, reject]));
  return { promise, go, fail };
}

describe("actors that live with others, at their agent", function () {
  this.timeout(10_000);

  it("an offer is answered before the process is up, and the same offer again is the same actor", async () => {
    const agent = await Agent.start();
    const up = held();
    agent.open = () => up.promise;
    const spec = specOf();
    const claim = await agent.book.create({ spec, state: "PENDING", epoch: 0, agent: OTHER, restarts: 0 });
    const epoch = claim?.revision ?? 0;
    expect(
      await Promise.all([agent.shared.accept(spec, epoch), agent.shared.accept(spec, epoch)]),
    ).to.deep.equal([true, true]);
    expect(agent.row(spec.actor)).to.include({ state: "PENDING", agent: AGENT, epoch });
    up.go();
    await eventually(() => agent.isAlive(spec.actor), "it is made");
    expect(await agent.shared.accept(spec, epoch)).to.equal(true);
    expect(agent.made).to.have.lengthOf(1);
    expect(agent.pool.size).to.equal(1);
    expect(await agent.shared.accept(specOf({ actor: spec.actor }), epoch - 1)).to.equal(false);
  });

  it("the next incarnation is made when the one before it has ended", async () => {
    const agent = await Agent.start();
    const entry = await agent.one();
    const over = held();
    agent.end = () => over.promise.then(() => ({ running: 0 }));
    await agent.shared.restart(entry, "a test");
    expect(agent.row(entry.key)?.state).to.equal("RESTARTING");
    expect(agent.made).to.have.lengthOf(1);
    over.go();
    await eventually(() => agent.isAlive(entry.key) && agent.made.length === 2, "it is made again");
    expect(new Set(agent.made.map(({ worker }) => worker)).size).to.equal(1);
  });

  it("where calls of the one before go on, the next is made in another process", async () => {
    const agent = await Agent.start();
    const entry = await agent.one();
    agent.end = () => Promise.resolve({ running: 1 });
    await agent.shared.restart(entry, "a test");
    await eventually(() => agent.isAlive(entry.key) && agent.made.length === 2, "it is made again");
    expect(new Set(agent.made.map(({ worker }) => worker)).size).to.equal(2);
  });

  it("what the constructor of an earlier incarnation throws late ends nobody", async () => {
    const agent = await Agent.start();
    const first = held();
    agent.construct = () => (agent.made.length === 1 ? first.promise : Promise.resolve());
    const entry = await agent.one();
    await eventually(() => agent.made.length === 1, "its constructor runs");
    await agent.shared.restart(entry, "a test");
    await eventually(() => agent.isAlive(entry.key), "it is made again");
    first.fail(new ActorDiedError("too late"));
    await new Promise((turn) => setImmediate(turn));
    expect(agent.isAlive(entry.key)).to.equal(true);
    expect(agent.pool.size).to.equal(1);
  });

  it("a process that is ended because it is empty is not chosen any more, and its end is no crash", async () => {
    const agent = await Agent.start();
    const entry = await agent.one();
    await agent.book.apply(entry.key, { kind: "ended", cause: { code: "ACTOR_DIED", message: "a test" } });
    await eventually(() => agent.endedWorkers.length === 1, "it is ended");
    const next = await agent.one();
    expect(next.value.process).not.to.equal(entry.value.process);
    const [old] = agent.endedWorkers;
    agent.shared.workerExited(old as ProcessId, { pid: 1, exitCode: 0, stderr: [] });
    expect(agent.isAlive(next.key)).to.equal(true);
  });

  it("a process that can't be opened is ended, and the actor is made in the next one if it may come back", async () => {
    const agent = await Agent.start();
    agent.open = () => {
      agent.open = () => Promise.resolve();
      return Promise.reject(new ConnectionError("the worker is gone"));
    };
    const spec = specOf({ maxRestarts: 1 });
    const claim = await agent.book.create({ spec, state: "PENDING", epoch: 0, agent: AGENT, restarts: 0 });
    expect(await agent.shared.host(claim as ActorEntry)).to.equal(true);
    await eventually(() => agent.isAlive(spec.actor), "it is made in the next process");
    expect(agent.endedWorkers).to.have.lengthOf(1);
    expect(agent.row(spec.actor)?.restarts).to.equal(1);
  });

  it("nothing is written of an actor whose process is not up soon", async () => {
    const agent = await Agent.start();
    agent.acquire = () => new Promise(() => undefined);
    const spec = specOf();
    expect(await agent.shared.create(spec, () => Promise.resolve(true))).to.equal("later");
    expect(agent.row(spec.actor)).to.equal(undefined);
    expect(agent.pool.size).to.equal(0);
  });

  it("at a job's end those that do not outlive it end in order beside those that do", async () => {
    const agent = await Agent.start();
    const [, lasting] = [await agent.one(), await agent.one({ detached: true })];
    agent.shared.forgetJob(JOB);
    await agent.shared.endJob(JOB, 100);
    expect(agent.jobEnds).to.deep.equal([lasting.value.process]);
    expect(agent.pool.size).to.equal(1);
    expect(agent.isAlive(lasting.key)).to.equal(true);
  });
});
