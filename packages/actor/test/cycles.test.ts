/**
 * Finding calls that wait for themselves, in simulated clusters of actors that call one another at random. The oracle is
 * the simulation: what was taken for stuck must never end, and what never ends must be taken for stuck.
 */
import { expect } from "chai";
import { ownerOf, type ProcessId, type TaskId, type WaitState } from "@stingray/protocol";
import { surveyOf, type Asked } from "../src/cycles/survey.js";
import { cycleThrough, stuckIn, victimWith, type WaitGraph, type Waiter } from "../src/cycles/wait-graph.js";
import { Mailbox, type QueuedCall } from "../src/mailbox.js";

/** Mulberry32: the same for the same seed. */
function random(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Call {
  state: "queued" | "running" | "waiting" | "ended" = "queued";
  children: Call[] = [];
  needs = 0;
  version = 0;
  finished: (() => void) | undefined;

  constructor(
    readonly taskId: TaskId,
    readonly actor: number,
    readonly group: string | undefined,
    public stepsLeft: number,
  ) {}

  get missing(): Call[] {
    return this.children.filter(({ state }) => state !== "ended");
  }
  get satisfied(): boolean {
    return this.children.length - this.missing.length >= this.needs;
  }
}

/** Actors, each in a process of its own, with real mailboxes. A driver makes the first calls. */
class World implements Asked {
  readonly calls = new Map<string, Call>();
  private readonly mailboxes: Mailbox[];
  private made = 0;

  constructor(
    private readonly next: () => number,
    actors: number,
    private readonly budget: number,
  ) {
    this.mailboxes = Array.from({ length: actors }, () => new Mailbox(next() < 0.7 ? 1 : 2, { io: 1 }));
    for (let n = 0; n < 3; n++) this.submit("d0");
  }

  private submit(owner: string): Call {
    const actor = Math.floor(this.next() * this.mailboxes.length);
    const group = this.next() < 0.2 ? "io" : undefined;
    const steps = 1 + Math.floor(this.next() * 3);
    const call = new Call(`${owner}.${++this.made}` as TaskId, actor, group, steps);
    this.calls.set(call.taskId, call);
    const queued = call as unknown as QueuedCall["call"];
    this.mailboxes[actor]?.add({ call: queued, shared: this.next() < 0.25, body: () => undefined }, group);
    return call;
  }

  private pump(actor: number): void {
    const mailbox = this.mailboxes[actor];
    for (let got = mailbox?.next(); got !== undefined; got = mailbox?.next()) {
      const call = got.entry.call as unknown as Call;
      call.state = "running";
      call.finished = got.finished;
    }
  }

  /** One step of one call. False where none can take one. */
  step(): boolean {
    this.mailboxes.forEach((_, actor) => this.pump(actor));
    const able = [...this.calls.values()].filter(
      (call) => call.state === "running" || (call.state === "waiting" && call.satisfied),
    );
    const call = able[Math.floor(this.next() * able.length)];
    if (call === undefined) return false;
    if (call.state === "waiting") {
      call.state = "running";
      call.version++;
    } else if (call.stepsLeft-- <= 0) this.end(call);
    else if (this.made < this.budget && this.next() < 0.7) {
      const children = Array.from({ length: 1 + Math.floor(this.next() * 2) }, () =>
        this.submit(`w${call.actor}`),
      );
      if (this.next() < 0.2) return true; // not awaited
      call.children = children;
      call.needs = this.next() < 0.8 ? children.length : 1;
      call.state = "waiting";
      call.version++;
    }
    return true;
  }

  private end(call: Call): void {
    call.state = "ended";
    call.finished?.();
  }

  /** A queued call fails. */
  fail(task: string): void {
    const call = this.calls.get(task) as Call;
    this.mailboxes[call.actor]?.remove((queued) => queued === (call as unknown));
    call.state = "ended";
  }

  get unended(): Call[] {
    return [...this.calls.values()].filter(({ state }) => state !== "ended");
  }

  // Answers take their time, and differ in that.
  steps = 0;
  async ask(
    process: ProcessId,
    _: unknown,
    tasks: readonly string[],
    side: "owner" | "runner",
  ): Promise<WaitState[]> {
    const pace = Math.floor(this.next() * (this.steps + 1));
    for (let n = 0; n < pace; n++) {
      await Promise.resolve();
      this.step();
    }
    return tasks.map((task) => this.stateOf(process, task, side));
  }

  private stateOf(process: ProcessId, task: string, side: "owner" | "runner"): WaitState {
    const call = this.calls.get(task);
    if (call === undefined || call.state === "ended" || call.state === "running")
      return { task, state: side === "owner" && call?.state === "running" ? "sent" : "moves", ...at(call) };
    if (side === "owner") {
      expect(ownerOf(task as TaskId)).to.equal(process);
      return { task, state: "sent", ...at(call) };
    }
    expect(process).to.equal(`w${call.actor}`);
    const { version } = call;
    if (call.state === "waiting") {
      const of = call.missing.map(({ taskId }) => taskId);
      const needs = call.needs - (call.children.length - of.length);
      return needs <= 0
        ? { task, state: "moves" }
        : { task, state: "waits", waits: [{ needs, of }], version };
    }
    const held = this.mailboxes[call.actor]?.heldUpIn(call.group);
    if (held === undefined) return { task, state: "moves" };
    const of = held.holders.map(({ taskId }) => taskId);
    return { task, state: "queued", waits: [{ needs: held.needs, of }] };
  }
}

function at(call: Call | undefined): Pick<WaitState, "at"> {
  return call === undefined ? {} : { at: { process: `w${call.actor}` } };
}

function graphOf(
  edges: Record<string, { queued?: boolean; waits: { needs: number; of: string[] }[] }>,
): WaitGraph {
  return new Map(
    Object.entries(edges).map(([task, { queued = false, waits }]): [string, Waiter] => [
      task,
      { task, name: task, queued, waits },
    ]),
  );
}

describe("waits in circles", function () {
  this.timeout(20_000);

  it("are those that only wait for themselves, whether all or some of many are needed", () => {
    const graph = graphOf({
      a: { waits: [{ needs: 1, of: ["b"] }] },
      b: { queued: true, waits: [{ needs: 1, of: ["a"] }] },
      behind: { waits: [{ needs: 2, of: ["a", "free"] }] },
      any: { waits: [{ needs: 1, of: ["a", "free"] }] },
      either: {
        waits: [
          { needs: 1, of: ["a"] },
          { needs: 1, of: ["any"] },
        ],
      },
    });
    const stuck = stuckIn(graph);
    expect([...stuck].toSorted()).to.deep.equal(["a", "b", "behind"]);
    expect(cycleThrough(graph, stuck, "a")).to.deep.equal(["a", "b"]);
    expect(cycleThrough(graph, stuck, "behind")).to.equal(undefined);
    expect(victimWith(graph, stuck, "a")).to.equal("b");
    expect(victimWith(graph, stuck, "behind")).to.equal(undefined);
  });

  it("are all found and nothing else, while calls go on during the look; then one failure after the other frees them", async () => {
    let deadlocks = 0;
    let early = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const next = random(seed);
      const world = new World(next, 2 + Math.floor(next() * 4), 40);
      const judged = new Set<string>();
      for (let more = true; more;) {
        for (let n = 0; n < 4 && more; n++) more = world.step();
        world.steps = 3;
        const graph = await surveyOf([...world.calls.keys()], world);
        for (const task of stuckIn(graph)) judged.add(task);
      }
      while (world.step());
      for (const task of judged)
        expect(world.calls.get(task)?.state, `seed ${seed}: ${task}`).not.to.equal("ended");
      if (judged.size > 0) early++;
      world.steps = 0;
      if (world.unended.length > 0) deadlocks++;
      for (let fails = 0; world.unended.length > 0; fails++) {
        const stuck = stuckIn(await surveyOf([...world.calls.keys()], world));
        const unended = world.unended.map(({ taskId }) => taskId).toSorted();
        expect([...stuck].toSorted(), `seed ${seed}`).to.deep.equal(unended);
        const all = await surveyOf(unended, world);
        const victim = unended.find((task) => victimWith(all, stuck, task) === task);
        expect(victim, `seed ${seed}`).not.to.equal(undefined);
        // Found from any of its circle, by whoever looks.
        const circle = cycleThrough(all, stuck, victim as string) ?? [];
        const from = await surveyOf(circle.slice(-1), world);
        expect(victimWith(from, stuckIn(from), victim as string), `seed ${seed}`).to.equal(victim);
        world.fail(victim as string);
        while (world.step());
        expect(fails).to.be.lessThan(100);
      }
    }
    expect(deadlocks).to.be.greaterThan(10);
    expect(early).to.be.greaterThan(5);
  });
});
