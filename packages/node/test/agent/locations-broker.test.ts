import { connectBroker } from "@stingray/broker/connect";
import { EmbeddedBroker } from "@stingray/broker/server";
import { ControlStore } from "@stingray/gcs-kv";
import {
  newAgentId,
  newJobId,
  newNodeId,
  newWorkerId,
  objectIdOf,
  Subjects,
  type NodeId,
} from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { expect } from "chai";
import { Locations } from "../../src/agent/store/locations.js";
import { publishObjectNews, subscribeObjectNews } from "../../src/feed/mod.js";

const MIB = 1 << 20;
const subjects = new Subjects();

interface Node {
  node: NodeId;
  self: [string, string];
  locations: Locations;
  rows(): Promise<number>;
  stop(): Promise<void>;
}

describe("locations of large objects over a broker", function () {
  this.timeout(20_000);
  const problems: unknown[] = [];
  const undo: (() => Promise<void>)[] = [];
  let broker: EmbeddedBroker;

  const start = async (): Promise<Node> => {
    const connection = await connectBroker(broker.options);
    const store = await ControlStore.open({ connection, subjects, storage: "memory" });
    const node = newNodeId();
    const agent = newAgentId();
    const locations = new Locations(
      { node, agent },
      {
        publish: (news) => publishObjectNews(connection, subjects, news),
        table: () => store.table("objects"),
        isAlive: () => true,
        failed: (what, error) => void problems.push([what, error]),
      },
    );
    const feed = subscribeObjectNews(connection, subjects, (news) => locations.received(news), {
      onMalformed: (error) => void problems.push(error),
      onHandlerError: (error) => void problems.push(error),
    });
    await connection.flush();
    const stop = async (): Promise<void> => {
      locations.stop();
      feed.stop();
      await connection.flush();
      await store.close();
      await connection.close();
    };
    const rows = async (): Promise<number> => {
      let count = 0;
      for await (const _ of (await store.table("objects")).entries()) count++;
      return count;
    };
    return { node, self: [node, agent], locations, rows, stop };
  };

  before(async () => {
    broker = await EmbeddedBroker.start();
    undo.push(() => broker.stop());
  });
  after(async () => {
    for (const step of undo.reverse()) await step();
  });

  it("are told, found by newcomers, written down, and forgotten with their node", async () => {
    const job = newJobId();
    const owner = newWorkerId();
    const object = (n: number): string => objectIdOf(owner, n, 0);
    const [a, b] = await Promise.all([start(), start()]);
    undo.push(() => b.stop());
    a.locations.added(object(1), MIB, job);
    a.locations.added(object(2), 2 * MIB, job);
    const copies = async (of: Node, n: number): Promise<unknown> =>
      (await of.locations.locate(object(n), undefined)).copies;
    await eventually(
      async () => (await b.locations.locate(object(2), undefined)).size === 2 * MIB,
      "the news",
    );
    expect(await copies(b, 1)).to.deep.equal([a.self]);

    const c = await start();
    undo.push(() => c.stop());
    expect(await copies(c, 1)).to.deep.equal([]);
    await eventually(async () => (await a.rows()) === 2, "both rows");
    // The newcomer has heard nothing, but can read.
    expect(await c.locations.locate(object(2), job)).to.deep.equal({ size: 2 * MIB, copies: [a.self] });
    a.locations.newcomer(c.node);
    await eventually(() => c.locations.figures.remembered === 2, "everything to be told again");

    a.locations.removed([object(1)]);
    await eventually(async () => (await b.rows()) === 1, "the row to go");
    await eventually(() => c.locations.figures.remembered === 1, "news of it");
    await a.stop();
    for (const { locations } of [b, c])
      await eventually(() => locations.figures.remembered === 0, "the farewell");
    expect(await copies(b, 2)).to.deep.equal([]);
    expect(problems).to.deep.equal([]);
  });
});
