/** What every control store must do, wherever its tables are. Run once in memory and once against a broker. */
import { expect } from "chai";
import {
  InvalidArgumentError,
  newAgentId,
  newJobId,
  newNodeId,
  objectIdOf,
  newWorkerId,
  TABLES,
  TimeoutError,
  ConnectionError,
} from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import {
  ActorStates,
  lineageKey,
  nameKey,
  objectKey,
  objectPrefix,
  packageKey,
  parseObjectKey,
  reminderKey,
  type Change,
  type NameRow,
  type NodeRow,
  type Tables,
} from "../src/mod.js";
import { actorRow, collect, groupRow, jobRow, nameRow, nodeRow, reminderRow } from "./samples.js";

/** `open` gives a store of a cluster that nobody has used; `join` another store of the same cluster. */
export interface Setup {
  open(): Promise<Tables>;
  join(store: Tables): Promise<Tables>;
}

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

export function conformance(setup: Setup): void {
  let store: Tables;
  beforeEach(async () => {
    store = await setup.open();
  });
  afterEach(() => store.close());

  describe("rows", () => {
    it("come back as they were written, bytes and all", async () => {
      const actors = await store.table("actors");
      const row = actorRow(newJobId());
      const written = await actors.create(row.spec.actor, row);
      expect(written.ok).to.equal(true);
      const read = await actors.get(row.spec.actor);
      expect(read?.value).to.deep.equal(row);
      expect(read?.revision).to.equal(written.ok && written.revision);
      expect(await actors.get("anobody")).to.equal(undefined);
    });

    it("are not written where they don't fit the table", async () => {
      const nodes = await store.table("nodes");
      const error = await failure(nodes.put("n1", { ...nodeRow(), pid: -1 }));
      expect(error).to.be.instanceOf(InvalidArgumentError);
      expect(await nodes.get("n1")).to.equal(undefined);
    });

    it("take only keys made of tokens, and none of the store's own", async () => {
      const nodes = await store.table("nodes");
      for (const key of ["", ".a", "a.", "a..b", "a b", "a.>", "*", "a//b", "ä", "_lease/x"]) {
        expect(await failure(nodes.put(key, nodeRow())), key).to.be.instanceOf(InvalidArgumentError);
      }
      expect(await failure(nodes.update("a", nodeRow(), 0))).to.be.instanceOf(InvalidArgumentError);
    });

    it("are counted by revisions that only grow", async () => {
      const nodes = await store.table("nodes");
      const first = await nodes.put("a", nodeRow());
      const second = await nodes.put("b", nodeRow());
      const gone = await nodes.delete("a");
      const third = await nodes.put("a", nodeRow());
      expect(second).to.be.greaterThan(first);
      expect(gone.ok && gone.revision).to.be.greaterThan(second);
      expect(third).to.be.greaterThan(gone.ok ? gone.revision : Infinity);
    });
  });

  describe("compare and set", () => {
    it("lets one of 50 creators win, and shows the others who", async () => {
      const other = await setup.join(store);
      const first = await store.table("names");
      const tables = [first, await other.table("names")];
      const key = nameKey("default", "the counter");
      const rows = Array.from({ length: 50 }, () => nameRow());
      const outcomes = await Promise.all(rows.map((row, i) => (tables[i % 2] ?? first).create(key, row)));
      const winners = rows.filter((_, i) => outcomes[i]?.ok);
      expect(winners).to.have.length(1);
      for (const outcome of outcomes) {
        if (!outcome.ok) expect(outcome.current?.value).to.deep.equal(winners[0]);
      }
      await other.close();
    });

    it("refuses an update of a stale revision and leaves the row alone", async () => {
      const nodes = await store.table("nodes");
      const old = await nodes.put("a", nodeRow({ pid: 1 }));
      const now = await nodes.update("a", nodeRow({ pid: 2 }), old);
      expect(now.ok).to.equal(true);
      const late = await nodes.update("a", nodeRow({ pid: 3 }), old);
      expect(late.ok).to.equal(false);
      expect(!late.ok && late.current?.value.pid).to.equal(2);
      expect(!late.ok && late.current?.revision).to.equal(now.ok && now.revision);
      const none = await nodes.update("never", nodeRow(), 7);
      expect(none).to.deep.equal({ ok: false, current: undefined });
    });

    it("loses no increment of 20 writers that retry", async () => {
      const nodes = await store.table("nodes");
      await nodes.put("a", nodeRow({ pid: 0 }));
      const increment = async (): Promise<void> => {
        for (;;) {
          const row = await nodes.get("a");
          if (row === undefined) throw new Error("the row is gone");
          const next = { ...row.value, pid: row.value.pid + 1 };
          if ((await nodes.update("a", next, row.revision)).ok) return;
        }
      };
      await Promise.all(Array.from({ length: 20 }, increment));
      expect((await nodes.get("a"))?.value.pid).to.equal(20);
    });

    it("deletes with and without a condition, and lets a deleted key be created again", async () => {
      const nodes = await store.table("nodes");
      const first = await nodes.put("a", nodeRow());
      const second = await nodes.put("a", nodeRow({ pid: 2 }));
      const stale = await nodes.delete("a", first);
      expect(!stale.ok && stale.current?.revision).to.equal(second);
      expect((await nodes.delete("a", second)).ok).to.equal(true);
      expect(await nodes.get("a")).to.equal(undefined);
      expect(await nodes.delete("a", second)).to.deep.equal({ ok: false, current: undefined });
      expect(await nodes.update("a", nodeRow(), second)).to.deep.equal({ ok: false, current: undefined });
      const again = await nodes.create("a", nodeRow({ pid: 3 }));
      expect(again.ok && again.revision).to.be.greaterThan(second);
      expect((await nodes.create("a", nodeRow())).ok).to.equal(false);
      expect((await nodes.delete("a")).ok).to.equal(true);
      expect((await nodes.delete("nothing")).ok).to.equal(true);
    });
  });

  describe("entries", () => {
    it("lists what lies under whole tokens of a prefix, oldest first", async () => {
      const names = await store.table("names");
      const keys = ["a/1", "a/2", "ab/1", "a/1.x", "b/1", "a"];
      for (const key of keys) await names.put(key, nameRow());
      await names.put("a/2", nameRow());
      await names.delete("b/1");
      const under = async (prefix?: string): Promise<string[]> =>
        (await collect(names.entries(prefix))).map((row) => row.key);
      expect(await under("a")).to.deep.equal(["a/1", "a/1.x", "a/2"]);
      expect(await under("a/1")).to.deep.equal(["a/1.x"]);
      expect(await under("ab")).to.deep.equal(["ab/1"]);
      expect(await under("b")).to.deep.equal([]);
      expect(await under()).to.deep.equal(["a/1", "ab/1", "a/1.x", "a", "a/2"]);
    });

    it("lists many, and removes those that a predicate accepts", async () => {
      const names = await store.table("names");
      const job = newJobId();
      const writes = Array.from({ length: 700 }, (_, i) =>
        names.put(`x/${i}`, nameRow(i % 2 === 0 ? job : undefined)),
      );
      await Promise.all(writes);
      expect(await collect(names.entries("x"))).to.have.length(700);
      expect(await names.removeWhere("x", (row) => row.value.job === job)).to.equal(350);
      const left = await collect(names.entries("x"));
      expect(left).to.have.length(350);
      expect(left.some((row) => row.value.job === job)).to.equal(false);
    });
  });

  describe("watch", () => {
    it("is filled when it is given, and then follows in order without a gap", async () => {
      const nodes = await store.table("nodes");
      for (let i = 0; i < 20; i++) await nodes.put(`k${i}`, nodeRow({ pid: i }));
      const other = await setup.join(store);
      const cache = await (await other.table("nodes")).watch();
      expect([...cache.entries()]).to.have.length(20);
      expect(cache.stale).to.equal(false);

      const seen: Change<NodeRow>[] = [];
      cache.onChange((change) => seen.push(change));
      let last = 0;
      for (let i = 0; i < 200; i++) last = await nodes.put(`k${i % 10}`, nodeRow({ pid: 1000 + i }));
      await cache.caughtUp(last);
      expect(seen.map((change) => change.row?.value.pid)).to.deep.equal(
        Array.from({ length: 200 }, (_, i) => 1000 + i),
      );
      expect(cache.get("k9")?.value.pid).to.equal(1199);
      expect(cache.revision).to.equal(last);
      await cache.stop();
      await other.close();
    });

    it("agrees with the table when it is opened in the middle of writing and deleting", async () => {
      const names = await store.table("names");
      const rows = new Map<string, NameRow>();
      let writing = true;
      const writer = (async () => {
        for (let i = 0; i < 400; i++) {
          const key = `x/${(i * 7) % 60}`;
          if (i % 5 === 4) {
            rows.delete(key);
            await names.delete(key);
          } else {
            const row = nameRow();
            rows.set(key, row);
            await names.put(key, row);
          }
        }
        writing = false;
      })();
      const caches = [];
      while (writing) {
        caches.push(await names.watch("x"));
        await new Promise(setImmediate);
        if (caches.length === 8) break;
      }
      await writer;
      const last = await names.put("x/end", nameRow());
      for (const cache of caches) {
        await cache.caughtUp(last);
        const got = new Map([...cache.entries()].map((row) => [row.key, row.value]));
        got.delete("x/end");
        expect(got).to.deep.equal(rows);
        await cache.stop();
      }
    });

    it("sees only its prefix, and deletions as changes without a row", async () => {
      const names = await store.table("names");
      await names.put("a/1", nameRow());
      const cache = await names.watch("a");
      const seen: [string, boolean][] = [];
      const end = cache.onChange(({ key, row }) => seen.push([key, row !== undefined]));
      await names.put("b/1", nameRow());
      await names.delete("a/1");
      await cache.caughtUp(await names.put("a/2", nameRow()));
      expect(seen).to.deep.equal([
        ["a/1", false],
        ["a/2", true],
      ]);
      end();
      await cache.caughtUp(await names.put("a/3", nameRow()));
      expect(seen).to.have.length(2);
      expect([...cache.entries("a")].map((row) => row.key)).to.deep.equal(["a/2", "a/3"]);
      await cache.stop();
    });

    it("waits for a row, until a deadline, a signal or the end of the cache", async () => {
      const nodes = await store.table("nodes");
      const cache = await nodes.watch();
      const dead = cache.waitFor("a", (row) => row.value.state === "DEAD");
      await nodes.put("a", nodeRow());
      await nodes.put("a", nodeRow({ state: "DEAD", reason: "test" }));
      expect((await dead).value.reason).to.equal("test");
      expect((await cache.waitFor("a", () => true)).value.state).to.equal("DEAD");

      expect(await failure(cache.waitFor("b", () => true, { timeoutMs: 10 }))).to.be.instanceOf(TimeoutError);
      expect(await failure(cache.caughtUp(1e9, { timeoutMs: 10 }))).to.be.instanceOf(TimeoutError);
      const abort = new AbortController();
      const aborted = failure(cache.waitFor("b", () => true, { signal: abort.signal }));
      const reason = new Error("enough");
      abort.abort(reason);
      expect(await aborted).to.equal(reason);
      const thrown = failure(
        cache.waitFor("a", () => {
          throw reason;
        }),
      );
      expect(await thrown).to.equal(reason);

      const waiting = failure(cache.waitFor("b", () => true));
      await cache.stop();
      expect(await waiting).to.be.instanceOf(ConnectionError);
      expect(await failure(cache.waitFor("a", () => true))).to.be.instanceOf(ConnectionError);
      await cache.stop();
    });

    it("is refused where rows are removed in bulk", async () => {
      expect(await failure((await store.table("lineage")).watch())).to.be.instanceOf(InvalidArgumentError);
    });
  });

  describe("leases", () => {
    it("have one holder at a time, and pass on at once when given back", async () => {
      const contenders = Array.from({ length: 10 }, (_, i) =>
        store.lease("controller", `g${i}`, { ttlMs: 60_000 }),
      );
      const states = await Promise.all(contenders.map((lease) => lease.acquire()));
      expect(states.filter((state) => state.kind === "held")).to.have.length(1);
      const winner = contenders.find((lease) => lease.state.kind === "held");
      const loser = contenders.find((lease) => lease.state.kind !== "held");
      const first = winner?.epoch ?? 0;
      expect((await loser?.acquire())?.kind).to.equal("observing");
      expect((await winner?.renew())?.kind).to.equal("held");
      expect(winner?.epoch).to.equal(first);
      await winner?.release();
      expect(winner?.state.kind).to.equal("released");
      expect((await loser?.acquire())?.kind).to.equal("held");
      expect(loser?.epoch).to.be.greaterThan(first);
    });

    it("are taken over when the holder falls silent, with a higher epoch, and not before", async () => {
      const ttlMs = 200;
      const asleep = store.lease("controller", "g1", { ttlMs });
      const awake = store.lease("controller", "g2", { ttlMs });
      await asleep.acquire();
      const from = performance.now();
      await eventually(async () => (await awake.acquire()).kind === "held", "the take-over");
      expect(performance.now() - from).to.be.greaterThan(ttlMs);
      expect(awake.epoch).to.be.greaterThan(asleep.epoch);
      expect(asleep.state.kind).to.equal("lost");
      expect((await asleep.renew()).kind).to.equal("lost");
      expect((await asleep.acquire()).kind).to.equal("observing");
      await awake.release();
    });

    it("are kept by run, which says when they are lost", async () => {
      const abort = new AbortController();
      const ttlMs = 300;
      const spans: { holder: string; epoch: number; from: number; to: number }[] = [];
      const run = (holder: string, ms: number): Promise<void> =>
        store.lease("controller", holder, { ttlMs }).run(abort.signal, async (epoch, held) => {
          const span = { holder, epoch, from: performance.now(), to: 0 };
          await eventually(() => held.aborted || performance.now() - span.from > ms, `${holder} to end`);
          span.to = performance.now();
          spans.push(span);
        });
      // Each holds it for longer than a term, so it has been renewed, and gives it back by returning.
      await Promise.all([run("g1", 500), run("g2", 500), run("g3", 500)]);
      expect(spans.map((span) => span.holder).toSorted()).to.deep.equal(["g1", "g2", "g3"]);
      for (let i = 1; i < spans.length; i++) {
        expect(spans[i]?.from).to.be.at.least(spans[i - 1]?.to ?? Infinity);
        expect(spans[i]?.epoch).to.be.greaterThan(spans[i - 1]?.epoch ?? Infinity);
      }

      let lost = false;
      const robbed = store.lease("other", "g1", { ttlMs });
      const running = robbed.run(abort.signal, async (_epoch, held) => {
        await eventually(() => held.aborted, "the loss");
        lost = true;
        abort.abort();
      });
      await eventually(() => robbed.state.kind === "held", "the claim");
      await robbed.release(); // behind the back of run, as if it had been taken
      await running;
      expect(lost).to.equal(true);
    });

    it("are invisible in the table that holds them", async () => {
      const nodes = await store.table("nodes");
      const cache = await nodes.watch();
      await store.lease("controller", "g1", { ttlMs: 1000 }).acquire();
      await cache.caughtUp(await nodes.put("a", nodeRow()));
      expect([...cache.entries()].map((row) => row.key)).to.deep.equal(["a"]);
      expect((await collect(nodes.entries())).map((row) => row.key)).to.deep.equal(["a"]);
      await cache.stop();
    });
  });

  describe("copies of objects", () => {
    it("lists those of one object, those of one owner, and takes one away without the others", async () => {
      const objects = await store.table("objects");
      const job = newJobId();
      const owner = newWorkerId();
      const nodes = [newNodeId(), newNodeId()].toSorted();
      // Of ids that begin alike, only whole ones count.
      const ids = [objectIdOf(owner, 1, 0), objectIdOf(owner, 1, 1), objectIdOf(owner, 11, 0)] as const;
      for (const object of [...ids, objectIdOf(newWorkerId(), 1, 0)]) {
        for (const node of nodes) {
          await objects.put(objectKey(job, object, node), { owner, size: 1, agent: newAgentId() });
        }
      }
      const found = async (prefix: string): Promise<ReturnType<typeof parseObjectKey>[]> =>
        (await collect(objects.entries(prefix))).map(({ key }) => parseObjectKey(key));
      expect(await found(objectPrefix(job, ids[0]))).to.deep.equal(
        nodes.map((node) => ({ job, object: ids[0], node })),
      );
      expect(await found(objectPrefix(job, owner))).to.have.length(6);
      await objects.delete(objectKey(job, ids[0], nodes[0] as string));
      expect(await found(objectPrefix(job, ids[0]))).to.deep.equal([{ job, object: ids[0], node: nodes[1] }]);
      expect(await found(objectPrefix(job, owner))).to.have.length(5);
    });
  });

  describe("cleaning up a job", () => {
    it("leaves no row of the job and every row of others", async () => {
      const jobs = [newJobId(), newJobId()] as const;
      for (const job of jobs) {
        const owner = newWorkerId();
        await (await store.table("jobs")).put(job, jobRow(job));
        const actor = actorRow(job);
        actor.spec.methods = { snapshot: { returns: 1 }, restore: { returns: 1 } };
        await (await store.table("actors")).put(actor.spec.actor, actor);
        const states = new ActorStates(await store.table("states"));
        await states.first(actor.spec.actor, job, 1).save({ state: new Uint8Array(600_000) });
        const due = reminderRow(job, actor.spec.actor);
        await (await store.table("reminders")).put(reminderKey(due.actor, due.name), due);
        await (await store.table("names")).put(nameKey(job, "c"), { actor: actor.spec.actor, job });
        const group = groupRow(job);
        await (await store.table("groups")).put(group.group, group);
        for (let i = 0; i < 3; i++) {
          const copy = objectKey(job, objectIdOf(owner, i, 0), newNodeId());
          await (await store.table("objects")).put(copy, { owner, size: 1, agent: newAgentId() });
          const bytes = new Uint8Array([i]);
          await (await store.table("lineage")).put(lineageKey(job, owner, i), { bytes });
          await (await store.table("packages")).put(packageKey(job, `hash ${i}`), { bytes });
        }
      }
      await (await store.table("nodes")).put("n1", nodeRow());
      const removed = await store.cleanUpJob(jobs[0]);
      expect(removed).to.deep.equal({
        nodes: 0,
        jobs: 1,
        actors: 1,
        names: 1,
        groups: 1,
        objects: 3,
        lineage: 3,
        packages: 3,
        states: 3,
        reminders: 1,
      });
      for (const name of TABLES) {
        const rows: { key: string; value: unknown }[] = (
          await collect((await store.table(name)).entries() as AsyncIterable<{ key: string; value: object }>)
        ).filter(({ value }) => !("part" in value));
        expect(JSON.stringify(rows), name).to.not.include(jobs[0]);
        if (name !== "nodes") expect(JSON.stringify(rows), name).to.include(jobs[1]);
      }
      expect(Object.values(await store.cleanUpJob(jobs[0])).every((count) => count === 0)).to.equal(true);
    });

    it("keeps what a live detached actor needs, until it is dead", async () => {
      const job = newJobId();
      const [actors, names, jobs] = await Promise.all([
        store.table("actors"),
        store.table("names"),
        store.table("jobs"),
      ]);
      await jobs.put(job, jobRow(job));
      const actor = actorRow(job, true);
      const id = actor.spec.actor;
      await actors.put(id, actor);
      await names.put(nameKey("default", "d"), { actor: id, job });
      expect((await store.cleanUpJob(job)).jobs).to.equal(0);
      expect(await actors.get(id)).to.not.equal(undefined);
      expect(await names.get(nameKey("default", "d"))).to.not.equal(undefined);
      await actors.put(id, { ...actor, state: "DEAD" });
      const removed = await store.cleanUpJob(job);
      expect([removed.jobs, removed.actors, removed.names]).to.deep.equal([1, 1, 1]);
    });
  });

  it("ends watches, waits and later calls when it is closed", async () => {
    const nodes = await store.table("nodes");
    const cache = await nodes.watch();
    const waiting = failure(cache.waitFor("never", () => true));
    const lease = store.lease("l", "g1", { ttlMs: 1000 });
    const running = lease.run(new AbortController().signal, async (_epoch, held) => {
      await eventually(() => held.aborted, "the end");
    });
    await eventually(() => lease.state.kind === "held", "the claim");
    await store.close();
    expect(await waiting).to.be.instanceOf(ConnectionError);
    expect(await failure(nodes.get("a"))).to.be.instanceOf(ConnectionError);
    await running;
  });
}
