/** Names of actors, and actors that outlive their jobs. */
import { expect } from "chai";
import {
  ActorDiedError,
  ActorNotFoundError,
  NameTakenError,
  get,
  getActor,
  init,
  kill,
  listNamedActors,
  ready,
  shutdown,
} from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import {
  RemoteBadConstructor,
  RemoteCounter,
  RemoteCreator,
  RemoteRecorder,
  addFrom,
  valueAfter,
  type Counter,
  type Recorder,
} from "./fixtures/actors.js";

describe("names of actors", function () {
  this.timeout(20_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());

  it("find them, at once and from other processes", async () => {
    const made = RemoteCounter.options({ name: "at once" }).remote(valueAfter.remote(1, 50));
    const found = await getActor<Counter>("at once");
    expect(await get(found.add.remote(1))).to.equal(2);
    expect(await get(made.add.remote(1))).to.equal(3);
    expect(await get(RemoteCreator.remote().look.remote("at once"))).to.equal(3);
  });

  it("are unique in a namespace, and free again when the actor is gone", async () => {
    const first = RemoteCounter.options({ name: "unique" }).remote(1);
    await ready(first);
    const second = RemoteCounter.options({ name: "unique" }).remote(2);
    for (const error of [await rejection(ready(second)), await rejection(get(second.value.remote()))]) {
      expect(error).to.be.instanceOf(NameTakenError);
      expect(error.message).to.contain("unique").and.contain("getIfExists");
    }
    const elsewhere = RemoteCounter.options({ name: "unique", namespace: "elsewhere" }).remote(3);
    await ready(elsewhere);
    const other = await getActor<Counter>("unique", { namespace: "elsewhere" });
    expect(await get(other.value.remote())).to.equal(3);
    await kill(first);
    expect(await rejection(getActor("unique"))).to.be.instanceOf(ActorNotFoundError);
    const third = RemoteCounter.options({ name: "unique" }).remote(4);
    expect(await get(third.value.remote())).to.equal(4);
  });

  it("are free again after a constructor that threw", async () => {
    await rejection(ready(RemoteBadConstructor.options({ name: "again" }).remote("bad")));
    const good = RemoteCounter.options({ name: "again" }).remote(1);
    expect(await get(good.value.remote())).to.equal(1);
  });

  it("are listed with their namespaces", async () => {
    const here = RemoteCounter.options({ name: "listed, here" }).remote();
    const there = RemoteCounter.options({ name: "listed.there", namespace: "a b/c" }).remote();
    expect(await listNamedActors()).to.deep.include({
      namespace: test.cluster.namespace,
      name: "listed, here",
    });
    expect(await listNamedActors({ namespace: "a b/c" })).to.deep.equal([
      { namespace: "a b/c", name: "listed.there" },
    ]);
    const all = await listNamedActors({ allNamespaces: true });
    expect(all.map(({ name }) => name)).to.include.members(["listed, here", "listed.there"]);
    await Promise.all([kill(here), kill(there)]);
    expect((await listNamedActors({ allNamespaces: true })).map(({ name }) => name)).not.to.include(
      "listed.there",
    );
  });

  it("are not found where there is none", async () => {
    const error = await rejection(getActor("nobody"));
    expect(error).to.be.instanceOf(ActorNotFoundError);
    expect(error.message).to.contain('"nobody"');
  });

  it("go to one of fifty creators in several processes; with getIfExists all get that one", async () => {
    const creators = Array.from({ length: 4 }, () => RemoteCreator.remote());
    await Promise.all(creators.map((creator) => ready(creator)));
    const own = Array.from({ length: 10 }, () =>
      RemoteCounter.options({ name: "race", getIfExists: true }).remote(0),
    );
    const races = creators.map((creator) => creator.race.remote("race", 10));
    const counts = await get(own.map((counter) => counter.add.remote(1)));
    const others = await get(races);
    expect(new Set(others.map(({ pid }) => pid)).size).to.equal(4);
    const all = [...counts, ...others.flatMap((other) => other.counts)].toSorted((a, b) => a - b);
    expect(all).to.deep.equal(Array.from({ length: 50 }, (_, i) => i + 1));
    expect((await listNamedActors()).filter(({ name }) => name === "race")).to.have.length(1);
  });

  it("give two handles of one process the same actor and one order", async () => {
    const options = { name: "ordered", getIfExists: true };
    const first = RemoteRecorder.options(options).remote();
    const second = RemoteRecorder.options(options).remote();
    const third = await getActor<Recorder>("ordered");
    const handles = [first, second, third];
    const slow = valueAfter.remote(0, 50);
    const refs = Array.from({ length: 30 }, (_, i) =>
      (handles[i % 3] ?? first).note.remote("driver", i, i % 7 === 0 ? slow : i),
    );
    await get(refs);
    const seen = await get(first.seen.remote());
    expect(seen.map(([, n]) => n)).to.deep.equal(Array.from({ length: 30 }, (_, i) => i));
  });

  it("give one order also where one handle is made while another is in use", async () => {
    const first = RemoteRecorder.options({ name: "in use" }).remote();
    await get(first.note.remote("driver", 0, 0));
    await ready(first);
    const sent: number[] = [];
    const refs: unknown[] = [];
    for (let n = 1; n <= 30; n++) {
      const handle =
        n % 3 === 0 ? first : RemoteRecorder.options({ name: "in use", getIfExists: true }).remote();
      refs.push(handle.note.remote("driver", n, n));
      sent.push(n);
    }
    const seen = (await get(first.seen.remote())).map(([, n]) => n);
    expect(refs).to.have.lengthOf(30);
    expect(seen).to.deep.equal([0, ...sent]);
  });

  it("of another class are no actors of this one, also with getIfExists", async () => {
    const options = { name: "of one class", getIfExists: true };
    const recorder = RemoteRecorder.options(options).remote();
    await ready(recorder);
    const error = await rejection(get(RemoteCounter.options(options).remote(1).add.remote(1)));
    expect(error).to.be.instanceOf(NameTakenError);
    expect(error.message).to.contain("the class Recorder").and.to.contain("not of Counter");
    expect(await get(recorder.seen.remote())).to.deep.equal([]);
  });

  it("hold for handles that are sent on before the actor is claimed", async () => {
    const late = RemoteCounter.remote(valueAfter.remote(1, 300));
    expect(await get(addFrom.remote(late, 1))).to.equal(2);
    const first = RemoteCounter.options({ name: "sent on" }).remote(10);
    const again = RemoteCounter.options({ name: "sent on", getIfExists: true }).remote(99);
    expect(await get(addFrom.remote(again, 1))).to.equal(11);
    expect(await get(first.value.remote())).to.equal(11);
    const taken = RemoteCounter.options({ name: "sent on" }).remote(0);
    expect((await rejection(get(addFrom.remote(taken, 1)))).message).to.contain("belongs to");
  });
});

