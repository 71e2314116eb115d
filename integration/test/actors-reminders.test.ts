/** Reminders and delayed calls: at their time, once, whoever ends meanwhile. */
import { expect } from "chai";
import {
  ActorDiedError,
  InvalidArgumentError,
  InvalidOptionError,
  TaskCancelledError,
  cancelReminder,
  context,
  get,
  kill,
  listReminders,
  put,
  setReminder,
  type ActorHandle,
} from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import { RemoteForgetful, RemoteSleeper, type Sleeper } from "./fixtures/reminder-actors.js";

const MINUTE = 60_000;
const DAY = 86_400_000;
const START = Date.parse("2026-03-28T10:00:00Z");

describe("reminders", function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  let files = 0;
  before(async () => {
    cluster = await testCluster({ nodes: 2, clock: START, driver: "remote" });
  });
  after(() => cluster.end());

  const sleeper = (): ActorHandle<Sleeper> => RemoteSleeper.remote(cluster.file(`heard-${files++}`));
  const hears = (actor: ActorHandle<Sleeper>, wanted: string[]): Promise<unknown> =>
    eventually(
      async () => {
        const { heard } = await get(actor.all.remote());
        if (heard.join() !== wanted.join()) throw new Error(`it heard ${heard.join()}`);
        return true;
      },
      { message: `it hears ${wanted.join()}` },
    );

  it("come at their time, once or again and again, with arguments as they were", async () => {
    const actor = sleeper();
    const three = await put({ n: 3 });
    await setReminder(actor, {
      name: "once",
      method: "hear",
      args: ["once"],
      at: new Date(START + 5 * MINUTE),
    });
    await setReminder(actor, {
      name: "often",
      method: "hear",
      args: ["often", await get(three)],
      everyMs: 2 * MINUTE,
    });
    await setReminder(actor, {
      name: "noon",
      method: "hear",
      args: ["noon"],
      cron: "0 12 * * *",
      timeZone: "Europe/Paris",
    });
    expect((await listReminders(actor)).map(({ name, nextAt }) => [name, nextAt - START])).to.deep.equal([
      ["often", 2 * MINUTE],
      ["once", 5 * MINUTE],
      ["noon", 60 * MINUTE],
    ]);
    await cluster.clock.advance(5 * MINUTE);
    await hears(actor, ["often 3", "often 3", "once"]);
    expect(await cancelReminder(actor, "often")).to.equal(true);
    expect(await cancelReminder(actor, "once")).to.equal(false);
    await cluster.clock.advance(DAY);
    await hears(actor, ["often 3", "often 3", "once", "noon", "noon"]);
    // Summer time has begun: noon is earlier.
    const [noon] = await listReminders(actor);
    expect(new Date(noon?.nextAt ?? 0).toISOString()).to.equal("2026-03-30T10:00:00.000Z");
    await kill(actor);
  });

  it("can be set by the actor itself", async () => {
    const actor = sleeper();
    expect(await get(actor.remindMyself.remote("me", MINUTE))).to.deep.equal(["me"]);
    expect((await listReminders(actor)).map(({ name }) => name)).to.deep.equal(["me"]);
    await cluster.clock.advance(MINUTE);
    await hears(actor, ["me"]);
    expect(await listReminders(actor)).to.deep.equal([]);
    await kill(actor);
  });

  it("have calls with delayMs beside them, whose callers hear how they ended", async () => {
    const actor = sleeper();
    const later = actor.hear.options({ delayMs: 5 * MINUTE }).remote("later");
    const sooner = actor.hear.options({ delayMs: 2 * MINUTE }).remote("sooner");
    const stop = new AbortController();
    const cancelled = actor.hear.options({ delayMs: MINUTE, signal: stop.signal }).remote("never");
    const failing = actor.fail.options({ delayMs: MINUTE }).remote();
    const twins = [actor, actor].map((one) =>
      one.hear.options({ delayMs: MINUTE, callId: "twin" }).remote("twin"),
    );
    const now = actor.hear.remote("now");
    expect(await get(now)).to.equal("heard now");
    const late = await rejection(get(later, { timeoutMs: 1 }));
    expect(late.message).to.contain("with a delay of 300 s");
    stop.abort(new Error("changed my mind"));
    expect(await rejection(get(cancelled))).to.be.instanceOf(TaskCancelledError);
    expect(await listReminders(actor)).to.deep.equal([]);
    const soon = sleeper();
    const first = soon.hear.options({ delayMs: 5 * MINUTE }).remote("first");
    await cluster.clock.advance(5 * MINUTE);
    // Also those that were on their way, to an actor that was just being made.
    expect(await get(first, { timeoutMs: 10_000 })).to.equal("heard first");
    expect(await get([later, sooner, ...twins])).to.deep.equal([
      "heard later",
      "heard sooner",
      "heard twin",
      "heard twin",
    ]);
    expect((await rejection(get(failing))).message).to.contain("not today");
    const { heard } = await get(actor.all.remote());
    expect(heard.toSorted()).to.deep.equal(["later", "now", "sooner", "twin"]);
    const forgetful = RemoteForgetful.remote(cluster.file("forgetful-2"));
    const refused = await rejection(get(forgetful.hear.options({ delayMs: 5 }).remote("x")));
    expect(refused).to.be.instanceOf(InvalidOptionError);
    expect(refused.message).to.contain('mailbox: "durable"');
    await kill(actor);
  });

  it("outlive the actor's process, its agent and the broker, and come once", async () => {
    const actor = sleeper();
    await setReminder(actor, { name: "often", method: "hear", args: ["often"], everyMs: MINUTE });
    await cluster.clock.advance(MINUTE);
    await hears(actor, ["often"]);
    const node = await cluster.nodeOf(actor);
    await node.kill();
    await hears(actor, ["often"]);
    await cluster.clock.advance(MINUTE);
    await hears(actor, ["often", "often"]);
    await cluster.broker.kill();
    await cluster.broker.restart();
    await cluster.clock.advance(MINUTE);
    await hears(actor, ["often", "often", "often"]);
    await kill(actor);
  });

  it("are refused where they make no sense, with what to do", async () => {
    const actor = sleeper();
    const forgetful = RemoteForgetful.remote(cluster.file("forgetful"));
    const wrong: [Promise<void>, typeof InvalidOptionError, string][] = [
      [
        setReminder(forgetful, { name: "a", method: "all", delayMs: 1 }),
        InvalidOptionError,
        'mailbox: "durable"',
      ],
      [setReminder(actor, { name: "a", method: "all" }), InvalidOptionError, "give one of delayMs"],
      [setReminder(actor, { name: "a", method: "all", cron: "x y z" }), InvalidOptionError, "cron"],
      [setReminder(actor, { name: "a", method: "all", delayMs: Infinity }), InvalidOptionError, "delayMs"],
      [setReminder(actor, { name: "a", method: "all", everyMs: Infinity }), InvalidOptionError, "everyMs"],
      [setReminder(actor, { name: "a", method: "all", at: 1e300 }), InvalidOptionError, "9999"],
      [setReminder(actor, { name: "", method: "all", delayMs: 1 }), InvalidOptionError, "name"],
      [
        setReminder(actor, { name: "a", method: "al" as "all", delayMs: 1 }),
        InvalidArgumentError,
        'did you mean "all"',
      ],
    ];
    const errors = await Promise.all(wrong.map(([promise]) => rejection(promise)));
    for (const [i, [, cls, text]] of wrong.entries()) {
      const error = errors[i] as Error;
      expect(error).to.be.instanceOf(cls);
      expect(error.message).to.contain(text);
    }
    await kill(actor);
    expect(await rejection(setReminder(actor, { name: "a", method: "all", delayMs: 1 }))).to.be.instanceOf(
      ActorDiedError,
    );
  });
});

/** Never called: what must not compile. */
export async function typesOfReminders(actor: ActorHandle<Sleeper>): Promise<void> {
  await setReminder(actor, { name: "a", method: "hear", args: ["x", { n: 1 }], delayMs: 1 });
  await setReminder(actor, { name: "a", method: "all", everyMs: 1 });
  // @ts-expect-error no such method
  await setReminder(actor, { name: "a", method: "nothing", delayMs: 1 });
  // @ts-expect-error it needs an argument
  await setReminder(actor, { name: "a", method: "hear", delayMs: 1 });
  // @ts-expect-error an argument of another type
  await setReminder(actor, { name: "a", method: "hear", args: [5], delayMs: 1 });
  // @ts-expect-error not of the class
  await context().setReminder<Sleeper>({ name: "a", method: "heard", delayMs: 1 });
  await context().setReminder({ name: "a", method: "whatever", args: [1], cron: "* * * * *" });
}
