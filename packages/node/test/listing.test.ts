import {
  TimeoutError,
  newDriverId,
  newWorkerId,
  objectIdOf,
  storeListing,
  type ProcessId,
  type ProcessMemory,
  type StoredObject,
} from "@stingray/protocol";
import { expect } from "chai";
import { listStore, type ListingParts } from "../src/agent/store/listing.js";
import { someFigures } from "./support/listings.js";

const memoryOf = (process: ProcessId): ProcessMemory => ({
  process,
  pid: 7,
  owned: 1,
  borrowed: 0,
  inlineBytes: 10,
  slabBytes: 20,
  objects: [],
});

function node(processes: ProcessId[], memory: ListingParts["memory"]): ListingParts {
  const object: StoredObject = {
    object: objectIdOf(newWorkerId(), 1, 0),
    size: 100_000,
    state: "memory",
    copy: false,
    pinned: true,
    ageMs: 12,
  };
  return {
    store: {
      figures: () => someFigures({ objects: 3 }),
      list: () => ({ objects: [object], more: 2, moreBytes: 9 }),
    },
    processes: () => processes,
    memory,
  };
}

describe("listing of a node's store", () => {
  it("has the figures, the objects, and what each process says", async () => {
    const [driver, worker] = [newDriverId(), newWorkerId()];
    const parts = node([driver, worker, driver], (process) => Promise.resolve(memoryOf(process)));
    const listing = await listStore(parts, 50);
    expect(storeListing(structuredClone(listing), "listing")).to.deep.equal(listing);
    expect(listing.processes.map(({ process }) => process)).to.deep.equal([driver, worker]);
    expect(listing).to.deep.include({ more: 2, moreBytes: 9, silent: [] });
    expect(listing.figures.objects).to.equal(3);
    expect(listing.objects).to.have.length(1);
  });

  it("names those that don't answer within two seconds, and waits for all of them at once", async () => {
    const [good, stuck, gone] = [newWorkerId(), newWorkerId(), newWorkerId()];
    const asked: number[] = [];
    const listing = await listStore(
      node([stuck, good, gone], (process, _limit, timeoutMs) => {
        asked.push(timeoutMs);
        return process === good
          ? Promise.resolve(memoryOf(newWorkerId()))
          : Promise.reject(new TimeoutError("no answer"));
      }),
      50,
    );
    expect(asked).to.deep.equal([2_000, 2_000, 2_000]);
    expect(listing.silent).to.deep.equal([stuck, gone]);
    expect(listing.processes.map(({ process }) => process)).to.deep.equal([good]);
  });

  it("asks each of many processes for fewer objects", async () => {
    const limits = new Set<number>();
    const ask = (count: number, limit: number): Promise<unknown> =>
      listStore(
        node(Array.from({ length: count }, newWorkerId), (process, most) => {
          limits.add(most);
          return Promise.resolve(memoryOf(process));
        }),
        limit,
      );
    await ask(0, 1_000);
    await ask(2, 1_000);
    await ask(40, 1_000);
    await ask(400, 1_000);
    await ask(400, 10);
    expect([...limits]).to.deep.equal([1_000, 500, 100, 10]);
  });
});
