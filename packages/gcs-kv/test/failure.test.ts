/** What happens when the broker, or the way to it, fails. */
import { jetstreamManager } from "@nats-io/jetstream";
import { expect } from "chai";
import { ConnectionError, Subjects } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { ControlStore, type Change, type NodeRow } from "../src/mod.js";
import { collect, nameRow, nodeRow } from "./samples.js";
import { TestBroker } from "./server.js";

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe("control store when the broker fails", function () {
  this.timeout(30_000);
  let broker: TestBroker;
  beforeEach(async () => {
    broker = await TestBroker.start();
  });
  afterEach(() => broker.stop());

  const open = async (
    options: { storage?: "file" | "memory"; timeoutMs?: number; servers?: string[] } = {},
  ): Promise<ControlStore> => {
    const { servers, ...rest } = options;
    return ControlStore.open({
      connection: await broker.connect(servers),
      subjects: new Subjects(),
      ...rest,
    });
  };

  it("keeps every row through kill -9, and caches go on", async () => {
    const stores = [await open(), await open()] as const;
    const nodes = await stores[0].table("nodes");
    const caches = [await nodes.watch(), await (await stores[1].table("nodes")).watch()];
    const before = await nodes.put("a", nodeRow({ pid: 1 }));
    await nodes.put("b", nodeRow());
    for (let round = 0; round < 3; round++) {
      await broker.server.kill();
      const writing = nodes.put("c", nodeRow({ pid: round }));
      await broker.server.restart();
      const revision = await writing;
      expect(revision).to.be.greaterThan(before);
      for (const cache of caches) {
        await cache.caughtUp(revision);
        await eventually(() => !cache.stale, "the cache to be live");
        expect([...cache.entries()].map((row) => row.key).toSorted()).to.deep.equal(["a", "b", "c"]);
        expect(cache.get("c")?.value.pid).to.equal(round);
      }
      const update = await nodes.update(
        "a",
        nodeRow({ pid: 2 + round }),
        (await nodes.get("a"))?.revision ?? 0,
      );
      expect(update.ok).to.equal(true);
      for (const cache of caches) await cache.waitFor("a", (row) => row.value.pid === 2 + round);
    }
    expect(await collect(nodes.entries())).to.have.length(3);
    for (const store of stores) await store.close();
  });

  it("counts every increment once, although answers are lost", async () => {
    const stores = [await open(), await open()] as const;
    await (await stores[0].table("nodes")).put("a", nodeRow({ pid: 0 }));
    let wanted = true;
    let done = 0;
    const work = async (store: ControlStore): Promise<void> => {
      const nodes = await store.table("nodes");
      while (wanted) {
        const row = await nodes.get("a");
        if (row === undefined) throw new Error("the row is gone");
        const written = await nodes.update("a", { ...row.value, pid: row.value.pid + 1 }, row.revision);
        if (written.ok) done++;
      }
    };
    const workers = [...stores, ...stores].map(work);
    for (let round = 0; round < 4; round++) {
      const so = done;
      await eventually(() => done > so + 50, "some increments");
      await broker.server.kill();
      await broker.server.restart();
    }
    wanted = false;
    await Promise.all(workers);
    const row = await (await stores[0].table("nodes")).get("a");
    expect(row?.value.pid).to.equal(done);
    for (const store of stores) await store.close();
  });

  it("begins anew, and says so, where the broker kept its data in memory", async () => {
    const store = await open({ storage: "memory" });
    const nodes = await store.table("nodes");
    const cache = await nodes.watch();
    await cache.caughtUp(await nodes.put("a", nodeRow()));
    const names = await store.table("names"); // nobody watches it
    await names.put("space/name", nameRow());
    const seen: Change<NodeRow>[] = [];
    cache.onChange((change) => seen.push(change));
    await broker.server.kill();
    await broker.server.restart();
    await eventually(
      () => seen.some(({ key, row }) => key === "a" && row === undefined),
      "the loss to be told",
    );
    expect(await names.get("space/name")).to.equal(undefined);
    expect((await nodes.create("a", nodeRow({ pid: 2 }))).ok).to.equal(true);
    await cache.waitFor("a", (row) => row.value.pid === 2);
    await store.close();
  });

  it("learns of a deletion that it slept through, also when its marker is gone", async () => {
    const proxy = await broker.proxy();
    const far = await open({ servers: [proxy.url] });
    const near = await open();
    const nodes = await near.table("nodes");
    await nodes.put("a", nodeRow());
    await nodes.put("b", nodeRow({ pid: 1 }));
    const cache = await (await far.table("nodes")).watch();
    proxy.cut();
    const marker = await nodes.delete("a");
    await nodes.put("b", nodeRow({ pid: 2 }));
    const jsm = await jetstreamManager(await broker.connect());
    await jsm.streams.deleteMessage("KV_st_v1_default_nodes", marker.ok ? marker.revision : 0, false);
    expect(cache.get("a")).to.not.equal(undefined);
    const wait = cache.waitFor("b", (row) => row.value.pid === 2);
    proxy.heal();
    await wait;
    expect(cache.get("a")).to.equal(undefined);
    for (const store of [far, near]) await store.close();
  });

  it("keeps a lease through a short outage and loses it in a long one", async () => {
    const proxy = await broker.proxy();
    const far = await open({ servers: [proxy.url] });
    const near = await open();
    const abort = new AbortController();
    const terms: { epoch: number; held: AbortSignal }[] = [];
    const lease = far.lease("controller", "g1", { ttlMs: 1500 });
    const running = lease.run(abort.signal, async (epoch, held) => {
      terms.push({ epoch, held });
      await eventually(() => held.aborted, { message: "the end of the term", timeoutMs: 20_000 });
    });
    await eventually(() => terms.length === 1, "the claim");
    await broker.server.kill();
    await broker.server.restart();
    const from = performance.now();
    await eventually(() => performance.now() - from > 1500 || terms[0]?.held.aborted === true, "a renewal");
    expect(terms[0]?.held.aborted).to.equal(false);

    const rival = near.lease("controller", "g2", { ttlMs: 1500 });
    await rival.acquire();
    proxy.cut();
    await eventually(() => terms[0]?.held.aborted === true, "the loss");
    expect(rival.state.kind).to.equal("observing"); // the holder stopped before anybody could take over
    await eventually(async () => (await rival.acquire()).kind === "held", "the take-over");
    expect(rival.epoch).to.be.greaterThan(terms[0]?.epoch ?? Infinity);
    proxy.heal();
    await rival.release();
    await eventually(() => terms.length === 2, "the next term");
    expect(terms[1]?.epoch).to.be.greaterThan(rival.epoch);
    abort.abort();
    await running;
    for (const store of [far, near]) await store.close();
  });

  it("gives up at its deadline, and says what to do", async () => {
    const store = await open({ timeoutMs: 300 });
    const nodes = await store.table("nodes");
    await broker.server.kill();
    const from = performance.now();
    for (const work of [nodes.get("a"), nodes.put("a", nodeRow()), nodes.watch(), collect(nodes.entries())]) {
      const error = await failure(work);
      expect(error).to.be.instanceOf(ConnectionError);
      expect((error as ConnectionError).retryable).to.equal(true);
    }
    expect(performance.now() - from).to.be.within(250, 2000);
    await store.close();
  });
});

it("a broker without JetStream is refused at once, with what to do", async () => {
  const broker = await TestBroker.start({ jetstream: false });
  try {
    const store = await ControlStore.open({ connection: await broker.connect(), subjects: new Subjects() });
    const error = await failure(store.table("nodes"));
    expect(error).to.be.instanceOf(ConnectionError);
    expect((error as Error).message).to.include("-js");
    await store.close();
  } finally {
    await broker.stop();
  }
});
