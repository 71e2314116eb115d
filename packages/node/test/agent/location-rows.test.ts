import { MemoryControlStore, objectKey, type ObjectRow, type Table } from "@stingray/gcs-kv";
import {
  AuthError,
  ConnectionError,
  newAgentId,
  newJobId,
  newNodeId,
  newWorkerId,
  objectIdOf,
  ownerOf,
  type ObjectId,
} from "@stingray/protocol";
import { expect } from "chai";
import { nextRowState, type RowEvent, type RowState } from "../../src/agent/store/location-row-state.js";
import { LocationRows } from "../../src/agent/store/location-rows.js";
import { Clock, settle } from "../support/clock.js";

const MIB = 1 << 20;
const job = newJobId();
const worker = newWorkerId();
const object = (n: number): ObjectId => objectIdOf(worker, n, 0);

/** A table in memory that can be made slow, or fail, and counts. */
class Writes {
  readonly store = new MemoryControlStore();
  readonly failures: unknown[] = [];
  readonly own = { node: newNodeId(), agent: newAgentId() };
  readonly clock = new Clock();
  readonly rows = new LocationRows(this.own, this.clock, {
    table: async () => ({
      put: (key, row) => this.write(key, (table) => table.put(key, row)),
      delete: (key) => this.write(key, (table) => table.delete(key)),
    }),
    failed: (_what, error) => void this.failures.push(error),
  });
  count = 0;
  most = 0;
  /** What the next writes do instead. */
  before: () => Promise<void> = async () => undefined;
  private readonly underWay = new Set<string>();

  async keys(): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of (await this.store.table("objects")).entries()) keys.push(key);
    return keys.toSorted();
  }
  key(n: number): string {
    return objectKey(job, object(n), this.own.node);
  }
  add(n: number, size = MIB): void {
    this.rows.added(object(n), size, job);
  }

  private async write<T>(key: string, run: (table: Table<ObjectRow>) => Promise<T>): Promise<T> {
    expect(this.underWay.has(key), "one write of a row at a time").to.equal(false);
    this.underWay.add(key);
    this.count++;
    this.most = Math.max(this.most, this.underWay.size);
    try {
      await this.before();
      return await run(await this.store.table("objects"));
    } finally {
      this.underWay.delete(key);
    }
  }
}

