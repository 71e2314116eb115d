/** Single calls of actors with a durable mailbox: ids, cancelling, limits, those that are set aside. */
import { writeFileSync } from "node:fs";
import { connect } from "@nats-io/transport-node";
import { expect } from "chai";
import { callsSetAside, cancel, dropCall, get, kill, retryCall } from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import { BetweenActor, CircleActor, LedgerActor, PlainActor } from "./fixtures/durable-actors.js";
import { linesOf } from "./support/lines.js";

describe("calls of an actor with a durable mailbox", function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster({ cpus: 4 });
  });
  after(() => cluster.end());

  it("run once for each callId, and tell everybody the result", async () => {
    const file = cluster.file("ids");
    const ledger = LedgerActor.remote(file);
    const once = ledger.add.options({ callId: "the one" });
    const [first, second] = await get([once.remote("a"), once.remote("b")]);
    expect(second).to.equal(first);
    process.kill(await get(ledger.pid.remote()), "SIGKILL");
    expect(await get(once.remote("c"))).to.equal(first);
    expect(linesOf(file)).to.deep.equal(["a"]);
  });

  it("with a callId are tried again, and what they failed with is remembered", async () => {
    const flaky = CircleActor.remote();
    const method = flaky.flaky.options({ callId: "once" });
    const first = await rejection(get(method.remote()));
    expect((await rejection(get(method.remote()))).message).to.equal(first.message);
    const again = flaky.flaky.options({ callId: "more", maxTaskRetries: 5, retryOn: true });
    expect(await get([again.remote(), again.remote()])).to.deep.equal([3, 3]);
    const held = flaky.hold.remote(300);
    const inner = flaky.inner.options({ callId: "twin" });
    const [cancelled, twin] = [inner.remote(), inner.remote()];
    await cancel(cancelled);
    expect((await rejection(get(cancelled))).code).to.equal("TASK_CANCELLED");
    expect(await get(twin)).to.equal(4);
    await get(held);
  });

  it("can be cancelled before they begin and while they run", async () => {
    const file = cluster.file("cancelled");
    const ledger = LedgerActor.remote(file);
    const running = ledger.untilCancelled.remote();
    const queued = ledger.add.remote("never");
    const after = ledger.add.remote("after");
    await eventually(() => linesOf(file).includes("waits"), "the first runs");
    await cancel(queued);
    expect((await rejection(get(queued))).code).to.equal("TASK_CANCELLED");
    await cancel(running);
    expect((await rejection(get(running))).code).to.equal("TASK_CANCELLED");
    await get(after);
    expect(linesOf(file)).to.deep.equal(["waits", "after"]);
    const abort = new AbortController();
    const signalled = ledger.untilCancelled.options({ signal: abort.signal }).remote();
    abort.abort();
    expect((await rejection(get(signalled))).code).to.equal("TASK_CANCELLED");
  });

  it("have time limits, and are limited in number", async () => {
    const ledger = LedgerActor.options({ maxPendingCalls: 2 }).remote();
    const late = ledger.addLater.options({ timeoutMs: 50 }).remote("late", 60_000);
    ledger.pid.remote();
    expect(() => ledger.pid.remote())
      .to.throw()
      .with.property("code", "PENDING_CALLS_LIMIT");
    expect((await rejection(get(late))).code).to.equal("TASK_TIMEOUT");
    await kill(ledger);
  });

  it("that end their process again and again are set aside, and the others run", async () => {
    const file = cluster.file("poison");
    const ledger = LedgerActor.remote(file);
    const before = await get(ledger.add.remote("before"));
    const poison = ledger.poison.remote("p");
    const after = ledger.add.remote("after");
    const error = await rejection(get(poison, { timeoutMs: 30_000 }));
    expect(error.code).to.equal("WORKER_CRASHED");
    expect(error.message).to.contain("poison").and.contain("SIGKILL");
    expect([before, await get(after)]).to.deep.equal([1, 2]);
    expect(linesOf(file)).to.deep.equal(["before", ...Array.from({ length: 4 }, () => "poison p"), "after"]);
    const [aside, ...others] = await callsSetAside(ledger);
    expect(others).to.deep.equal([]);
    expect(aside).to.include({ method: "poison", tries: 3, callId: undefined });
    expect(aside?.error.code).to.equal("WORKER_CRASHED");
    writeFileSync(`${file}.spare`, "");
    expect(await retryCall(ledger, aside?.id ?? "")).to.equal(true);
    expect(await callsSetAside(ledger)).to.deep.equal([]);
    await eventually(() => linesOf(file).includes("spared p"), "it ran");
    expect(await retryCall(ledger, aside?.id ?? "")).to.equal(false);
    expect(await dropCall(ledger, "no such id")).to.equal(false);
  });

  it("may come back to their actor where calls run beside each other, though saves wait for them", async () => {
    const between = BetweenActor.remote();
    const two = CircleActor.options({ maxConcurrency: 2 }).remote();
    expect(await get(two.outer.remote(between, { self: two }), { timeoutMs: 20_000 })).to.equal(2);
    expect(await get(two.inner.remote())).to.equal(3);
    const one = CircleActor.remote();
    const error = await rejection(get(one.outer.remote(between, { self: one }), { timeoutMs: 20_000 }));
    expect(error.message).to.contain("DeadlockError");
    // What has run and is saved does not wait for what runs.
    const known = one.inner.options({ callId: "known" });
    expect(await get(known.remote())).to.equal(1);
    const held = one.hold.remote(60_000);
    expect(await get(known.remote(), { timeoutMs: 20_000 })).to.equal(1);
    await cancel(held);
  });

  it("go on behind a message that can't be read, which is set aside", async () => {
    const { STINGRAY_ADDRESS: servers = "", STINGRAY_TOKEN: token } = cluster.env;
    const nc = await connect({ servers, ...(token === undefined ? {} : { token }) });
    const ledger = LedgerActor.remote();
    try {
      let subject = "";
      const seen = nc.subscribe(">", {
        callback: (_error, message) => {
          if (/\.m\.[a-z0-9]+$/.test(message.subject)) subject = message.subject;
        },
      });
      await nc.flush();
      await get(ledger.add.remote("before"));
      await eventually(() => subject !== "", "the subject of the mailbox is known");
      seen.unsubscribe();
      await nc.request(subject, Uint8Array.from([1, 2, 3]));
    } finally {
      await nc.close();
    }
    expect(await get(ledger.add.remote("after"))).to.equal(2);
    await eventually(async () => (await callsSetAside(ledger)).length === 1, "it was set aside");
    const [aside] = await callsSetAside(ledger);
    expect(aside).to.include({ method: "(unreadable)", caller: undefined });
    expect(aside?.error.code).to.equal("PROTOCOL");
    expect(await dropCall(ledger, aside?.id ?? "")).to.equal(true);
  });

  it("run at least once where the class takes no snapshot", async () => {
    const file = cluster.file("plain");
    const plain = PlainActor.remote(file);
    const entries = Array.from({ length: 200 }, (_, i) => String(i));
    const pid = await get(plain.pid.remote());
    const calls = entries.map((entry) => plain.add.remote(entry));
    await get(calls[30] as (typeof calls)[0]);
    process.kill(pid, "SIGKILL");
    expect(await get(calls)).to.deep.equal(entries);
    // In order, but for those that ran once more from where the last save was.
    expect([...new Set(linesOf(file))]).to.deep.equal(entries);
  });

  it("fail when their actor dies for good, with all that was kept", async () => {
    const ledger = LedgerActor.remote();
    const calls = [ledger.addLater.remote("x", 60_000), ledger.add.remote("y")];
    await get(LedgerActor.remote().pid.remote());
    await kill(ledger);
    for (const call of calls) expect((await rejection(get(call))).code).to.equal("ACTOR_DIED");
    expect((await rejection(get(ledger.add.remote("z")))).code).to.equal("ACTOR_DIED");
    expect((await rejection(callsSetAside(ledger))).code).to.equal("ACTOR_DIED");
  });

  it("are refused where they can't be kept", async () => {
    const ledger = LedgerActor.remote();
    const large = await rejection(get(ledger.size.remote(new Uint8Array(20 << 20))));
    expect(large.code).to.equal("SERIALIZATION");
    expect(large.message).to.contain("max_payload");
    expect(await get(ledger.add.remote("still there"))).to.equal(1);
    const stream = ledger.stream.remote();
    const error = await rejection(
      (async () => {
        for await (const item of stream) await get(item);
      })(),
    );
    expect(error.code).to.equal("INVALID_ARGUMENT");
  });
});
