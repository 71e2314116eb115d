import { expect } from "chai";
import { InvalidArgumentError, InvalidOptionError } from "@stingray/protocol";
import { ResourceAccount, Resources, type Allocation } from "../src/mod.js";
import { seeded } from "./support/clock.js";

const must = (a: Allocation | undefined): Allocation => {
  if (a === undefined) throw new Error("the allocation was refused");
  return a;
};

describe("Resources", () => {
  it("adds tenths without drift", () => {
    let sum = Resources.none;
    for (let i = 0; i < 1000; i++) sum = sum.add(Resources.from({ CPU: 0.1 }));
    expect(sum.toRecord()).to.deep.equal({ CPU: 100 });
    expect(Resources.from({ CPU: 0.1 + 0.2 }).equals(Resources.from({ CPU: 0.3 }))).to.equal(true);
  });

  it("holds terabytes to the byte", () => {
    const total = Resources.from({ memory: 4e12 });
    const one = Resources.from({ memory: 1 });
    expect(total.subtract(one).add(one).equals(total)).to.equal(true);
    expect(total.subtract(one).toRecord()).to.deep.equal({ memory: 4e12 - 1 });
    // A third of a gigabyte is no whole number of bytes; with a fraction of one, terabytes would drift.
    const third = Resources.from({ memory: 1e9 / 3 });
    expect(third.toRecord()).to.deep.equal({ memory: 333_333_333 });
    expect(total.subtract(third).add(third).equals(total)).to.equal(true);
  });

  it("refuses amounts that make no sense and rounds what is too fine, never to nothing", () => {
    for (const bad of [-1, NaN, Infinity, 2e11]) {
      expect(() => Resources.from({ CPU: bad })).to.throw(InvalidOptionError, "CPU");
    }
    expect(() => Resources.from({ memory: 2e13 })).to.throw(InvalidOptionError, "bytes");
    expect(() => Resources.from({ "": 1 })).to.throw(InvalidOptionError);
    expect(Resources.from({ a: 0.00001, b: 0.12346, c: 0 }).toRecord()).to.deep.equal({
      a: 0.0001,
      b: 0.1235,
    });
  });
});

