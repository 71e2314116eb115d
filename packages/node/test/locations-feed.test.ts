import { newAgentId, newNodeId, newWorkerId, objectIdOf, ProtocolError } from "@stingray/protocol";
import { encodePlain } from "@stingray/broker";
import { expect } from "chai";
import { decodeObjectNews, encodeObjectNews, type ObjectNews } from "../src/feed/mod.js";

const owner = newWorkerId();
const object = (n: number): string => objectIdOf(owner, n, 0);
const someNews = (change: Partial<ObjectNews> = {}): ObjectNews => ({
  node: newNodeId(),
  agent: newAgentId(),
  complete: false,
  added: [[object(1), 1 << 20]],
  removed: [object(2)],
  ...change,
});
const one = (news: ObjectNews): Uint8Array => {
  const [message, ...others] = encodeObjectNews(news);
  expect(others).to.deep.equal([]);
  return message as Uint8Array;
};

describe("feed of large objects", () => {
  it("brings news back as they were, also when there is nothing to tell", () => {
    for (const news of [someNews(), someNews({ complete: true, added: [], removed: [] })]) {
      expect(decodeObjectNews(one(news))).to.deep.equal(news);
    }
  });

  it("has the form [version, kind, node, agent, complete, added, removed]", () => {
    const news = someNews();
    const { node, agent, complete, added, removed } = news;
    expect(Buffer.from(one(news))).to.deep.equal(
      Buffer.from(encodePlain([1, "objects", node, agent, complete, added, removed])),
    );
  });

  it("cuts much news to messages that any server takes, the first of which alone is complete", () => {
    const long = (n: number): string => objectIdOf(owner, Number.MAX_SAFE_INTEGER - n, 2 ** 31);
    const added = Array.from({ length: 20_000 }, (_, i): [string, number] => [
      long(i),
      Number.MAX_SAFE_INTEGER,
    ]);
    const removed = Array.from({ length: 10_000 }, (_, i) => long(20_000 + i));
    const news = someNews({ complete: true, added, removed });
    for (const limit of [undefined, 16 * 1024]) {
      const messages = encodeObjectNews(news, limit);
      const largest = Math.max(...messages.map(({ length }) => length));
      expect(largest).to.be.at.most(limit ?? 1 << 19);
      expect(largest, "no more messages than need be").to.be.above((limit ?? 1 << 19) * 0.8);
      const parts = messages.map(decodeObjectNews);
      expect(parts.map(({ complete }) => complete)).to.deep.equal(parts.map((_, i) => i === 0));
      expect(parts.flatMap((part) => part.removed)).to.deep.equal(removed);
      expect(parts.flatMap((part) => part.added)).to.deep.equal(added);
    }
  });

  it("says which field is wrong", () => {
    const { node, agent } = someNews();
    const bad: [field: string, items: unknown[]][] = [
      ["node", [newAgentId(), agent, false, [], []]],
      ["agent", [node, node, false, [], []]],
      ["complete", [node, agent, 1, [], []]],
      ["added", [node, agent, false, {}, []]],
      ["added", [node, agent, false]],
      ["added[0]", [node, agent, false, [object(1)], []]],
      ["added[0][0]", [node, agent, false, [["../x", 1]], []]],
      [
        "added[1][1]",
        [
          node,
          agent,
          false,
          [
            [object(1), 1],
            [object(2), -1],
          ],
          [],
        ],
      ],
      ["removed", [node, agent, false, [], null]],
      ["removed[1]", [node, agent, false, [], [object(1), node]]],
    ];
    for (const [field, items] of bad) {
      const decode = (): ObjectNews => decodeObjectNews(encodePlain([1, "objects", ...items]));
      expect(decode, field).to.throw(ProtocolError, `objects.${field} must be`);
    }
  });

  it("refuses other versions, kinds, lengths and numbers of objects", () => {
    const decode = (value: unknown): (() => ObjectNews) => {
      const bytes = encodePlain(value);
      return () => decodeObjectNews(bytes);
    };
    const { node, agent } = someNews();
    expect(decode([2, "objects", node, agent, false, [], []])).to.throw(ProtocolError, /version 2/);
    expect(decode([1, "death", node, agent, false, [], []])).to.throw(ProtocolError, /kind is death/);
    expect(decode([1, "objects", node, agent, false, [], ["x".repeat(1 << 20)]])).to.throw(
      ProtocolError,
      /bytes/,
    );
    const many = Array.from({ length: (1 << 16) + 1 }, () => 0);
    expect(decode([1, "objects", node, agent, false, [], many])).to.throw(ProtocolError, /at most 65536/);
  });

  it("answers any bytes with a ProtocolError", () => {
    const good = one(someNews({ added: [1, 2, 3].map((n) => [object(n), n << 20]) }));
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
      return seed % below;
    };
    for (let i = 0; i < 2_000; i++) {
      const bytes = Buffer.from(good.subarray(0, 1 + random(good.length)));
      for (let n = random(4); n >= 0; n--) bytes[random(bytes.length)] = random(256);
      try {
        decodeObjectNews(bytes);
      } catch (thrown) {
        expect(thrown).to.be.instanceOf(ProtocolError);
      }
    }
  });
});
