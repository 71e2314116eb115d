import { expect } from "chai";
import { ResourceAccount, UNITS, toUnits, type Allocation } from "../src/mod.js";
import { seeded } from "./support/clock.js";

/** Amounts that doubles can't hold, or that are finer than a unit. */
const AMOUNTS = [0.1, 0.2, 0.1 + 0.2, 1 / 3, 2 / 3, 0.7, 0.0001, 0.00004, 1, 2, 3.3333, 1e-9, 12_345.6789];
const NAMES = ["CPU", "memory", "a", "b"];
const GPUS = [0.1, 0.25, 1 / 3, 0.5, 0.9999, 1, 2];
const STEPS = 100_000;

/** What is in use, in units, by a model that knows nothing of yields. */
type Use = Record<string, number>;

describe("ResourceAccount, whatever happens to it", function () {
  this.timeout(20_000);
  for (const seed of [1, 2, 3]) {
    it(`keeps every unit through ${STEPS} random steps (seed ${seed})`, () => {
      const random = seeded(seed);
      const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
      const start = { CPU: 64, GPU: 4, memory: 1e12, a: 10 / 3, b: 100_000 };
      const account = new ResourceAccount(start);
      const held: Allocation[] = [];
      const request = (): Use => {
        const wanted: Use = {};
        for (const name of NAMES)
          if (random() < 0.5) wanted[name] = pick(AMOUNTS) * (name === "memory" ? 1e8 : 1);
        if (random() < 0.2) wanted["GPU"] = pick(GPUS);
        return wanted;
      };
      const check = (): void => {
        const { total, free } = account;
        for (const name of NAMES) {
          const used = held.reduce((sum, one) => {
            if (name === "CPU" && one.cpuYielded) return sum;
            return sum + toUnits(name, one.resources[name] ?? 0);
          }, 0);
          expect(free.units(name), name).to.equal(toUnits(name, total[name] ?? 0) - used);
        }
        for (const amount of Object.values(account.available)) expect(amount).to.be.at.least(0);
      };
      for (let step = 0; step < STEPS; step++) {
        const what = random();
        const one = held.length === 0 ? undefined : pick(held);
        if (what < 0.45) {
          const got = account.acquire(request());
          if (got !== undefined) held.push(got);
        } else if (one === undefined) continue;
        else if (what < 0.8) {
          held.splice(held.indexOf(one), 1);
          expect(account.release(one)).to.equal(true);
        } else if (what < 0.87) account.yieldCpu(one);
        else if (what < 0.94) account.resumeCpu(one);
        else if (what < 0.98) {
          const after: Use = {};
          for (const [name, amount] of Object.entries(one.resources)) {
            after[name] = name === "GPU" ? amount : pick([0, amount, amount / 2, amount / 3]);
          }
          account.shrink(one, after);
        } else if (what < 0.995) account.setTotal(pick(NAMES), pick(AMOUNTS) * 50);
        else account.setTotal("GPU", pick([0, 1, 2, 3, 4]));
        if (step % 97 === 0) check();
      }
      check();
      for (const one of held) account.release(one);
      expect(account.available).to.deep.equal(account.total);
      for (const [name, amount] of Object.entries(start)) account.setTotal(name, amount);
      expect(account.available).to.deep.equal({ ...start, a: Math.round((10 / 3) * UNITS) / UNITS });
      expect(account.available).to.deep.equal(account.total);
      expect(account.acquire({ GPU: 4 })?.gpus).to.deep.equal([0, 1, 2, 3]);
    });
  }

  it("gives nothing more of what is overdrawn until enough has come back", () => {
    const account = new ResourceAccount({ CPU: 4, special: 4 });
    const [one, two] = [account.acquire({ special: 3 }), account.acquire({ special: 1 })];
    account.setTotal("special", 2);
    expect(account.available).to.deep.equal({ CPU: 4, special: 0 });
    expect(account.free.units("special")).to.equal(-2 * UNITS);
    account.release(two as Allocation);
    expect(account.acquire({ special: 0.0001 })).to.equal(undefined);
    expect(account.acquire({ CPU: 1 }), "other resources are not touched").to.not.equal(undefined);
    account.setTotal("special", 0);
    expect(account.total).to.deep.equal({ CPU: 4 });
    account.release(one as Allocation);
    account.setTotal("special", 0.5);
    expect(account.available).to.deep.include({ special: 0.5 });
    expect(account.acquire({ special: 0.5 })).to.not.equal(undefined);
  });
});
