/** Putting actors to sleep and waking them: nothing that is in a mailbox is left lying, whatever comes between. */
import { MemoryControlStore, type ActorRow } from "@stingray/gcs-kv";
import type { ActorSpec, ProcessId } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { expect } from "chai";
import { ActorBook } from "../../src/controller/actor-book.js";
import type { Incarnation } from "../../src/controller/actor-host.js";
import { nextActorRow, viewOf } from "../../src/controller/actor-machine.js";
import { ActorSleep, type SleepHooks } from "../../src/controller/actor-sleep.js";

const ACTOR = "aaaaaaaaaaaaa";
const worker = "waaaaaaaaaaaa" as ProcessId;
const spec: ActorSpec = {
  actor: ACTOR,
  job: "jaaaaaaaaaaaa",
  creator: "daaaaaaaaaaaa",
  module: "m.js",
  className: "Account",
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
  durable: true,
  methods: {},
};
const agentOf = (n: number): string => `g${"a".repeat(11)}${n}`;
const cause = { code: "ACTOR_DIED", message: "it was killed" } as const;

/** A cluster with one actor and any number of agents, and a mailbox. */
class Cluster {
  readonly mailbox: string[] = [];
  readonly placed: string[] = [];
  readonly seen: string[] = [];
  inc: Incarnation = { spec, epoch: 5, fresh: true, state: "alive", worker };
  pace = (): Promise<void> => Promise.resolve();
  answer: () => Promise<{ running: number; error?: string }> = () => Promise.resolve({ running: 0 });
  readonly store = new MemoryControlStore();
  readonly agents: { sleep: ActorSleep; book: ActorBook }[] = [];

  static async start(agents = 1, state: ActorRow["state"] = "ALIVE"): Promise<Cluster> {
    const cluster = new Cluster();
    const table = await cluster.store.table("actors");
    await table.create(ACTOR, { spec, state, epoch: 5, agent: agentOf(0), restarts: 0 });
    for (let n = 0; n < agents; n++) {
      const book = await ActorBook.open(table);
      cluster.agents.push({ book, sleep: new ActorSleep(book, cluster.hooks(agentOf(n))) });
    }
    return cluster;
  }

  private hooks(agent: string): SleepHooks {
    const note = (what: string) => (): void => void this.seen.push(what);
    return {
      agent,
      on: () => this.inc,
      maySleep: () => true,
      stopFeeding: note("not fed"),
      leaveActor: async () => {
        await this.pace();
        return this.answer();
      },
      detach: (inc) => void (inc.state = "over"),
      endWorker: note("ended"),
      killWorker: note("killed"),
      whenGone: () => this.pace(),
      place: ({ key }) => void this.placed.push(key),
      holds: async () => {
        await this.pace();
        return this.mailbox.length > 0;
      },
      occupied: async () => {
        await this.pace();
        return new Set(this.mailbox.length > 0 ? [ACTOR] : []);
      },
      failed: note("failed"),
    };
  }

  get first(): { sleep: ActorSleep; book: ActorBook } {
    return this.agents[0] as { sleep: ActorSleep; book: ActorBook };
  }
  get state(): string | undefined {
    return this.first.book.get(ACTOR)?.value.state;
  }
  /** Kept, and then told, as agents do it. */
  append(agent: number): void {
    this.mailbox.push("call");
    const { sleep, book } = this.agents[agent] as { sleep: ActorSleep; book: ActorBook };
    const entry = book.get(ACTOR);
    if (entry !== undefined) sleep.arrived(entry);
  }
  async stop(): Promise<void> {
    for (const { book } of this.agents) await book.stop();
  }
}

