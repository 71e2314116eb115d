/** What a node waits for before it leaves, and what it tells of it. */
import { TimeoutError, type ActorSpec } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import type { Bid } from "@stingray/scheduler";
import { expect } from "chai";
import { LeavingActors } from "../../src/agent/drain/actors.js";
import { Drain, type DrainHooks } from "../../src/agent/drain/drain.js";
import { LeavingObjects, type LeavingObjectHooks } from "../../src/agent/drain/objects.js";
import { nextDrainState, type DrainState } from "../../src/agent/drain/state.js";
import { describeLeft, describeOutcome } from "../../src/agent/drain/text.js";
import type { Incarnation } from "../../src/controller/actor-host.js";

const reason = "new disk";
const node = "n000000000000";

/** A node with what a test puts on it. */
class Stage {
  readonly busy = new Set<string>();
  readonly primaries = new Map<string, number>();
  readonly hosted = new Map<string, Incarnation>();
  others = true;
  lenders = 0;
  /** What the workers wait for before they say what they have lent. */
  asked: Promise<void> = Promise.resolve();
  late = 0;
  readonly holders = new Map<string, string[]>();
  readonly kept: string[] = [];
  readonly freed: string[] = [];
  readonly told: string[] = [];
  keep: LeavingObjectHooks["keep"] = (to, _agent, { object }) => {
    this.kept.push(`${object} ${to}`);
    return Promise.resolve();
  };
  outcome: "moved" | "pending" | "unknown" | Error = "moved";
  readonly left: string[] = [];
  readonly placeless = new Set<string>();
  /** What the table waits for before the end of an actor is written down. */
  written: Promise<void> = Promise.resolve();
  readonly drain: Drain;
  private clock = 0;

  constructor() {
    const now = (): number => performance.now() + this.clock;
    const failed: DrainHooks["failed"] = (what, error) => {
      throw new Error(what, { cause: error });
    };
    const views = [
      ["n1", 10],
      ["n2", 1_000],
    ].map(([name, storeCapacity]) => ({
      node: name,
      agent: `g${String(name)}`,
      state: "ALIVE",
      storeUsed: 0,
      storeCapacity,
    }));
    const objects = new LeavingObjects({
      node,
      agent: "g0",
      nodes: () => (this.others ? (views as never) : []),
      keep: (...args) => this.keep(...args),
      free: (to, _agent, object) => void this.freed.push(`${object} ${to}`),
      primaries: () => [...this.primaries].map(([object, size]) => ({ object, size })),
      holders: (object) => Promise.resolve(this.holders.get(object) ?? []),
      ownedHere: (object) => object.startsWith("own"),
      tellOwner: ({ object }, [to]) => {
        this.told.push(`${object} ${to}`);
        return this.outcome instanceof Error ? Promise.reject(this.outcome) : Promise.resolve(this.outcome);
      },
      hasOthers: () => this.others,
      now,
    });
    const actors = new LeavingActors({
      node,
      hosted: () => this.hosted.values(),
      leave: (incarnation, { again }) => {
        this.left.push(`${incarnation.spec.actor} ${again ? "again" : "for good"}`);
        incarnation.state = "over";
        this.hosted.delete(incarnation.spec.actor);
        return this.written.then(() => (again ? "moved" : "ended"));
      },
      isPlaceless: (actor) => this.placeless.has(actor),
      others: () =>
        this.others
          ? [
              {
                node: "n1",
                agent: "g1",
                available: { CPU: 1 },
                total: { CPU: 1 },
                labels: {},
              } as unknown as Bid,
            ]
          : [],
      failed,
      now,
    });
    this.drain = new Drain({
      actors,
      objects,
      refuseWork: () => undefined,
      busyWorkers: () => [...this.busy],
      promised: () => false,
      endWorker: (worker) => void this.busy.delete(worker),
      lenders: () => this.asked.then(() => this.lenders),
      hasOthers: () => this.others,
      failed,
      now,
    });
  }

  pass(ms: number): void {
    this.clock += ms;
  }
  actor(name: string, maxRestarts: number, cpus = 1, group = false): void {
    const spec = {
      actor: name,
      className: "Counter",
      maxRestarts,
      placement: { resources: { CPU: cpus }, ...(group ? { scheduling: { kind: "group" } } : {}) },
    };
    this.hosted.set(name, { spec: spec as unknown as ActorSpec, epoch: 1, fresh: true, state: "alive" });
  }
  order(deadlineMs = 60_000): ReturnType<Drain["order"]> {
    return this.drain.order({ reason, deadlineMs });
  }
  async ends(): Promise<ReturnType<Drain["view"]>> {
    const view = await this.drain.whenLeft(5_000);
    expect(view.state).to.equal("left");
    return view;
  }
}

