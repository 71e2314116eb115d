import { MemoryControlStore, objectKey, type ObjectRow, type Table } from "@stingray/gcs-kv";
import {
  ConnectionError,
  newAgentId,
  newJobId,
  newNodeId,
  newWorkerId,
  objectIdOf,
  type NodeId,
  type ProcessId,
} from "@stingray/protocol";
import { rejection } from "@stingray/protocol/testing";
import { expect } from "chai";
import { Locations } from "../../src/agent/store/locations.js";
import type { ObjectNews } from "../../src/feed/mod.js";
import { Clock, settle } from "../support/clock.js";

const MIB = 1 << 20;
const job = newJobId();
const worker = newWorkerId();
const object = (n: number): string => objectIdOf(worker, n, 0);

/** Nodes of one cluster in this process; what they publish is delivered by hand. */
class Cluster {
  readonly clock = new Clock();
  readonly store = new MemoryControlStore();
  readonly dead = new Set<string>();
  readonly nodes: Node[] = [];
  /** Prefixes that were read. */
  readonly reads: string[] = [];
  /** What a read waits for. */
  reading: () => Promise<void> = async () => undefined;

  node(remembered?: number): Node {
    const node = new Node(this, remembered);
    this.nodes.push(node);
    return node;
  }
  async table(): Promise<Pick<Table<ObjectRow>, "put" | "delete" | "entries">> {
    const table = await this.store.table("objects");
    const { reads } = this;
    const wait = (): Promise<void> => this.reading();
    return {
      put: (key, row) => table.put(key, row),
      delete: (key) => table.delete(key),
      async *entries(prefix) {
        reads.push(prefix ?? "");
        await wait();
        yield* table.entries(prefix);
      },
    };
  }
}

class Node {
  readonly node = newNodeId();
  readonly agent = newAgentId();
  readonly said: ObjectNews[] = [];
  readonly locations: Locations;

  constructor(cluster: Cluster, remembered: number | undefined) {
    const { clock: timers, dead } = cluster;
    this.locations = new Locations(
      this,
      {
        publish: (news) => {
          this.said.push(news);
          for (const other of cluster.nodes) other.locations.received(news);
        },
        table: () => cluster.table(),
        isAlive: (node) => !dead.has(node),
        failed: (what, error) => expect.fail(`could not ${what}: ${String(error)}`),
      },
      remembered === undefined ? { timers } : { timers, remembered },
    );
  }
  get self(): [NodeId, ProcessId] {
    return [this.node, this.agent];
  }
  /** What was said since the last time. */
  news(): Omit<ObjectNews, "node" | "agent">[] {
    return this.said.splice(0).map(({ complete, added, removed }) => ({ complete, added, removed }));
  }
}

