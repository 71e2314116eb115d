/**
 * Transfers between accounts while workers, agents, the program that makes them and the broker are killed at random: the
 * sum never changes, no transfer is made twice, and all arrive. `STINGRAY_BANK_MS` makes it longer, `STINGRAY_BANK_SEED`
 * repeats one.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { get, getActor, kill } from "stingray";
import { eventually } from "stingray/testing";
import { AccountActor, NAMESPACE, accountName, type Account } from "./fixtures/bank.js";
import { ACCOUNTS, OPENING, transferOf } from "./fixtures/bank-plan.js";
import { ClusterByHand } from "./support/by-hand.js";
import type { Program } from "./support/program.js";

const CHAOS_MS = Number(process.env["STINGRAY_BANK_MS"] ?? 5_000);
const SEED = Number(process.env["STINGRAY_BANK_SEED"] ?? Date.now() % 1_000_000);
/** So many are being made until the last kill, about. */
const TRANSFERS = Math.max(300, Math.round(CHAOS_MS / 15));

/** A generator of numbers from 0 to n-1 that is the same for the same seed. */
function generator(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

describe("a bank whose processes are killed", function () {
  this.timeout(CHAOS_MS + 120_000);
  let cluster: ClusterByHand;
  let teller: Program;
  let file: string;
  const kills: string[] = [];

  before(async () => {
    cluster = await ClusterByHand.start([], []);
    await cluster.join();
    file = join(cluster.sandbox.directory, "done");
  });
  after(() => cluster.end());

  const startTeller = (): void => {
    teller = cluster.sandbox.program("bank-teller.js", [String(TRANSFERS), file], cluster.settings);
  };
  const done = (): number => {
    try {
      return readFileSync(file, "utf8").split("\n").length - 1;
    } catch {
      return 0;
    }
  };
  const pidsOf = (command: string): number[] =>
    cluster.sandbox
      .processes()
      .filter((process) => process.command.includes(command))
      .map(({ pid }) => pid);

  const hurt = async (random: (n: number) => number): Promise<void> => {
    const what = random(10);
    const one = (pids: number[]): void => {
      const pid = pids[random(Math.max(1, pids.length))];
      if (pid !== undefined) process.kill(pid, "SIGKILL");
    };
    if (what < 5) {
      kills.push("worker");
      one(pidsOf("worker/main.js"));
    } else if (what < 7) {
      kills.push("teller");
      teller.signal("SIGKILL");
      await teller.ended();
      startTeller();
    } else if (what < 9) {
      kills.push("broker");
      await cluster.broker.kill("SIGKILL");
      await cluster.broker.restart();
    } else if (!kills.includes("agent") || CHAOS_MS > 10_000) {
      kills.push("agent");
      one(pidsOf("agent/main.js"));
    }
  };

  it("neither makes money nor loses any", async () => {
    const random = generator(SEED);
    await Promise.all(
      Array.from({ length: ACCOUNTS }, (_, i) =>
        get(
          AccountActor.options({ name: accountName(i) })
            .remote(OPENING)
            .report.remote(),
        ),
      ),
    );
    startTeller();
    await eventually(() => done() > 0, "the first transfer");
    const began = performance.now();
    while (performance.now() - began < CHAOS_MS && done() < TRANSFERS) {
      await hurt(random);
      const before = done();
      const pause = 100 + random(500);
      const until = performance.now() + pause;
      await eventually(() => performance.now() > until || done() > before + 20, "a pause");
    }
    try {
      await eventually(
        () => {
          // It may lose its agent at a moment at which it can do nothing but end.
          if (teller.child.exitCode !== null && done() < TRANSFERS) startTeller();
          return done() >= TRANSFERS;
        },
        { message: "all transfers are made", timeoutMs: 90_000 },
      );
      const reports = [];
      for (let i = 0; i < ACCOUNTS; i++) {
        const account = await getActor<Account>(accountName(i), { namespace: NAMESPACE });
        reports.push(await get(account.report.remote(), { timeoutMs: 30_000 }));
        await kill(account);
      }
      expect(reports.reduce((sum, { balance }) => sum + balance, 0)).to.equal(ACCOUNTS * OPENING);
      const steps = reports.map(({ steps: all }) => all.toSorted());
      const expected = Array.from({ length: ACCOUNTS }, (): string[] => []);
      for (let id = 0; id < TRANSFERS; id++) {
        const { from, to } = transferOf(id);
        expected[from]?.push(`-${id}`);
        expected[to]?.push(`+${id}`);
      }
      expect(steps).to.deep.equal(expected.map((all) => all.toSorted()));
    } catch (error) {
      throw new Error(
        `seed ${SEED}, ${done()} of ${TRANSFERS} transfers, killed: ${kills.join(" ")}; the teller:\n${teller.stderr}`,
        { cause: error },
      );
    }
  });
});
