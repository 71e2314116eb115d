/** Recorded histories of many callers, under faults: calls run in order and once, and every one of them ends. */
import { join } from "node:path";
import { expect } from "chai";
import { get, kill, type ActorOptions } from "stingray";
import {
  HistoryFile,
  checkHistory,
  isRunning,
  testCluster,
  type HistoryEvent,
  type TestCluster,
} from "stingray/testing";
import {
  Late,
  Relay,
  Scribe,
  callAll,
  callAllInTask,
  cutSockets,
  type Plan,
  type ScribeHandle,
} from "./fixtures/histories.js";
import { linesOf } from "./support/lines.js";
import { ClusterByHand } from "./support/by-hand.js";
import { randomSource } from "./support/fuzz.js";

/** Others may be given, to look for what these do not find: `STINGRAY_TEST_SEEDS=7,8,9`. */
const SEEDS = (process.env["STINGRAY_TEST_SEEDS"] ?? "1").split(",").map(Number);
const CALLS = 100;
/** One of each kind. */
const SCRIBES: Readonly<Record<string, ActorOptions>> = {
  alone: { cpus: 0 },
  durable: { cpus: 0, mailbox: "durable" },
  light: { isolation: "shared" },
};
const RETRIED = { retried: true, maxRestarts: Infinity };

type Harm = (random: () => number, done: () => boolean, scribes: readonly ScribeHandle[]) => Promise<void>;

interface Round {
  readonly file: string;
  readonly seed: number;
  readonly retried: boolean;
  readonly maxRestarts: number;
  /** Nodes of the scribes and the callers but the driver; any if none are given. */
  readonly nodes?: readonly string[] | undefined;
  /** Callers may be lost with their processes. */
  readonly lossy?: boolean | undefined;
  /** Does harm while callers call, until it is told that they are done. */
  readonly harm?: Harm | undefined;
}

/** Lets four callers call the scribes, and checks the history. @returns how many calls ended with which code */
async function checked(round: Round): Promise<Record<string, number>> {
  const { file, seed, retried, maxRestarts, nodes = [], lossy = false, harm } = round;
  const place = (i: number): object => {
    const node = nodes[i % nodes.length];
    return node === undefined ? {} : { scheduling: { node, soft: true } };
  };
  const scribes: Record<string, ScribeHandle> = {};
  for (const [i, [name, options]] of Object.entries(SCRIBES).entries())
    scribes[name] = Scribe.options({ name: `${file} ${name}`, maxRestarts, ...place(i), ...options }).remote(
      file,
    );
  const relay = Relay.options({ cpus: 0, ...place(0) }).remote();
  const late = Late.options({ cpus: 0, ...place(0) }).remote();
  const plan = (caller: string, n: number): Plan => ({
    caller,
    seed: seed * 10 + n,
    calls: CALLS,
    file,
    retried,
    late,
  });
  let over = false;
  const others = [
    get(relay.callAll.remote(plan("actor", 2), scribes)),
    ...[0, 1].map((i) => get(callAllInTask.options(place(i)).remote(plan(`task ${i}`, 3 + i), scribes))),
  ].map((caller) => (lossy ? caller.catch(() => {}) : caller));
  const calling = Promise.all([callAll(plan("driver", 1), scribes), ...others]).finally(() => (over = true));
  await Promise.all([calling, harm?.(randomSource(seed), () => over, Object.values(scribes))]);
  const events = new HistoryFile(file).read();
  expect(checkHistory(events), `seed ${seed}`).to.deep.equal([]);
  return codesOf(events);
}

function codesOf(events: readonly HistoryEvent[]): Record<string, number> {
  const codes: Record<string, number> = {};
  for (const event of events) {
    if (event.event !== "answered" && event.event !== "failed") continue;
    const code = event.event === "answered" ? "answered" : event.code;
    codes[code] = (codes[code] ?? 0) + 1;
  }
  return codes;
}

/** One of the scribes' processes that live. */
function scribeProcess(file: string, random: () => number): number | undefined {
  const pids = linesOf(`${file}.pids`).map(Number).filter(isRunning);
  return pids[Math.floor(random() * pids.length)];
}

/** Restarts or kills a scribe, stops its process for a while, or breaks its connections, or those of the driver. */
async function harmOnce(kind: number, scribes: readonly ScribeHandle[], pid = 0): Promise<void> {
  if (kind < 0.2) await kill(scribes[Math.floor(kind * 15)], { restart: true });
  else if (kind < 0.35) cutSockets();
  else if (pid !== 0) {
    signal(pid, kind < 0.5 ? "SIGSTOP" : kind < 0.7 ? "SIGUSR2" : "SIGKILL");
    await pause(kind < 0.5 ? 200 : 0);
    signal(pid, "SIGCONT");
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended meanwhile.
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

for (const links of ["auto", "nats"] as const)
  describe(`the history of calls, links: ${links}`, function () {
    this.timeout(60_000 * SEEDS.length);
    let test: TestCluster;
    before(async () => {
      test = await testCluster({ links });
    });
    after(() => test.end());

    if (links === "auto")
      it("is in order, whatever arguments and callers are like", async () => {
        for (const seed of SEEDS) {
          const codes = await checked({
            file: test.file(`plain ${seed}`),
            seed,
            retried: false,
            maxRestarts: 0,
          });
          expect(codes).to.have.all.keys("answered", "EXPECTED", "TASK_CANCELLED");
          expect(codes["answered"]).to.be.greaterThan(2 * CALLS);
        }
      });

    it("is in order while actors are killed and links break", async () => {
      for (const seed of SEEDS) {
        const file = test.file(`faults ${seed}`);
        const harm: Harm = async (random, done, scribes) => {
          // More than these, and an actor comes back after pauses only.
          for (let acts = 0; acts < 10 && !done(); acts++) {
            await pause(30 + 150 * random());
            await harmOnce(random(), scribes, scribeProcess(file, random));
          }
        };
        const codes = await checked({ file, seed, ...RETRIED, harm });
        delete codes["ACTOR_UNAVAILABLE"];
        expect(codes).to.have.all.keys("answered", "EXPECTED", "TASK_CANCELLED");
      }
    });
  });

describe("the history of calls over nodes", function () {
  this.timeout(60_000 * SEEDS.length);
  let cluster: ClusterByHand;
  before(async () => {
    cluster = await ClusterByHand.start([], []);
  });
  after(() => cluster.end());

  it("is in order while the broker is killed and comes back, and a node is killed", async () => {
    const [own, other] = await cluster.joinOne();
    for (const seed of SEEDS) {
      // After the first round the command has started the other node anew.
      const nodes = await cluster.sees(2);
      if (nodes[0] !== own.node) nodes.reverse();
      const file = join(cluster.sandbox.directory, `history ${seed}`);
      const harm: Harm = async (random) => {
        await pause(300 * random());
        await cluster.broker.kill("SIGKILL");
        await pause(300 * random());
        await cluster.broker.restart();
        await pause(300 * random());
        process.kill(cluster.agentOf(other), "SIGKILL");
      };
      const codes = await checked({ file, seed, ...RETRIED, nodes, lossy: true, harm });
      // Large answers lie on the node that made them, and methods are not run again for those that are lost.
      for (const code of ["ACTOR_UNAVAILABLE", "OBJECT_LOST"]) delete codes[code];
      expect(codes).to.have.all.keys("answered", "EXPECTED", "TASK_CANCELLED");
    }
  });
});