describe("actors that sleep", () => {
  it("are put to sleep in order, give back what they have, and are woken by one agent only", async () => {
    const cluster = await Cluster.start(2);
    expect(await cluster.first.sleep.idle(worker, ACTOR, 4)).to.equal(false);
    expect(await cluster.first.sleep.idle(worker, ACTOR, 5)).to.equal(true);
    expect(await cluster.first.sleep.idle(worker, ACTOR, 5)).to.equal(false);
    await eventually(() => cluster.seen.length === 2, "its process ends");
    expect(cluster.seen).to.deep.equal(["not fed", "ended"]);
    expect(cluster.state).to.equal("PASSIVE");
    expect(cluster.inc.state).to.equal("over");
    await Promise.all(cluster.agents.map(({ sleep }) => sleep.wake(ACTOR)));
    expect(cluster.placed).to.deep.equal([ACTOR]);
    const row = cluster.first.book.get(ACTOR)?.value;
    expect(row).to.deep.include({ state: "RESTARTING", epoch: 5, restarts: 0 });
    await cluster.stop();
  });

  it("stay awake where something is in the mailbox, and are made again where a call does not end", async () => {
    const cluster = await Cluster.start();
    cluster.mailbox.push("call");
    expect(await cluster.first.sleep.idle(worker, ACTOR, 5)).to.equal(false);
    cluster.mailbox.pop();
    cluster.answer = () => Promise.resolve({ running: 1 });
    expect(await cluster.first.sleep.idle(worker, ACTOR, 5)).to.equal(true);
    await eventually(() => cluster.placed.length === 1, "it is made again");
    expect(cluster.seen.slice(0, 2)).to.deep.equal(["not fed", "killed"]);
    expect(cluster.first.book.get(ACTOR)?.value).to.deep.include({ state: "RESTARTING", restarts: 0 });
    await cluster.stop();
  });

  it("may be killed at any moment, and stay dead", async () => {
    const cluster = await Cluster.start();
    cluster.answer = async () => {
      await cluster.first.book.apply(ACTOR, { kind: "ended", cause });
      cluster.inc.state = "over";
      return { running: 0 };
    };
    expect(await cluster.first.sleep.idle(worker, ACTOR, 5)).to.equal(true);
    await eventually(() => cluster.seen.includes("not fed"), "it was to sleep");
    cluster.append(0);
    await cluster.first.sleep.patrol();
    expect(cluster.state).to.equal("DEAD");
    expect(cluster.placed).to.deep.equal([]);
    await cluster.stop();
  });

  it("are woken by what comes while they fall asleep, whichever agent has kept it and whenever", async () => {
    for (let seed = 0; seed < 60; seed++) {
      const cluster = await Cluster.start(3);
      // Each step of falling asleep takes another while, and the call comes at another moment.
      let turns = seed % 7;
      cluster.pace = async () => {
        for (let n = 0; n < turns; n++) await new Promise((turn) => setImmediate(turn));
        turns = (turns * 3 + 1) % 7;
      };
      const going = cluster.first.sleep.idle(worker, ACTOR, 5);
      for (let n = 0; n < seed % 11; n++) await new Promise((turn) => setImmediate(turn));
      cluster.append(seed % 3);
      if (await going) await eventually(() => cluster.placed.length > 0, `seed ${seed}: it is woken`);
      else expect(cluster.state).to.equal("ALIVE");
      expect(cluster.placed.length).to.be.lessThan(2);
      await cluster.stop();
    }
  });

  it("are woken by the controller where nobody else has", async () => {
    const cluster = await Cluster.start(1, "PASSIVE");
    await cluster.first.sleep.patrol();
    expect(cluster.placed).to.deep.equal([]);
    cluster.mailbox.push("call");
    const next = new ActorSleep(cluster.first.book, cluster["hooks"](agentOf(9)));
    await next.patrol();
    expect(cluster.placed).to.deep.equal([ACTOR]);
    await cluster.stop();
  });

  it("have a row that only waking, and the end, changes", () => {
    const passive: ActorRow = { spec: { ...spec, maxRestarts: 0 }, state: "PASSIVE", epoch: 7, restarts: 1 };
    expect(viewOf(passive)).to.deep.include({ state: "PASSIVE", epoch: 7 }).and.not.have.property("process");
    const others = [
      { kind: "claimed", agent: "g1" },
      { kind: "hosted", agent: "g1", node: "n1", epoch: 9 },
      { kind: "alive", agent: "g1", node: "n1", process: "w1", epoch: 9 },
      { kind: "lost", epoch: 7, agent: "g1", cause },
      { kind: "moved", epoch: 7, agent: "g1", cause },
      { kind: "slept", epoch: 7 },
    ] as const;
    for (const event of others) expect(nextActorRow(passive, event), event.kind).to.equal(undefined);
    expect(nextActorRow(passive, { kind: "ended", cause })).to.deep.include({ state: "DEAD" });
    const woken = nextActorRow(passive, { kind: "woken", agent: "g1" }) as ActorRow;
    expect(woken).to.deep.include({ state: "RESTARTING", agent: "g1", restarts: 1 });
    expect(nextActorRow(woken, { kind: "woken", agent: "g2" })).to.equal(undefined);
    expect(nextActorRow({ ...passive, state: "ALIVE" }, { kind: "slept", epoch: 6 })).to.equal(undefined);
  });
});
