/** Whatever is done with objects, in whatever order, over stores that hold a fraction of them: all ends, all is right. */
import { expect } from "chai";
import { get, kill } from "stingray";
import { MIB, StoreCluster, everythingIsFreed, total } from "../support/stores.js";
import { Activity } from "./activity.js";
import { Forester } from "./programs/trees.js";

/** Others may be given, to look for what these do not find: `STINGRAY_TEST_SEEDS=7,8,9`. */
const SEEDS = (process.env["STINGRAY_TEST_SEEDS"] ?? "1").split(",").map(Number);
const STORE = 20 * MIB;
/** Bytes that are made: ten times what both stores hold. */
const MADE = 10 * 2 * STORE;
const ACTIVITIES = 3;

describe("objects of ten times the size of the stores", function () {
  this.timeout(90_000);
  let test: StoreCluster;
  before(async () => {
    test = await StoreCluster.start({ objectStoreMemory: STORE, nodes: [{ cpus: 2 }, { cpus: 2 }] });
  });
  after(() => test.end());

  async function work(seed: number): Promise<void> {
    const forester = Forester.options(test.on(seed % 2)).remote();
    const places = [test.on(0), test.on(1)];
    const activities = Array.from(
      { length: ACTIVITIES },
      (_, i) => new Activity(seed * 100 + i, places, forester, MADE / ACTIVITIES / 2),
    );
    await Promise.all(
      activities.map((activity) =>
        activity.run(MADE / ACTIVITIES).catch((cause: unknown) => {
          throw new Error(`${activity.doing}: ${String(cause)}`, { cause });
        }),
      ),
    );
    await get(forester.clear.remote());
    await kill(forester);
  }

  for (const seed of SEEDS)
    it(`are all right, and gone in the end, whatever is done with them (seed ${seed})`, async () => {
      const before = await total("spilledTotal");
      await work(seed);
      expect(await total("spilledTotal")).to.be.above(before);
      await everythingIsFreed();
    });
});
