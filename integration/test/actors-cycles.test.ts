/** Calls of actors that wait for themselves, and those that only look like it. */
import { expect } from "chai";
import { DeadlockError, GetTimeoutError, TaskError, get, kill, ready, type ActorHandle } from "stingray";
import { rejection, testCluster, type TestCluster } from "stingray/testing";
import { RemoteScripted, type Scripted, type Step } from "./fixtures/cycles.js";

/** The error at the bottom. */
function rootOf(error: unknown): unknown {
  return error instanceof TaskError && error.cause !== undefined ? rootOf(error.cause) : error;
}

/** Mulberry32: the same scripts for the same seed. */
function random(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Steps that await actors from `lowest` on, several at once at times. */
function randomSteps(next: () => number, depth: number, lowest = 0): Step[] {
  const pick = (): number => lowest + Math.floor(next() * (3 - lowest));
  const above = (actor: number): number => (lowest === 0 ? 0 : actor + 1);
  const below = (actor: number): Step[] =>
    depth > 0 && above(actor) < 3 ? randomSteps(next, depth - 1, above(actor)) : [];
  return Array.from({ length: Math.floor(next() * 3) }, (): Step => {
    const actor = pick();
    const kind = next();
    if (kind < 0.2) return { try: [{ await: actor, steps: below(actor) }] };
    if (kind < 0.4) return { sleepMs: Math.floor(next() * 10) };
    if (kind < 0.55) return { await: actor, how: "task", steps: below(actor) };
    return { await: actor, steps: below(actor) };
  });
}

/** What one run of these steps comes to when nothing else runs: the number of calls, or undefined for a circle. */
function outcome(steps: readonly Step[], waiting: readonly number[]): number | undefined {
  let calls = 0;
  for (const step of steps) {
    if ("try" in step) calls += outcome(step.try, waiting) ?? 0;
    else if ("await" in step) {
      const below = waiting.includes(step.await) ? undefined : outcome(step.steps, [...waiting, step.await]);
      if (below === undefined) return undefined;
      calls += 1 + below;
    }
  }
  return calls;
}

describe("circles of calls", function () {
  this.timeout(20_000);
  let test: TestCluster;
  let actors: ActorHandle<Scripted>[];

  before(async () => {
    test = await testCluster({ cpus: 4 });
    actors = [0, 1, 2].map(() => RemoteScripted.options({ concurrencyGroups: { io: 1 } }).remote());
    await Promise.all(actors.map((actor) => ready(actor)));
  });
  after(() => test.end());

  const run = (steps: readonly Step[], first = 0): Promise<number> =>
    get((actors[first] as ActorHandle<Scripted>).run.remote(actors, steps));
  const deadlock = async (steps: readonly Step[]): Promise<DeadlockError> => {
    const root = rootOf(await rejection(run(steps)));
    expect(root).to.be.instanceOf(DeadlockError);
    return root as DeadlockError;
  };

  it("fail with the circle in the error: two actors, three, one alone, and through a task", async () => {
    const two = await deadlock([{ await: 1, steps: [{ await: 0, steps: [] }] }]);
    expect(two.detail["methods"]).to.deep.equal(["Scripted.run", "Scripted.run", "Scripted.run"]);
    const [first, second, third] = two.detail["actors"] as string[];
    expect(first).to.equal(third).and.not.to.equal(second);
    for (const id of [first, second]) expect(two.message).to.include(id);
    expect((await deadlock([{ await: 0, steps: [] }])).detail["actors"]).to.have.lengthOf(2);
    const three = await deadlock([{ await: 1, steps: [{ await: 2, steps: [{ await: 0, steps: [] }] }] }]);
    expect(new Set(three.detail["actors"] as string[]).size).to.equal(3);
    const task = await deadlock([{ await: 1, how: "task", steps: [{ await: 0, how: "task", steps: [] }] }]);
    expect(task.detail["methods"]).to.include("callFromTask");
    expect(await run([{ await: 1, steps: [{ await: 2, steps: [] }] }])).to.equal(2);
  });

  it("fail also where one of many awaited calls comes back, and where actors find themselves by name", async () => {
    await deadlock([
      {
        all: [
          [1, [{ sleepMs: 20 }]],
          [2, [{ await: 0, steps: [] }]],
        ],
      },
    ]);
    const named = RemoteScripted.options({ name: "itself" }).remote();
    expect(rootOf(await rejection(get(named.callByName.remote("itself"))))).to.be.instanceOf(DeadlockError);
    await kill(named);
  });

  it("fail also where a handle's calls are awaited by disposing of it", async () => {
    const back: Step[] = [{ try: [{ await: 0, steps: [] }] }];
    expect(await run([{ await: 1, how: "dispose", steps: back }])).to.equal(1);
    const caught = get((actors[1] as ActorHandle<Scripted>).caught.remote());
    expect((await caught).at(-1)).to.equal("DeadlockError");
  });

  it("fail where callers wait for each other's turn: two that call each other at the same time", async () => {
    const crossing = [
      run([{ try: [{ sleepMs: 50 }, { await: 1, steps: [] }] }], 0),
      run([{ try: [{ sleepMs: 50 }, { await: 0, steps: [] }] }], 1),
    ];
    const counts = await Promise.all(crossing);
    // One fails; the other is then free to go on.
    expect(counts.toSorted((a, b) => a - b)).to.deep.equal([0, 1]);
  });

  it("fail at the call only: who catches the error goes on", async () => {
    expect(await run([{ await: 1, steps: [{ try: [{ await: 0, steps: [] }] }] }])).to.equal(1);
    expect(await get((actors[1] as ActorHandle<Scripted>).caught.remote())).to.include("DeadlockError");
  });

  it("fail also where the calls are kept in durable mailboxes", async () => {
    const kept = [0, 1].map(() => RemoteScripted.options({ mailbox: "durable" }).remote());
    const [first] = kept as [ActorHandle<Scripted>];
    const steps: Step[] = [{ await: 1, steps: [{ await: 0, steps: [] }] }];
    expect(rootOf(await rejection(get(first.run.remote(kept, steps))))).to.be.instanceOf(DeadlockError);
    expect(await get(first.run.remote(kept, [{ await: 1, steps: [] }]))).to.equal(1);
  });

  it("are no circles where a generator has the turn until it is read to its end or left", async () => {
    const [first] = actors as [ActorHandle<Scripted>];
    const items = first.items.remote(actors, [{ await: 1, steps: [{ sleepMs: 50 }] }]);
    const behind = first.caught.remote();
    const order: string[] = [];
    void get(behind).then(() => order.push("behind"));
    for await (const item of items) order.push(String(await get(item)));
    await get(behind);
    expect(order).to.deep.equal(["1", "behind"]);
  });

  it("with more than one turn fail when all of them wait, and not before", async () => {
    const wide = RemoteScripted.options({ maxConcurrency: 2 }).remote();
    const mates = [wide, actors[1] as ActorHandle<Scripted>];
    const back: Step[] = [{ await: 1, steps: [{ await: 0, steps: [] }] }];
    expect(await get(wide.run.remote(mates, back))).to.equal(2);
    // The turn that it needs comes free after a while.
    const busy = wide.run.remote(mates, [{ sleepMs: 300 }]);
    expect(await get(wide.run.remote(mates, back))).to.equal(2);
    await get(busy);
    const itself: Step[] = [{ await: 0, steps: [{ await: 0, steps: [] }] }];
    expect(rootOf(await rejection(get(wide.run.remote(mates, itself))))).to.be.instanceOf(DeadlockError);
    await kill(wide);
  });

  it("are all found, and nothing else is, whatever calls what", async () => {
    const next = random(7);
    let circles = 0;
    for (let n = 0; n < 15;) {
      const steps = randomSteps(next, 3);
      const expected = outcome(steps, [0]);
      if (expected !== undefined && expected < 2) continue; // nothing to be seen
      n++;
      const result = await run(steps).catch(rootOf);
      if (expected !== undefined) expect(result, JSON.stringify(steps)).to.equal(expected);
      else expect(result, JSON.stringify(steps)).to.be.instanceOf(DeadlockError);
      if (expected === undefined) circles++;
    }
    expect(circles).to.be.within(3, 12);
  });

  it("do not fail calls that all go the same way, however many wait for one another", async () => {
    const next = random(11);
    const runs = Array.from({ length: 60 }, () => run(randomSteps(next, 2, 1)));
    for (const count of await Promise.all(runs)) expect(count).to.be.a("number");
  });

  it("are resolved where many cross one another: every call ends", async () => {
    const next = random(13);
    const ends = await Promise.allSettled(
      Array.from({ length: 30 }, (_, n) => run(randomSteps(next, 2), n % 3)),
    );
    for (const end of ends)
      if (end.status === "rejected") expect(rootOf(end.reason)).to.be.instanceOf(DeadlockError);
  });

  it("do not fail what is not awaited, has a turn of its own, or ends by its own limit", async () => {
    expect(await run([{ await: 1, steps: [{ call: 0, steps: [] }] }])).to.equal(1);
    expect(await run([{ await: 1, steps: [{ await: 0, how: "group", steps: [] }] }])).to.equal(2);
    const reader = actors[0] as ActorHandle<Scripted>;
    const shared: Step[] = [{ await: 1, steps: [{ await: 0, how: "shared", steps: [] }] }];
    expect(await get(reader.read.remote(actors, shared))).to.equal(2);
    const limited = reader.awaitFor.remote(actors, 1, [{ await: 0, steps: [] }], 300);
    expect(rootOf(await rejection(get(limited)))).to.be.instanceOf(GetTimeoutError);
    expect(await run([])).to.equal(0);
  });
});