describe("actors and their jobs", function () {
  this.timeout(30_000);
  let standing: TestCluster;

  before(async () => {
    standing = await testCluster({ cpus: 2, driver: false });
  });
  after(() => standing.end());

  it("a detached actor outlives its job: the next driver finds it, uses it and ends it", async () => {
    await standing.join({ namespace: "shop" });
    const detached = { name: "till", lifetime: "detached", maxRestarts: 1 } as const;
    const till = RemoteCounter.options(detached).remote(5);
    const pid = await get(till.pid.remote());
    const bound = RemoteCounter.options({ name: "clerk" }).remote(1);
    await ready(bound);
    await shutdown();
    expect((await rejection(Promise.resolve().then(() => get(till.add.remote(1))))).message).to.contain(
      "shutdown()",
    );

    await standing.join({ namespace: "shop" });
    expect(await listNamedActors()).to.deep.equal([{ namespace: "shop", name: "till" }]);
    const found = await getActor<Counter>("till");
    expect(await get([found.add.remote(1), found.pid.remote()])).to.deep.equal([6, pid]);
    expect(await rejection(getActor("clerk"))).to.be.instanceOf(ActorNotFoundError);
    process.kill(pid, "SIGKILL");
    await eventually(
      () =>
        get(found.value.remote()).then(
          (n) => n === 5,
          () => false,
        ),
      "it comes back although its job is over",
    );
    await shutdown();

    await standing.join();
    expect(await listNamedActors()).to.deep.equal([]);
    const again = await getActor<Counter>("till", { namespace: "shop" });
    expect(await get(again.value.remote())).to.equal(5);
    await kill(again);
    expect(await rejection(get(again.value.remote()))).to.be.instanceOf(ActorDiedError);
    expect(await listNamedActors({ allNamespaces: true })).to.deep.equal([]);
    await shutdown();
  });

  it("names of different jobs don't meet, unless they share a namespace", async () => {
    const cluster = await standing.join();
    expect(await init()).to.equal(cluster);
    await ready(RemoteCounter.options({ name: "private", lifetime: "detached" }).remote(1));
    const { namespace } = cluster;
    await shutdown();
    await standing.join();
    expect(await rejection(getActor("private"))).to.be.instanceOf(ActorNotFoundError);
    await kill(await getActor("private", { namespace }));
    await shutdown();
  });
});
