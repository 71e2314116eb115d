/** The buckets themselves: schema versions, strangers' data, other clusters, other clients, and what is left behind. */
import { expect } from "chai";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { newActorId, newJobId, ProtocolError, Subjects } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { Bucket } from "../src/bucket.js";
import { newWriteId } from "../src/codec.js";
import { BrokerLink } from "../src/link.js";
import { MarkerSweeper } from "../src/markers.js";
import { ControlStore, nameKey } from "../src/mod.js";
import { collect, nameRow, nodeRow } from "./samples.js";
import { TestBroker } from "./server.js";

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe("buckets", function () {
  this.timeout(10_000);
  let broker: TestBroker;
  before(async () => {
    broker = await TestBroker.start();
  });
  after(() => broker.stop());

  const open = async (cluster: string, report?: (error: Error) => void): Promise<ControlStore> =>
    ControlStore.open({
      connection: await broker.connect(),
      subjects: new Subjects("st", cluster),
      storage: "memory",
      ...(report && { report }),
    });

  it("of another schema, or of somebody else, are refused and left alone", async () => {
    const connection = await broker.connect();
    const jsm = await jetstreamManager(connection);
    await jsm.streams.add({
      name: "KV_st_v1_old_nodes",
      subjects: ["$KV.st_v1_old_nodes.>"],
      description: "stingray nodes, schema 99",
    });
    await new Kvm(connection).create("st_v1_old_jobs");
    const store = await open("old");
    const error = await failure(store.table("nodes"));
    expect(error).to.be.instanceOf(ProtocolError);
    expect((error as ProtocolError).message)
      .to.include("schema 99")
      .and.to.include("schema 1");
    expect((error as ProtocolError).detail["found"]).to.equal(99);
    expect(await failure(store.table("jobs"))).to.be.instanceOf(ProtocolError);
    expect(await failure(store.lease("l", "g", { ttlMs: 1000 }).acquire())).to.be.instanceOf(ProtocolError);
    expect((await jsm.streams.info("KV_st_v1_old_nodes")).config.description).to.equal(
      "stingray nodes, schema 99",
    );
    // A refusal is not for ever: the next call looks again.
    await jsm.streams.delete("KV_st_v1_old_nodes");
    expect(await (await store.table("nodes")).get("a")).to.equal(undefined);
    await store.close();
  });

  it("made with other settings are used as they are", async () => {
    const first = await open("settings");
    await (await first.table("nodes")).put("a", nodeRow());
    const second = await ControlStore.open({
      connection: await broker.connect(),
      subjects: new Subjects("st", "settings"),
      storage: "file",
    });
    expect(await (await second.table("nodes")).get("a")).to.not.equal(undefined);
    for (const store of [first, second]) await store.close();
  });

  it("of two clusters on one broker know nothing of each other", async () => {
    const [one, two] = [await open("one"), await open("two")];
    const [a, b] = [await one.table("nodes"), await two.table("nodes")];
    const cache = await b.watch();
    await a.put("a", nodeRow());
    await one.lease("controller", "g1", { ttlMs: 60_000 }).acquire();
    expect(await b.get("a")).to.equal(undefined);
    expect((await two.lease("controller", "g2", { ttlMs: 60_000 }).acquire()).kind).to.equal("held");
    await cache.caughtUp(await b.put("b", nodeRow()));
    expect([...cache.entries()].map((row) => row.key)).to.deep.equal(["b"]);
    for (const store of [one, two]) await store.close();
  });

  it("are read by other clients as what they are", async () => {
    const store = await open("others");
    const names = await store.table("names");
    const key = nameKey("default", "ä b");
    await names.put(key, nameRow());
    const kv = await new Kvm(await broker.connect()).open("st_v1_others_names");
    const entry = await kv.get(key.replace("/", "./"));
    expect(entry?.operation).to.equal("PUT");
    expect(entry?.value[0]).to.equal(0x83); // an array of three
    await names.delete(key);
    expect((await kv.get(key.replace("/", "./")))?.operation).to.equal("DEL");
    await store.close();
  });

  it("with rows that can't be read report and skip them, and let them be replaced", async () => {
    const reports: Error[] = [];
    const store = await open("broken", (error) => reports.push(error));
    const names = await store.table("names");
    const kv = await new Kvm(await broker.connect()).open("st_v1_broken_names");
    const good = nameRow();
    await names.put("a", good);
    await kv.put("b", new Uint8Array([0xff, 0xff, 0xff]));
    await kv.put("c", new Uint8Array([0x83, 0x02, 0x61, 0x78, 0xa0])); // version 2
    await kv.put("d", new Uint8Array([0x83, 0x01, 0x61, 0x78, 0xa0])); // a row without its fields
    expect(await names.get("b")).to.equal(undefined);
    expect((await collect(names.entries())).map((row) => row.key)).to.deep.equal(["a"]);
    const cache = await names.watch();
    expect([...cache.entries()].map((row) => row.value)).to.deep.equal([good]);
    expect(await names.create("b", nameRow())).to.deep.equal({ ok: false, current: undefined });
    expect(reports.length).to.be.greaterThan(6);
    expect(reports.every((error) => error instanceof ProtocolError)).to.equal(true);
    expect(reports[0]?.message).to.include("names/b");

    await kv.put("a", new Uint8Array([0]));
    await cache.caughtUp(await names.put("b", nameRow()));
    expect([...cache.entries()].map((row) => row.key)).to.deep.equal(["b"]);
    await store.close();
  });

  it("report a callback that throws, and call the others", async () => {
    const reports: Error[] = [];
    const store = await open("callbacks", (error) => reports.push(error));
    const nodes = await store.table("nodes");
    const cache = await nodes.watch();
    const mine = new Error("mine");
    let called = 0;
    cache.onChange(() => {
      throw mine;
    });
    cache.onChange(() => called++);
    await cache.caughtUp(await nodes.put("a", nodeRow()));
    expect(reports).to.deep.equal([mine]);
    expect(called).to.equal(1);
    await store.close();
  });

  it("are rid of deletion markers after a while, and of nothing else", async () => {
    const connection = await broker.connect();
    const link = await BrokerLink.create(connection, 5000);
    const bucket = await Bucket.open(link, {
      table: "names",
      name: "st_v1_markers_names",
      schema: 1,
      storage: "memory",
      replicas: 1,
    });
    const sweeper = new MarkerSweeper(bucket, 20);
    const data = new Uint8Array([1]);
    for (let i = 0; i < 40; i++) {
      await bucket.publish(`k${i}`, data, newWriteId(), undefined);
      const marker = await bucket.mark(`k${i}`, newWriteId(), undefined);
      if (marker.ok) sweeper.note(marker.revision);
    }
    const again = await bucket.publish("k7", data, newWriteId(), undefined);
    const row = await bucket.publish("other", data, newWriteId(), undefined);
    if (row.ok) sweeper.note(row.revision); // a mistaken one: it is a row, and stays
    await bucket.publish("last", data, newWriteId(), undefined);
    const count = async (): Promise<number> => (await link.jsm.streams.info(bucket.stream)).state.messages;
    await eventually(async () => (await count()) === 3, "the markers to go");
    expect((await bucket.get("k7"))?.revision).to.equal(again.ok && again.revision);
    expect(await bucket.get("k8")).to.equal(undefined);
    expect(await bucket.get("other")).to.not.equal(undefined);
    sweeper.stop();
    link.close(new ProtocolError("test over"));
  });

  it("keep a name taken through a crowd that creates and deletes it", async () => {
    const store = await open("crowd");
    const names = await store.table("names");
    let holders = 0;
    const contend = async (): Promise<void> => {
      for (let turn = 0; turn < 15; turn++) {
        const row = { actor: newActorId(), job: newJobId() };
        const written = await names.create("the/name", row);
        if (!written.ok) continue;
        expect(++holders).to.equal(1);
        await new Promise(setImmediate);
        holders--;
        expect((await names.delete("the/name", written.revision)).ok).to.equal(true);
      }
    };
    await Promise.all(Array.from({ length: 8 }, contend));
    await store.close();
  });
});