describe("rows of large objects", () => {
  let writes: Writes;
  beforeEach(() => (writes = new Writes()));
  afterEach(async () => {
    writes.rows.stop();
    await settle();
    expect(writes.clock.pending, "timers left").to.equal(0);
  });

  it("are written for objects that stay a second, and deleted with them", async () => {
    writes.add(1);
    await writes.clock.advance(990);
    expect(writes.count).to.equal(0);
    await writes.clock.advance(60);
    const table = await writes.store.table("objects");
    const { agent } = writes.own;
    expect((await table.get(writes.key(1)))?.value).to.deep.equal({
      owner: ownerOf(object(1)),
      size: MIB,
      agent,
    });
    writes.rows.removed(object(1));
    await settle();
    expect(await writes.keys()).to.deep.equal([]);
    expect(writes.count).to.equal(2);
  });

  it("cost nothing for objects that go before", async () => {
    for (let n = 0; n < 1_000; n++) writes.add(n);
    await writes.clock.advance(900);
    for (let n = 0; n < 1_000; n++) writes.rows.removed(object(n));
    await writes.clock.advance(5_000);
    expect(writes.count).to.equal(0);
    expect(writes.clock.pending).to.equal(0);
  });

  it("wait for each other: at most 64 are under way", async () => {
    writes.before = settle;
    for (let n = 0; n < 300; n++) writes.add(n);
    await writes.clock.advance(1_100);
    while (writes.rows.pending > 0) await settle();
    expect(await writes.keys()).to.have.length(300);
    expect(writes.most).to.equal(64);
  });

  it("follow the newest state only, however often it changed during a write", async () => {
    writes.add(1);
    let release: () => void = () => undefined;
    writes.before = () => new Promise((resolve) => (release = resolve));
    await writes.clock.advance(1_100);
    for (let i = 0; i < 10; i++) {
      writes.rows.removed(object(1));
      writes.add(1, MIB + i);
    }
    expect(writes.count).to.equal(1);
    writes.before = async () => undefined;
    release();
    await settle();
    expect(writes.count).to.equal(2);
    expect((await (await writes.store.table("objects")).get(writes.key(1)))?.value.size).to.equal(MIB + 9);
  });

  it("are tried again with growing pauses and one at a time when the broker is away, which is said once", async () => {
    writes.before = async () => {
      throw new ConnectionError("away");
    };
    for (let n = 0; n < 100; n++) writes.add(n);
    await writes.clock.advance(1_100);
    expect(writes.count).to.equal(64);
    await writes.clock.advance(60_000);
    expect(writes.count).to.be.within(64 + 5, 64 + 10);
    expect(writes.failures).to.have.length(1);
    // What goes meanwhile and may have been written is deleted in the end, the rest never tried.
    for (let n = 10; n < 100; n++) writes.rows.removed(object(n));
    expect(writes.rows.pending).to.be.at.most(10 + 64 + 10);
    writes.before = async () => undefined;
    await writes.clock.advance(31_000);
    expect(await writes.keys()).to.deep.equal([...Array(10).keys()].map((n) => writes.key(n)).toSorted());
    expect(writes.rows.pending).to.equal(0);
    // A new burst is said anew.
    writes.before = async () => {
      throw new ConnectionError("away again");
    };
    writes.rows.removed(object(0));
    await writes.clock.advance(10_000);
    expect(writes.failures).to.have.length(2);
  });

  it("are given up where trying again is of no use, and the others go on", async () => {
    let refused = 0;
    writes.before = async () => {
      if (refused++ === 0) throw new AuthError("no");
    };
    for (let n = 0; n < 3; n++) writes.add(n);
    await writes.clock.advance(5_000);
    expect(await writes.keys()).to.have.length(2);
    expect(writes.failures).to.have.length(1);
    expect(writes.count).to.equal(3);
  });

  it("are all written anew when the table was lost", async () => {
    for (let n = 0; n < 5; n++) writes.add(n);
    await writes.clock.advance(1_100);
    await writes.store.cleanUpJob(job);
    expect(await writes.keys()).to.deep.equal([]);
    writes.rows.writeAgain();
    await settle();
    expect(await writes.keys()).to.have.length(5);
  });

  it("are in the end what is here, whatever came, went and failed in between", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const run = new Writes();
      let state = seed;
      const random = (below: number): number => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
        return (state >> 8) % below;
      };
      run.before = async () => {
        for (let n = random(3); n > 0; n--) await settle();
        if (random(4) === 0) throw new ConnectionError("lost");
      };
      const here = new Map<number, number>();
      for (let i = 0; i < 300; i++) {
        const n = random(8);
        if (random(2) === 0) {
          here.set(n, MIB + random(2));
          run.add(n, here.get(n));
        } else {
          here.delete(n);
          run.rows.removed(object(n));
        }
        if (random(3) === 0) await run.clock.advance(random(600));
      }
      run.before = async () => undefined;
      await run.clock.advance(70_000);
      const sizes: Record<string, number> = {};
      for await (const { key, value } of (await run.store.table("objects")).entries())
        sizes[key] = value.size;
      expect(sizes, `seed ${seed}`).to.deep.equal(
        Object.fromEntries([...here].map(([n, size]) => [run.key(n), size])),
      );
      expect(run.clock.pending).to.equal(0);
      run.rows.stop();
    }
  });
});

describe("state of a row", () => {
  const after = (events: RowEvent[]): RowState => events.reduce<RowState>(nextRowState, { kind: "absent" });

  it("is absent, without a write, for what goes before its time", () => {
    expect(after(["here", "gone"])).to.deep.equal({ kind: "absent" });
    expect(after(["here", "aged", "gone"])).to.deep.equal({ kind: "absent" });
  });
  it("is to be deleted after every write that may have been done", () => {
    const due = { kind: "due", write: "delete", touched: true };
    expect(after(["here", "aged", "started", "done", "gone"])).to.deep.equal(due);
    expect(after(["here", "aged", "started", "failed", "gone"])).to.deep.equal(due);
    expect(after(["here", "aged", "started", "gone", "failed"])).to.deep.equal(due);
    expect(after(["here", "aged", "started", "gone", "done"])).to.deep.equal(due);
  });
  it("does not change by what does not fit it", () => {
    const stray: RowEvent[] = ["done", "failed", "refused", "started"];
    for (const state of [after([]), after(["here"]), after(["here", "aged", "started", "done"])]) {
      for (const event of stray) expect(nextRowState(state, event)).to.equal(state);
    }
  });
});
