/** Calls of actors that wait for themselves, and those that only look like it. */
import { expect } from "chai";
import { DeadlockError, GetTimeoutError, TaskError, get, kill, ready, type ActorHandle } from "stingray";
import { rejection, testCluster, type TestCluster } from "stingray/testing";
import { RemoteScripted, type Scripted, type Step } from "./fixtures/cycles.js";

/** The error at the bottom. */
function rootOf(error: unknown): unknown {
  return error instanceof TaskError && error.cause !== undefined ? rootOf(error.cause) : error;
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
