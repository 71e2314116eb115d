/** What an actor saves comes back in its next incarnation, and only the newest one can save. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectBroker } from "@stingray/broker/connect";
import { Kvm } from "@nats-io/kv";
import { expect } from "chai";
import {
  ActorDiedError,
  ActorUnavailableError,
  TaskError,
  get,
  kill,
  nodes,
  ready,
  type ActorHandle,
} from "stingray";
import { eventually } from "stingray/testing";
import { RemoteLedger, RemotePhotographer, type Ledger } from "./fixtures/state-actors.js";
import { ClusterByHand, type HandMade } from "./support/by-hand.js";

const MIB = 1024 * 1024;

describe("the saved state of an actor", function () {
  this.timeout(60_000);
  let cluster: ClusterByHand;
  let own: HandMade;
  let other: HandMade;
  let files = 0;
  before(async () => {
    cluster = await ClusterByHand.start([], []);
    [own, other] = await cluster.joinOne();
  });
  after(() => cluster.end());

  const file = (): string => join(cluster.sandbox.directory, `ledger-${files++}`);
  const lines = (path: string): string[] =>
    existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
  /** The rows of table `states`. */
  async function rows(): Promise<string[]> {
    const nc = await connectBroker(cluster.broker.options);
    try {
      const kv = await new Kvm(nc).open("st_v1_default_states");
      const keys: string[] = [];
      for await (const key of await kv.keys()) keys.push(key);
      return keys;
    } finally {
      await nc.close();
    }
  }
  /** Until the call is answered by an incarnation that is not being restarted. */
  const answered = <T>(call: () => Promise<T>): Promise<T> =>
    eventually(async () => {
      try {
        return { value: await call() };
      } catch (error) {
        if (error instanceof ActorUnavailableError) return undefined;
        throw error;
      }
    }, "the call is answered").then(({ value }) => value);
  const read = (ledger: ActorHandle<Ledger>) => answered(() => get(ledger.read.remote()));

  it("is what saveSnapshot() stored: constructor, restore, onActivate", async () => {
    const notes = file();
    const friend = RemoteLedger.remote(file());
    const ledger = RemoteLedger.remote(notes);
    await get([
      friend.add.remote(42),
      ledger.meet.remote(friend),
      ledger.add.remote(1),
      ledger.add.remote(2),
    ]);
    await get(ledger.grow.remote(3 * MIB));
    await get(ledger.save.remote());
    await get(ledger.add.remote(3)); // not saved
    const { epoch } = await get(ledger.read.remote());
    await kill(ledger, { restart: true });
    const after = await eventually(async () => {
      const now = await read(ledger);
      return now.epoch !== epoch && now;
    }, "it is back");
    expect(after).to.include({ dates: true, ballast: 3 * MIB * 7, friends: true });
    expect(after.n).to.deep.equal([1, 2]);
    expect(await get(ledger.ask.remote())).to.deep.equal([42]);
    expect(lines(notes)).to.deep.equal([
      "constructor",
      "onActivate",
      "constructor",
      "restore 2",
      "onActivate",
    ]);
    await kill(ledger);
    await kill(friend);
  });

  it("is stored together for saves that come while another is on its way, the newest last", async () => {
    const ledger = RemoteLedger.remote(file());
    await get(ledger.saveAll.remote(50));
    const { pid } = await get(ledger.read.remote());
    process.kill(pid, "SIGKILL");
    const after = await eventually(async () => {
      const now = await read(ledger);
      return now.pid !== pid && now;
    }, "it is back");
    expect(after.n).to.deep.equal(Array.from({ length: 50 }, (_, i) => i));
    await kill(ledger);
  });

  it("goes with the actor when that ends for good", async () => {
    const ledger = RemoteLedger.remote(file());
    await get(ledger.grow.remote(MIB));
    await get(ledger.save.remote());
    expect((await rows()).length).to.be.greaterThan(2);
    await kill(ledger);
    await eventually(async () => (await rows()).length === 0, "no row is left");
  });

  it("says why a snapshot or a restore failed, and tries the restore as often as it may", async () => {
    const notes = file();
    const ledger = RemoteLedger.options({ maxRestarts: 2 }).remote(notes);
    await get(ledger.add.remote(1));
    writeFileSync(`${notes}.break`, "");
    const failed: unknown = await get(ledger.save.remote()).catch((error: unknown) => error);
    expect(failed).to.be.instanceOf(TaskError);
    expect((failed as Error).message).to.contain("no snapshots today");
    rmSync(`${notes}.break`);
    await get(ledger.save.remote());
    writeFileSync(`${notes}.refuse`, "");
    await kill(ledger, { restart: true });
    const died = await eventually(async () => {
      const error: unknown = await get(ledger.read.remote()).catch((thrown: unknown) => thrown);
      return error instanceof ActorDiedError && error;
    }, "it is dead");
    expect(died.message).to.contain("restore failed: RangeError: this state is too old");
    expect(died.cause).to.be.instanceOf(TaskError);
    expect(lines(notes)).to.deep.equal(["constructor", "onActivate", "constructor", "constructor"]);
    await eventually(async () => (await rows()).length === 0, "no row is left");
  });

  it("moves with the actor when its node is drained, as it is after onDeactivate", async () => {
    const victim = await cluster.node("--drain", "60");
    await cluster.sees(3);
    const notes = file();
    const ledger = RemoteLedger.options({ scheduling: { node: victim.node, soft: true } }).remote(notes);
    await get([ledger.add.remote(1), ledger.add.remote(2)]);
    expect((await read(ledger)).node).to.equal(victim.node);
    const drain = cluster.sandbox.stingray(["drain", victim.node], cluster.settings);
    expect((await drain.ended()).code, drain.stderr).to.equal(0);
    const after = await read(ledger);
    expect(after.node).to.not.equal(victim.node);
    expect(after.n).to.deep.equal([1, 2, -1]);
    expect(lines(notes).slice(2)).to.deep.equal([
      lines(notes).find((line) => line.startsWith("onDeactivate")),
      "constructor",
      "restore 3",
      "onActivate",
    ]);
    await kill(ledger);
    await victim.command.ended();
    await cluster.sees(2);
  });

  it("is left alone by a class that has only one of the two methods", async () => {
    const photographer = RemotePhotographer.remote();
    expect(await get(photographer.snapshot.remote())).to.equal("a picture");
    expect(await get(photographer.save.remote())).to.contain("needs both snapshot() and restore(state)");
  });

  it("is not changed by a host that was believed dead and comes back", async () => {
    const notes = file();
    const ledger = RemoteLedger.options({ scheduling: { node: other.node, soft: true } }).remote(notes);
    await get(ledger.add.remote(1));
    await get(ledger.save.remote());
    const before = await get(ledger.read.remote());
    expect(before.node).to.equal(other.node);
    const agent = cluster.agentOf(other);
    // Both stand still in the middle of it; the worker has a save to send when it goes on.
    process.kill(agent, "SIGSTOP");
    process.kill(before.pid, "SIGSTOP");
    const late = ledger.saveAll.remote(3);
    await eventually(async () => (await nodes()).find(({ node }) => node === other.node)?.state !== "ALIVE", {
      message: "the node is declared dead",
      timeoutMs: 20_000,
    });
    const now = await eventually(async () => {
      const answer = await read(ledger);
      return answer.node === own.node && answer;
    }, "it lives elsewhere");
    expect(now.n).to.deep.equal([1]);
    expect(now.epoch).to.be.greaterThan(before.epoch);
    // The worker first, so that what it saves waits for its agent; that one ends it when it hears what has become of it.
    process.kill(before.pid, "SIGCONT");
    process.kill(agent, "SIGCONT");
    expect(await get(late).catch((error: unknown) => error)).to.be.instanceOf(ActorUnavailableError);
    await eventually(async () => {
      if ((await get(ledger.read.remote())).n.at(-1) !== 2) await get(ledger.add.remote(2));
      return (await get(ledger.saved.remote())) === "saved";
    }, "it saves where it is now");
    await eventually(
      async () => (await nodes()).filter(({ state }) => state === "ALIVE").length === 2,
      "two nodes",
    );
    await kill(ledger, { restart: true });
    const last = await eventually(async () => {
      const answer = await read(ledger);
      return answer.epoch !== now.epoch && answer;
    }, "it is back");
    expect(last.n).to.deep.equal([1, 2]);
    await kill(ledger);
    await ready(RemoteLedger.remote(file()));
  });
});
