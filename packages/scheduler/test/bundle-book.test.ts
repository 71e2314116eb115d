import { expect } from "chai";
import { newGroupId, newJobId, type BundleReservation } from "@stingray/protocol";
import { BundleBook, ResourceAccount, type Allocation } from "../src/mod.js";

const reservation = (
  bundles: Record<string, number>[],
  more: Partial<BundleReservation> = {},
): BundleReservation => ({
  group: newGroupId(),
  job: newJobId(),
  detached: false,
  attempt: "1",
  bundles: bundles.map((resources, index) => ({ index, resources })),
  deadlineMs: 1_000,
  ...more,
});
const must = (allocation: Allocation | undefined): Allocation => {
  if (allocation === undefined) throw new Error("nothing was acquired");
  return allocation;
};

describe("bundles of a node", () => {
  it("are reserved all or none, once per attempt", () => {
    const node = new ResourceAccount({ CPU: 4 });
    const book = new BundleBook(node);
    const fits = reservation([{ CPU: 1 }, { CPU: 2 }]);
    expect(book.prepare(fits)).to.deep.equal({ reserved: true });
    expect(book.prepare(fits)).to.deep.equal({ reserved: true });
    expect(node.available).to.deep.equal({ CPU: 1 });
    expect(book.prepare({ ...fits, attempt: "2" })).to.include({ reserved: false });
    const refused = book.prepare(reservation([{ CPU: 1 }, { CPU: 1 }]));
    expect(refused).to.deep.equal({ reserved: false, reason: "needs CPU: 1, 0 of 4 free" });
    expect(node.available).to.deep.equal({ CPU: 1 });
  });

  it("are accounts of their own: what runs inside takes nothing more of the node, and no other GPUs", () => {
    const node = new ResourceAccount({ CPU: 4, GPU: 4 });
    const outside = must(node.acquire({ GPU: 1 }));
    const book = new BundleBook(node);
    const { group } = reservation([]);
    const both = [
      { CPU: 1, GPU: 2 },
      { CPU: 1, GPU: 0.5 },
    ];
    expect(book.prepare(reservation(both, { group }))).to.include({ reserved: true });
    const [whole, part] = book.of(group);
    expect(node.available).to.deep.equal({ CPU: 2, GPU: 0.5 });
    const first = must(whole?.account.acquire({ GPU: 1 }));
    const second = must(whole?.account.acquire({ GPU: 0.5 }));
    const gpus = [...first.gpus, ...second.gpus];
    expect(new Set(gpus).size).to.equal(2);
    expect(gpus).not.to.include(outside.gpus[0]);
    expect(whole?.account.acquire({ GPU: 1 })).to.equal(undefined);
    const third = must(part?.account.acquire({ CPU: 1, GPU: 0.5 }));
    expect(gpus).not.to.include(third.gpus[0]);
    expect(node.available).to.deep.equal({ CPU: 2, GPU: 0.5 });
    third.account.yieldCpu(third);
    expect(part?.account.available).to.include({ CPU: 1 });
    expect(node.available).to.include({ CPU: 2 });
  });

  it("are given back when they are closed and the last in them is gone, and take nothing in until then", () => {
    const node = new ResourceAccount({ CPU: 2 });
    const book = new BundleBook(node);
    const { group } = reservation([]);
    book.prepare(reservation([{ CPU: 1 }, { CPU: 1 }], { group }));
    book.commit(group, "1");
    const scheduling = { kind: "group", group, bundle: 0, capture: false } as const;
    const [account] = book.accountsFor(scheduling);
    const used = must(account?.acquire({ CPU: 1 }));
    expect(book.close((bundle) => bundle.group === group)).to.have.length(2);
    expect(book.accountsFor(scheduling)).to.have.length(0);
    expect(book.settle()).to.equal(true);
    expect(node.available).to.deep.equal({ CPU: 1 });
    account?.release(used);
    book.settle();
    expect(node.available).to.deep.equal(node.total);
    expect(book.all()).to.have.length(0);
  });

  it("are found by the group and the index that a request names", () => {
    const book = new BundleBook(new ResourceAccount({ CPU: 4 }));
    const { group } = reservation([]);
    book.prepare(reservation([{ CPU: 1 }, { CPU: 2 }], { group }));
    const at = (bundle: number) => book.accountsFor({ kind: "group", group, bundle, capture: false });
    // Its planner may still give it back, and would end what has begun in it.
    expect(at(-1)).to.have.length(0);
    book.commit(group, "1");
    expect(at(-1).map(({ total }) => total["CPU"])).to.deep.equal([1, 2]);
    expect(at(1).map(({ total }) => total["CPU"])).to.deep.equal([2]);
    expect(at(2)).to.have.length(0);
    expect(book.accountsFor(undefined)[0]?.total).to.deep.equal({ CPU: 4 });
  });
});
