/** The processes of a node: which are used again, which are not, and those that never start. */
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { RuntimeEnvError, get, nodes } from "stingray";
import { eventually, isRunning, testCluster, type TestCluster } from "stingray/testing";
import * as pool from "./fixtures/pool.js";
import { linesOf } from "./support/lines.js";
import { refused } from "./support/bad-use.js";

const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/bad-use/${name}`, import.meta.url));
/** Long before a start or a setup that hangs would be given up, also on a busy machine. Milliseconds. */
const SOON_MS = 25_000;
const countsOf = (pids: readonly unknown[]): number[] => {
  const counts = new Map<unknown, number>();
  for (const pid of pids) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  return [...counts.values()];
};

describe("worker processes", function () {
  this.timeout(60_000);
  let test: TestCluster;
  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());

  describe("with maxCalls", () => {
    it("run the function as often and no more, whoever calls it; no call is lost", async () => {
      const file = test.file("leaky");
      const nested = Array.from({ length: 2 }, () => pool.callsLeaky.remote(file, 4));
      const pids = await get([...nested, ...Array.from({ length: 4 }, () => pool.leaky.remote(file))]);
      expect(pids.flat()).to.have.length(12);
      expect(linesOf(file)).to.have.length(12);
      expect(Math.max(...countsOf(linesOf(file)))).to.be.at.most(3);
    });

    it("count on when they were given back in between", async () => {
      const pids: number[] = [];
      const idle = (): Promise<unknown> =>
        eventually(
          async () => (await nodes()).every((node) => node.available["CPU"] === 2),
          "it is given back",
        );
      for (let i = 0; i < 4; i++) {
        pids.push(await get(pool.leaky.remote(test.file("slowly"))));
        await idle();
      }
      expect(Math.max(...countsOf(pids))).to.be.at.most(3);
      const usedUp = pids.filter((pid) => pids.filter((other) => other === pid).length === 3);
      await eventually(() => !usedUp.some(isRunning), "the end of those that are used up");
    });

    it("end only when nobody needs any more what they own", async () => {
      const result = pool.leavesAnObject.remote();
      const { pid, ref } = await get(result);
      await get(pool.leavesAnObject.remote());
      expect(await get(ref)).to.equal("still there");
      for (const held of [ref, result]) held.release();
      await eventually(() => !isRunning(pid), "its end");
    });
  });

  it("are used again by the same environment, and by no other", async () => {
    const red = pool.whereAmI.options({ runtimeEnv: { envVars: { COLOUR: "red" } } });
    const blue = pool.whereAmI.options({ runtimeEnv: { envVars: { COLOUR: "blue" } } });
    const seen = new Map<number, string | undefined>();
    for (let i = 0; i < 3; i++) {
      for (const [fn, colour] of [
        [red, "red"],
        [blue, "blue"],
        [pool.whereAmI, undefined],
      ] as const) {
        const found = await get(fn.remote());
        expect(found.colour).to.equal(colour);
        if (seen.has(found.pid)) expect(seen.get(found.pid)).to.equal(colour);
        seen.set(found.pid, colour);
      }
    }
    expect(seen.size).to.be.at.most(6);
  });

  describe("that can't be prepared", () => {
    it("because they end: exit code and their own last words, few tries, and others work meanwhile", async () => {
      const attempts = test.file("attempts");
      const env = { setup: fixture("setup-exits.js"), envVars: { ATTEMPTS: attempts } };
      const broken = pool.whereAmI.options({ runtimeEnv: env });
      const texts = [/exit code 3/, /no licence server\ngiving up/];
      for (let i = 0; i < 6; i++) {
        const error = await refused(get(broken.remote()), RuntimeEnvError, texts, SOON_MS);
        expect(error.detail).to.include({ exitCode: 3 });
        expect(await get(pool.whereAmI.remote())).to.have.property("pid");
      }
      await Promise.all(
        Array.from({ length: 20 }, () => refused(get(broken.remote()), RuntimeEnvError, texts, SOON_MS)),
      );
      expect(linesOf(attempts).length).to.be.within(3, 10); // of 26 that asked
    });

    it("because a module for node is missing: its own words", async () => {
      const broken = pool.whereAmI.options({ runtimeEnv: { execArgv: ["--import", "./not-there.mjs"] } });
      const texts = [/exit code 1/, /Cannot find module.*not-there\.mjs/s];
      await refused(get(broken.remote()), RuntimeEnvError, texts, SOON_MS);
    });

    it("because their setup never ends: after its deadline, with its output", async () => {
      const env = { setup: fixture("setup-hangs.js"), envVars: { STINGRAY_LOAD_TIMEOUT_MS: "300" } };
      const texts = [
        /setup-hangs\.js did not end within 300 ms/,
        /STINGRAY_LOAD_TIMEOUT_MS/,
        /waiting for the licence server/,
      ];
      const hanging = pool.whereAmI.options({ runtimeEnv: env });
      await refused(get(hanging.remote()), RuntimeEnvError, texts, SOON_MS);
    });
  });
});