describe("draining a node", () => {
  let stage: Stage;
  beforeEach(() => (stage = new Stage()));
  afterEach(() => stage.drain.stop());

  it("goes one way, and its deadline only comes closer", () => {
    const alive: DrainState = { kind: "alive" };
    expect(nextDrainState(alive, { on: "time", at: 9 })).to.equal(alive);
    expect(nextDrainState(alive, { on: "empty" })).to.equal(alive);
    const first = nextDrainState(alive, { on: "drain", reason, deadline: 50 });
    expect(nextDrainState(first, { on: "drain", reason: "other", deadline: 60 })).to.equal(first);
    expect(nextDrainState(first, { on: "drain", reason: "other", deadline: 40 })).to.deep.equal({
      ...first,
      deadline: 40,
    });
    expect(nextDrainState(first, { on: "time", at: 49 })).to.equal(first);
    const late = nextDrainState(first, { on: "time", at: 50 });
    expect(late.kind).to.equal("late");
    expect(nextDrainState(late, { on: "drain", reason, deadline: 99 })).to.equal(late);
    const left = nextDrainState(late, { on: "empty" });
    expect(left.kind).to.equal("left");
    expect(nextDrainState(left, { on: "time", at: 999 })).to.equal(left);
  });

  it("is over at once where nothing is there, and tells nobody that it began", async () => {
    let began = 0;
    stage.drain.onBegin(() => began++);
    stage.order();
    const { left, done } = await stage.ends();
    expect(left).to.deep.equal({ tasks: 0, actors: 0, owners: 0, objects: 0, bytes: 0 });
    expect(Object.values(done).every((count) => count === 0)).to.equal(true);
    expect(began).to.equal(0);
  });

  it("waits for tasks until the deadline, which a second order brings closer", async () => {
    stage.busy.add("w1").add("w2");
    expect(stage.order().state).to.equal("draining");
    await eventually(() => stage.drain.view().left.tasks === 2, "they are seen");
    expect(describeLeft(stage.drain.view())).to.contain("2 workers with running tasks left, 60 s");
    stage.busy.delete("w1");
    stage.order(0);
    const { done } = await stage.ends();
    expect(done.endedTasks).to.equal(1);
    expect(stage.busy.size).to.equal(0);
  });

  it("moves actors that may be made again where there is room, and ends the others at the deadline", async () => {
    stage.actor("a", 3);
    stage.actor("b", 0);
    stage.actor("c", 3, 8);
    stage.order();
    await eventually(() => stage.left.length === 1, "one has moved");
    expect(stage.left).to.deep.equal(["a again"]);
    stage.order(0);
    const view = await stage.ends();
    expect(stage.left).to.deep.equal(["a again", "b for good", "c again"]);
    expect(view.done).to.deep.include({ movedActors: 2, endedActors: 1 });
    const { lines, lost } = describeOutcome(node, view);
    expect(lost).to.equal(true);
    expect(lines.join("\n"))
      .to.contain("2 actors moved")
      .and.to.contain("lost with it: 1 actor that could not move");
  });

  it("waits until the end of an actor is written down", async () => {
    let write!: () => void;
    stage.written = new Promise((resolve) => (write = resolve));
    stage.actor("a", 3);
    stage.order();
    await eventually(() => stage.left.length === 1, "it ends");
    const before = await stage.drain.whenLeft(200);
    expect([before.state, before.left.actors]).to.deep.equal(["draining", 1]);
    write();
    expect((await stage.ends()).done.movedActors).to.equal(1);
  });

  it("ends no more actors than others have room for, with those that have no new place yet", async () => {
    stage.actor("a", 3);
    stage.actor("b", 3);
    stage.placeless.add("a").add("b");
    stage.order();
    await eventually(() => stage.left.length === 1, "one leaves");
    stage.pass(1_100);
    await stage.drain.whenLeft(200);
    expect(stage.left).to.deep.equal(["a again"]);
    stage.placeless.clear();
    await eventually(() => stage.left.length === 2, "the other leaves, too");
    stage.pass(1_100);
    await stage.ends();
    expect(stage.left).to.deep.equal(["a again", "b again"]);
  });

  it("has actors that wait for their calls hold up no others, and all that are left end at the deadline", async () => {
    stage.written = new Promise(() => undefined);
    for (let i = 0; i < 20; i++) stage.actor(`a${i}`, 3, 0);
    stage.order();
    await eventually(() => stage.left.length === 16, "some leave");
    stage.pass(1_100);
    await eventually(() => stage.left.length === 20, "the others do");
    for (let i = 0; i < 100; i++) stage.actor(`b${i}`, 0, 0);
    stage.order(0);
    await eventually(() => stage.left.length === 120, "all end");
    stage.pass(10_000);
    await stage.ends();
  });

  it("keeps actors of a placement group until nothing else is left: their bundle comes back when it has gone", async () => {
    stage.actor("a", 3, 1, true);
    stage.busy.add("w1");
    stage.order();
    await eventually(() => stage.drain.view().left.tasks === 1, "the task is seen");
    stage.primaries.set("d1.1.0", 5);
    stage.outcome = "pending";
    stage.busy.clear();
    await eventually(() => stage.told.length > 1, "its object is about to move");
    expect(stage.left).to.deep.equal([]);
    stage.outcome = "moved";
    stage.lenders = 1;
    await eventually(() => stage.drain.view().left.owners === 1, "what was lent is seen");
    expect(stage.left).to.deep.equal([]);
    stage.lenders = 0;
    stage.pass(500);
    await eventually(() => stage.left.length === 1, "it leaves");
    stage.pass(1_100);
    await stage.ends();
    expect(stage.left).to.deep.equal(["a again"]);
  });

  it("has other nodes keep its objects, the one with the most room first, and tells their owners", async () => {
    stage.primaries.set("d1.1.0", 5).set("own.1.0", 7);
    stage.order();
    const { done } = await stage.ends();
    expect(done).to.deep.include({ movedObjects: 1, movedBytes: 5, lostObjects: 0 });
    expect(stage.kept).to.deep.equal(["d1.1.0 n2"]);
    expect(stage.told).to.deep.equal(["d1.1.0 n2"]);
  });

  it("asks an owner again that does not know the value yet, and drops what it never had", async () => {
    stage.primaries.set("d1.1.0", 5);
    stage.outcome = "pending";
    stage.order();
    await eventually(() => stage.told.length >= 2, "it is asked again");
    expect(stage.kept.length).to.equal(1);
    stage.outcome = "unknown";
    const asked = stage.told.length;
    await eventually(() => stage.told.length > asked, "it says that it does not know it");
    stage.pass(3_000);
    const { done } = await stage.ends();
    expect(done).to.deep.include({ movedObjects: 0, lostObjects: 0 });
    expect(stage.freed).to.deep.equal(["d1.1.0 n2"]);
  });

  it("has the next objects go as soon as others have moved, and few large ones at a time", async () => {
    let most = 0;
    let bytes = 0;
    stage.keep = async (_to, _agent, { size }) => {
      bytes += size;
      most = Math.max(most, bytes);
      await new Promise((turn) => setImmediate(turn));
      bytes -= size;
    };
    for (let i = 0; i < 5_000; i++) stage.primaries.set(`d1.${i}.0`, 1);
    for (let i = 0; i < 20; i++) stage.primaries.set(`d2.${i}.0`, 100 * 1024 * 1024);
    stage.order();
    const { done } = await stage.ends();
    expect(done).to.deep.include({ movedObjects: 5_020, lostObjects: 0 });
    expect(most).to.be.lessThan(500 * 1024 * 1024);
  });

  it("keeps the copy that it made while the owner is only busy, and asks it again", async () => {
    stage.primaries.set("d1.1.0", 5);
    stage.outcome = new TimeoutError("no answer in time");
    stage.order();
    await eventually(() => stage.told.length >= 2, "it is asked again");
    stage.outcome = "moved";
    const { done } = await stage.ends();
    expect(done).to.deep.include({ movedObjects: 1, lostObjects: 0 });
    expect(stage.kept.length).to.equal(1);
    expect(stage.freed).to.deep.equal([]);
  });

  it("gives the copy of an object of which there are several to a node that has none", async () => {
    stage.primaries.set("d1.1.0", 5);
    stage.holders.set("d1.1.0", [node, "n2"]);
    stage.order();
    await stage.ends();
    expect(stage.kept).to.deep.equal(["d1.1.0 n1"]);
  });

  it("does not wait for what lies here while workers don't say what they have lent", async () => {
    stage.asked = new Promise(() => undefined);
    stage.busy.add("w1");
    stage.order();
    await eventually(() => stage.drain.view().left.tasks === 1, "the task is seen");
    stage.busy.clear();
    await eventually(() => stage.drain.view().left.tasks === 0, "it has ended");
    stage.primaries.set("d1.1.0", 5);
    await eventually(() => stage.drain.view().done.movedObjects === 1, "the object has moved");
    expect(stage.drain.view().state).to.equal("draining");
  });

  it("says what is lost where no node takes it", async () => {
    stage.primaries.set("d1.1.0", 5);
    stage.keep = () => Promise.reject(new Error("its store is full"));
    stage.order();
    await eventually(() => stage.freed.length >= 2, "both were asked");
    stage.pass(70_000);
    const view = await stage.ends();
    expect(view.done).to.deep.include({ lostObjects: 1, lostBytes: 5 });
    expect(view.notes.join()).to.contain("its store is full");
    expect(describeOutcome(node, view).lost).to.equal(true);
  });

  it("waits for nobody to take what is on the last node", async () => {
    stage.others = false;
    stage.primaries.set("d1.1.0", 5);
    stage.lenders = 1;
    stage.actor("a", 3);
    stage.busy.add("w1");
    stage.order();
    await eventually(() => stage.drain.view().left.tasks === 1, "the task is seen");
    expect(stage.left).to.deep.equal([]);
    stage.busy.clear();
    const { done, notes } = await stage.ends();
    expect(stage.left).to.deep.equal(["a again"]);
    expect(done).to.deep.include({ lostObjects: 1, endedOwners: 1 });
    expect(notes.join()).to.contain("no other node is there");
  });
});