describe("locations of large objects", () => {
  let cluster: Cluster;
  let a: Node;
  let b: Node;
  beforeEach(() => {
    cluster = new Cluster();
    a = cluster.node();
    b = cluster.node();
  });
  afterEach(async () => {
    for (const { locations } of cluster.nodes) locations.stop();
    await settle();
    expect(cluster.clock.pending, "timers left").to.equal(0);
  });
  const nothing = { size: 0, copies: [] };

  describe("told", () => {
    it("in one message within 50 ms, and known to the others then", async () => {
      a.locations.added(object(1), MIB, job);
      a.locations.added(object(2), 2 * MIB, undefined);
      await cluster.clock.advance(50);
      expect(a.news()).to.deep.equal([
        {
          complete: false,
          added: [
            [object(1), MIB],
            [object(2), 2 * MIB],
          ],
          removed: [],
        },
      ]);
      expect(await b.locations.locate(object(2), undefined)).to.deep.equal({
        size: 2 * MIB,
        copies: [a.self],
      });
      b.locations.added(object(2), 2 * MIB, job);
      expect(await b.locations.locate(object(2), undefined)).to.deep.equal({
        size: 2 * MIB,
        copies: [b.self, a.self],
      });
      a.locations.removed([object(1), object(2)]);
      await cluster.clock.advance(50);
      expect(a.news()).to.deep.equal([{ complete: false, added: [], removed: [object(1), object(2)] }]);
      expect(await b.locations.locate(object(1), undefined)).to.deep.equal(nothing);
      expect(await b.locations.locate(object(2), undefined)).to.deep.equal({
        size: 2 * MIB,
        copies: [b.self],
      });
    });

    it("not where they are small, unknown, said already, or gone before anybody heard of them", async () => {
      a.locations.added(object(1), MIB - 1, job);
      a.locations.removed([object(7)]);
      a.locations.added(object(2), MIB, job);
      a.locations.removed([object(2)]);
      await cluster.clock.advance(2_000);
      expect(a.news()).to.deep.equal([]);
      a.locations.added(object(3), MIB, undefined);
      await cluster.clock.advance(50);
      a.locations.added(object(3), MIB, undefined);
      await cluster.clock.advance(50);
      expect(a.news()).to.have.length(1);
    });

    it("with their last word when they change faster than they are told", async () => {
      a.locations.added(object(1), MIB, undefined);
      await cluster.clock.advance(50);
      a.locations.removed([object(1)]);
      a.locations.added(object(1), 3 * MIB, undefined); // made again
      await cluster.clock.advance(50);
      expect(await b.locations.locate(object(1), undefined)).to.deep.equal({
        size: 3 * MIB,
        copies: [a.self],
      });
      a.locations.removed([object(1)]);
      a.locations.added(object(1), 4 * MIB, undefined);
      a.locations.removed([object(1)]);
      await cluster.clock.advance(50);
      expect(await b.locations.locate(object(1), undefined)).to.deep.equal(nothing);
    });

    it("all at once to newcomers, once per second at most, and not by a node that never had any", async () => {
      a.locations.added(object(1), MIB, undefined);
      await cluster.clock.advance(50);
      a.news();
      const c = cluster.node();
      for (let i = 0; i < 100; i++) for (const node of [a, b]) node.locations.newcomer(c.node);
      await cluster.clock.advance(100);
      expect(a.news()).to.deep.equal([{ complete: true, added: [[object(1), MIB]], removed: [] }]);
      expect(b.news()).to.deep.equal([]);
      expect(await c.locations.locate(object(1), undefined)).to.deep.equal({ size: MIB, copies: [a.self] });
      for (let i = 0; i < 30; i++) {
        a.locations.newcomer(newNodeId());
        await cluster.clock.advance(100);
      }
      expect(a.news()).to.have.length(3);
      await cluster.clock.advance(2_000);
    });

    it("in place of all that was said before, when a node says everything", async () => {
      for (const n of [1, 2]) a.locations.added(object(n), MIB, undefined);
      await cluster.clock.advance(50);
      const [last] = a.said;
      b.locations.received({ ...(last as ObjectNews), complete: true, added: [[object(2), MIB]] });
      expect(await b.locations.locate(object(1), undefined)).to.deep.equal(nothing);
      expect((await b.locations.locate(object(2), undefined)).copies).to.deep.equal([a.self]);
    });

    it("to be gone when the node stops, and nothing after it", async () => {
      a.locations.added(object(1), MIB, job);
      await cluster.clock.advance(50);
      a.news();
      a.locations.stop();
      a.locations.stop();
      a.locations.added(object(2), MIB, job);
      a.locations.newcomer(newNodeId());
      await cluster.clock.advance(2_000);
      expect(a.news()).to.deep.equal([{ complete: true, added: [], removed: [] }]);
      expect(await b.locations.locate(object(1), undefined)).to.deep.equal(nothing);
    });
  });

  describe("remembered", () => {
    it("until their node is gone, or the copy could not be read", async () => {
      const c = cluster.node();
      for (const { locations } of [a, b]) locations.added(object(1), MIB, undefined);
      await cluster.clock.advance(50);
      cluster.dead.add(a.node);
      expect((await c.locations.locate(object(1), undefined)).copies).to.deep.equal([b.self]);
      cluster.dead.delete(a.node);
      expect((await c.locations.locate(object(1), undefined)).copies).to.deep.equal([a.self, b.self]);
      c.locations.nodeGone(a.node);
      expect((await c.locations.locate(object(1), undefined)).copies).to.deep.equal([b.self]);
      c.locations.unreadable(object(1), b.node);
      expect(await c.locations.locate(object(1), undefined)).to.deep.equal(nothing);
      expect(c.locations.figures.remembered).to.equal(0);
    });

    it("up to a limit, the longest untold forgotten first and counted", async () => {
      const c = cluster.node(10);
      for (let n = 0; n < 10; n++) a.locations.added(object(n), MIB, undefined);
      await cluster.clock.advance(50);
      b.locations.added(object(0), MIB, undefined);
      b.locations.added(object(99), MIB, undefined);
      await cluster.clock.advance(50);
      expect(c.locations.figures).to.include({ remembered: 10, dropped: 2 });
      const known = async (n: number): Promise<number> =>
        (await c.locations.locate(object(n), undefined)).copies.length;
      expect(await Promise.all([0, 1, 2, 3, 99].map(known))).to.deep.equal([2, 0, 0, 1, 1]);
    });
  });

  describe("read from the control store", () => {
    /** Of an owner whose copies nobody in memory knows of. */
    const row = async (n: number, on: { node: string; agent: string }, size = MIB): Promise<void> => {
      const table = await cluster.store.table("objects");
      await table.put(objectKey(job, object(n), on.node), { owner: worker, size, agent: on.agent });
    };

    it("where nobody has told of them: live nodes only, never oneself", async () => {
      const gone = { node: newNodeId(), agent: newAgentId() };
      cluster.dead.add(gone.node);
      for (const on of [gone, a, b]) await row(1, on);
      expect(await a.locations.locate(object(1), job)).to.deep.equal({ size: MIB, copies: [b.self] });
      expect(cluster.reads).to.have.length(1);
      expect(await a.locations.locate(object(1), undefined)).to.deep.equal(nothing);
      expect(await a.locations.locate(object(2), job)).to.deep.equal(nothing);
      expect(cluster.reads).to.have.length(2);
    });

    it("as they are written: after a second, by the node that has them", async () => {
      a.locations.added(object(1), MIB, job);
      a.locations.added(object(2), MIB, undefined);
      await cluster.clock.advance(1_100);
      b.locations.nodeGone(a.node); // forgets
      expect((await b.locations.locate(object(1), job)).copies).to.deep.equal([a.self]);
      expect((await b.locations.locate(object(2), job)).copies).to.deep.equal([]);
      a.locations.removed([object(1)]);
      await settle();
      expect((await b.locations.locate(object(1), job)).copies).to.deep.equal([]);
    });

    it("of the newest size only", async () => {
      await row(1, a, 5 * MIB);
      const c = cluster.node();
      await row(1, b, 7 * MIB);
      expect(await c.locations.locate(object(1), job)).to.deep.equal({ size: 7 * MIB, copies: [b.self] });
    });

    it("in one stroke when many objects of an owner are asked for during a read", async () => {
      for (let n = 0; n < 100; n++) await row(n, b);
      cluster.reading = settle;
      const all = await Promise.all(
        Array.from({ length: 200 }, (_, i) => a.locations.locate(object(i % 100), job)),
      );
      for (const found of all) expect(found.copies).to.deep.equal([b.self]);
      expect(cluster.reads).to.deep.equal([`${job}.${object(0)}`, `${job}.${worker}`]);
    });

    it("within 3 s, or with an error that says so", async () => {
      cluster.reading = () => new Promise(() => undefined);
      const failures = Promise.all([1, 2].map((n) => rejection(a.locations.locate(object(n), job))));
      await cluster.clock.advance(3_000);
      for (const error of await failures) expect(error).to.be.instanceOf(ConnectionError);
      cluster.reading = async () => undefined;
      expect(await a.locations.locate(object(1), job)).to.deep.equal(nothing);
    });

    it("with the error of the control store where it fails, and with one at once when the node stops", async () => {
      cluster.reading = () => Promise.reject(new ConnectionError("away"));
      expect(await rejection(a.locations.locate(object(1), job))).to.match(/away/);
      cluster.reading = () => new Promise(() => undefined);
      const waiting = rejection(a.locations.locate(object(1), job));
      await settle();
      a.locations.stop();
      expect(await waiting).to.be.instanceOf(ConnectionError);
    });
  });
});