describe("ResourceAccount", () => {
  it("gives, and takes back exactly once", () => {
    const account = new ResourceAccount({ CPU: 2, special: 0.5 });
    const a = must(account.acquire({ CPU: 1.5, special: 0.5 }));
    expect(account.available).to.deep.equal({ CPU: 0.5, special: 0 });
    expect(account.acquire({ CPU: 1 })).to.equal(undefined);
    expect(account.release(a)).to.equal(true);
    expect(account.release(a)).to.equal(false);
    expect(account.release({ account, resources: { CPU: 9 }, gpus: [], cpuYielded: false })).to.equal(false);
    expect(account.available).to.deep.equal(account.total);
  });

  it("packs fractions of GPUs onto the fullest and keeps whole ones free", () => {
    const account = new ResourceAccount({ GPU: 3 });
    const half = must(account.acquire({ GPU: 0.5 }));
    const quarter = must(account.acquire({ GPU: 0.25 }));
    expect(quarter.gpus).to.deep.equal(half.gpus);
    const two = must(account.acquire({ GPU: 2 }));
    expect(two.gpus).to.have.length(2).and.not.include(half.gpus[0]);
    expect(account.acquire({ GPU: 0.5 })).to.equal(undefined);
    expect(must(account.acquire({ GPU: 0.25 })).gpus).to.deep.equal(half.gpus);
    expect(account.available).to.deep.equal({ GPU: 0 });
  });

  it("does not make a whole GPU of two halves", () => {
    const account = new ResourceAccount({ GPU: 2 });
    const [a, b, c] = [0.6, 0.6, 0.4].map((GPU) => must(account.acquire({ GPU })));
    expect(a?.gpus).to.not.deep.equal(b?.gpus);
    account.release(must(c));
    account.release(must(b));
    const whole = must(account.acquire({ GPU: 1 }));
    expect(whole.gpus).to.deep.equal(b?.gpus);
    account.release(whole);
    account.release(must(a));
    expect(account.available).to.deep.equal({ GPU: 2 });
  });

  it("never gives a GPU out twice, in any order of requests", () => {
    const random = seeded(7);
    const account = new ResourceAccount({ GPU: 4 });
    const held: { a: Allocation; each: number }[] = [];
    for (let step = 0; step < 3000; step++) {
      const GPU = [0.1, 0.25, 0.3333, 0.5, 0.75, 1, 2, 3][Math.floor(random() * 8)] ?? 1;
      const a = random() < 0.55 ? account.acquire({ GPU }) : undefined;
      if (a !== undefined) held.push({ a, each: Math.min(1, GPU) });
      else if (held.length > 0) {
        account.release(must(held.splice(Math.floor(random() * held.length), 1)[0]?.a));
      }
      const used = [0, 0, 0, 0];
      for (const {
        a: { gpus },
        each,
      } of held)
        for (const gpu of gpus) used[gpu] = (used[gpu] ?? 0) + each;
      for (const share of used) expect(share).to.be.at.most(1.0001);
    }
    for (const { a } of held) account.release(a);
    expect(account.available).to.deep.equal({ GPU: 4 });
    expect(must(account.acquire({ GPU: 4 })).gpus).to.deep.equal([0, 1, 2, 3]);
  });

  it("lends CPUs and takes them back even when they are in use", () => {
    const account = new ResourceAccount({ CPU: 1, x: 1 });
    const outer = must(account.acquire({ CPU: 1, x: 1 }));
    account.yieldCpu(outer);
    account.yieldCpu(outer);
    expect(outer.cpuYielded).to.equal(true);
    expect(account.available).to.deep.equal({ CPU: 1, x: 0 });
    const inner = must(account.acquire({ CPU: 1 }));
    account.resumeCpu(outer);
    account.resumeCpu(outer);
    expect(account.available).to.deep.equal({ CPU: 0, x: 0 });
    account.release(inner);
    expect(account.acquire({ CPU: 1 })).to.equal(undefined);
    account.release(outer);
    expect(account.available).to.deep.equal({ CPU: 1, x: 1 });
  });

  it("gives back only once what was lent when released", () => {
    const account = new ResourceAccount({ CPU: 2 });
    const a = must(account.acquire({ CPU: 2 }));
    account.yieldCpu(a);
    account.release(a);
    expect(account.available).to.deep.equal({ CPU: 2 });
  });

  it("shrinks an allocation, lent or not", () => {
    const account = new ResourceAccount({ CPU: 4, GPU: 2 });
    const a = must(account.acquire({ CPU: 2, GPU: 2 }));
    account.shrink(a, { CPU: 1, GPU: 1 });
    expect(account.available).to.deep.equal({ CPU: 3, GPU: 1 });
    expect(a.gpus).to.deep.equal([0]);
    account.yieldCpu(a);
    account.shrink(a, { GPU: 1 });
    expect(account.available).to.deep.equal({ CPU: 4, GPU: 1 });
    account.resumeCpu(a);
    expect(account.available).to.deep.equal({ CPU: 4, GPU: 1 });
    expect(() => account.shrink(a, { CPU: 1, GPU: 1 })).to.throw(InvalidArgumentError);
    account.release(a);
    expect(account.available).to.deep.equal(account.total);
  });

  it("says what is missing", () => {
    const account = new ResourceAccount({ CPU: 2, GPU: 2 });
    expect(account.canEver({ CPU: 2, GPU: 0.5 })).to.equal(true);
    expect(account.missing({ CPU: 2 })).to.equal("");
    expect(account.canEver({ tpu: 1 })).to.equal(false);
    expect(account.missing({ tpu: 1 })).to.equal("needs tpu: 1, this node has none");
    expect(account.missing({ CPU: 3 })).to.equal("needs CPU: 3, this node has 2 in all");
    expect(account.canEver({ GPU: 1.5 })).to.equal(false);
    expect(account.missing({ GPU: 1.5 })).to.include("whole");
    account.acquire({ CPU: 1.5 });
    expect(account.missing({ CPU: 1 })).to.equal("needs CPU: 1, 0.5 of 2 free");
  });

  it("follows changes of what the node has", () => {
    const account = new ResourceAccount({ CPU: 1, GPU: 2 });
    const both = must(account.acquire({ GPU: 2 }));
    account.setTotal("GPU", 1);
    account.setTotal("CPU", 3);
    account.setTotal("disk", 1);
    expect(account.total).to.deep.equal({ CPU: 3, GPU: 1, disk: 1 });
    account.release(both);
    expect(must(account.acquire({ GPU: 1 })).gpus).to.deep.equal([0]);
    expect(account.acquire({ GPU: 0.5 })).to.equal(undefined);
    expect(() => account.setTotal("GPU", 1.5)).to.throw(InvalidOptionError);
    expect(() => new ResourceAccount({ GPU: 0.5 })).to.throw(InvalidOptionError);
  });
});
