/** Where work goes: on its own node first, where it is told to, or where labels say; with a reason where it waits. */
import { expect } from "chai";
import { UnschedulableError, availableResources, get, nodes, shutdown } from "stingray";
import { eventually, testCluster, type TestCluster, type TestNode } from "stingray/testing";
import { Looker, look, stay } from "./fixtures/placement.js";
import { refused } from "./support/bad-use.js";
import { Stage } from "./support/stage.js";

describe("where work goes", function () {
  this.timeout(30_000);
  let cluster: TestCluster;
  let own: TestNode;
  let other: TestNode;
  before(async () => {
    cluster = await testCluster({
      nodes: [{ labels: { zone: "a", disk: "ssd" }, resources: { left: 1 } }, { labels: { zone: "b" } }],
    });
    [own, other] = [cluster.node(0), cluster.node(1)];
  });
  after(() => cluster.end());

  /** The reason with which the only demand of these resources waits, at whichever node. */
  const reason = (name: string, amount: number): Promise<string> =>
    eventually(
      async () =>
        (await nodes()).flatMap(({ pending }) => pending).find(({ shape }) => shape[name] === amount)?.reason,
      `a demand of ${amount} ${name} waits`,
    );

  it("fills its own node first, then others, then waits", async () => {
    using stage = new Stage();
    const refs = [1, 2].map(() => stay.remote(stage.directory));
    const first = await stage.has(2);
    expect(first.map(({ node }) => node)).to.deep.equal([own.id, own.id]);
    refs.push(...[1, 2].map(() => stay.remote(stage.directory)));
    const all = await stage.has(4);
    expect(all.slice(2).map(({ node }) => node)).to.deep.equal([other.id, other.id]);
    refs.push(stay.remote(stage.directory));
    expect(await reason("CPU", 1)).to.match(/CPU/);
    expect(stage.began()).to.have.length(4);
    stage.go();
    await get(refs);
  });

  it("waits for a busy node that it is bound to, and goes elsewhere where it is not", async () => {
    using stage = new Stage();
    const there = { node: other.id };
    const full = [1, 2].map(() => stay.options({ scheduling: there }).remote(stage.directory));
    const began = await stage.has(2);
    expect(began.map(({ node }) => node)).to.deep.equal([other.id, other.id]);
    const hard = look.options({ scheduling: there, cpus: 0.5 }).remote();
    expect(await reason("CPU", 0.5)).to.contain(other.id);
    const soft = look.options({ scheduling: { ...there, soft: true } });
    expect((await get(soft.remote())).node).to.equal(own.id);
    stage.go();
    expect((await get(hard)).node).to.equal(other.id);
    await get(full);
    // What is leased for a moment longer would be used again.
    await eventually(async () => (await availableResources())["CPU"] === 4, "all is free");
    expect((await get(soft.remote())).node).to.equal(other.id);
  });

  it("goes where labels fit: is, is not, one of, none of, all of them", async () => {
    const a = (await nodes()).find(({ labels }) => labels["zone"] === "a")?.node ?? "";
    const b = a === own.id ? other.id : own.id;
    const cases: [Record<string, string>, string[]][] = [
      [{ zone: "a" }, [a]],
      [{ zone: "!a" }, [b]],
      [{ zone: "in(b, c)" }, [b]],
      [{ zone: "!in(b, c)" }, [a]],
      [{ zone: "in(a, b)" }, [a, b]],
      [{ disk: "!ssd" }, [b]],
      [{ disk: "ssd", zone: "in(a, b)" }, [a]],
      [{ nowhere: "!x" }, [a, b]],
    ];
    const places = await get(cases.map(([labels]) => look.options({ labels }).remote()));
    for (const [i, [labels, wanted]] of cases.entries())
      expect(places[i]?.node, JSON.stringify(labels)).to.be.oneOf(wanted);
    const actors = [a, b].map((_, i) =>
      Looker.options({ labels: { zone: i === 0 ? "!b" : "in(b)" } }).remote(),
    );
    const seen = await get(actors.map((actor) => actor.look.remote()));
    expect(seen.map(([, { node }]) => node)).to.deep.equal([a, b]);
  });

  it("waits for labels that no node has, says so, runs when one joins, and fails when it has gone", async () => {
    const labels = { zone: "in(c, d)" };
    const task = look.options({ labels, cpus: 0.25 }).remote();
    const actor = Looker.options({ labels, cpus: 0.125 }).remote().look.remote();
    expect(await reason("CPU", 0.25)).to.match(/wants label zone in\(c, d\), this node has [ab]/);
    expect(await reason("CPU", 0.125)).to.match(/label zone/);
    const third = await cluster.addNode({ labels: { zone: "c" } });
    expect((await get(task)).node).to.equal(third.id);
    expect((await get(actor))[1].node).to.equal(third.id);
    const scheduling = { node: third.id };
    expect((await get(look.options({ scheduling }).remote())).node).to.equal(third.id);
    await cluster.removeNode(third);
    await cluster.sees(2);
    await refused(
      get(look.options({ scheduling }).remote()),
      UnschedulableError,
      [third.id, /is dead/, /soft: true/],
      10_000,
    );
    const soft = look.options({ scheduling: { ...scheduling, soft: true } });
    expect((await get(soft.remote())).node).to.be.oneOf([own.id, other.id]);
    await shutdown();
  });
});
