import {
  ConnectionError,
  newActorId,
  newWorkerId,
  Op,
  ProtocolError,
  SerializationError,
  text,
  TimeoutError,
} from "@stingray/protocol";
import type { StingrayError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { expect } from "chai";
import type { Channel } from "../src/mod.js";
import {
  anything,
  COUNT,
  echo,
  failure,
  pause,
  TestBroker,
  World,
  type Links,
} from "./fixtures/rpc-world.js";

describe("RPC channels", function () {
  this.timeout(15_000);
  let broker: TestBroker;
  before(async () => {
    broker = await TestBroker.start();
  });
  after(() => broker.down());

  for (const links of ["socket", "both", "nats"] satisfies Links[]) {
    describe(`over ${links === "both" ? "socket and nats" : links}`, () => {
      let world: World;
      beforeEach(async () => {
        world = await World.make(links, links === "socket" ? undefined : broker);
      });
      afterEach(() => world.end());
      const link = links === "nats" ? "nats" : "socket";
      const pair = async (): Promise<
        [Awaited<ReturnType<World["transport"]>>, Awaited<ReturnType<World["transport"]>>, Channel]
      > => {
        const [a, b] = [await world.transport(), await world.transport({ process: newWorkerId() })];
        b.inbox.serve(echo, (ask) => ask);
        return [a, b, a.inbox.channel({ endpoint: b.process, node: b.node! })];
      };

      it("delivers in order and once, and what arises in one turn travels in one frame", async () => {
        const [a, b, channel] = await pair();
        const got: number[] = [];
        b.inbox.on(COUNT, anything as () => number[], ([, n]) => got.push(n!));
        await channel.request(echo, 0);
        expect(channel.link).equals(link);
        const before = a.stats()[link].framesOut;
        for (let i = 0; i < 100; i++) channel.send([COUNT, i]);
        await Promise.resolve().then(() => channel.send([COUNT, 100]));
        for (let i = 101; i < 1000; i++) queueMicrotask(() => channel.send([COUNT, i]));
        await eventually(() => got.length >= 1000, "all came");
        expect(got).deep.equals(Array.from({ length: 1000 }, (_, i) => i));
        expect(a.stats()[link].framesOut - before).equals(1);
        expect(a.stats().resent + b.stats().duplicates + b.stats().malformed).equals(0);
      });

      it("answers requests, also many at once, and carries errors in their class", async () => {
        const [, b, channel] = await pair();
        b.inbox.serve({ name: "fail", ask: anything, answer: anything }, () => {
          throw new TimeoutError("too late", { detail: { after: 3 } });
        });
        b.inbox.serve({ name: "reject", ask: anything, answer: anything }, () =>
          Promise.reject(new TypeError("not ours")),
        );
        b.inbox.serve({ name: "bad", ask: anything, answer: anything }, () => new Map());
        const answers = await Promise.all(
          Array.from({ length: 5000 }, (_, i) => channel.request(echo, { i })),
        );
        expect(answers).deep.equals(Array.from({ length: 5000 }, (_, i) => ({ i })));
        const ask = (name: string): Promise<unknown> =>
          failure(channel.request({ name, ask: anything, answer: anything }, 1));
        const failed = (await ask("fail")) as StingrayError;
        expect(failed).instanceOf(TimeoutError);
        expect(failed.detail).deep.equals({ after: 3 });
        expect(((await ask("reject")) as Error).message).equals("not ours");
        expect(await ask("bad")).instanceOf(SerializationError);
        expect(await ask("nobody serves this")).instanceOf(ProtocolError);
        const wrong = failure(channel.request({ ...echo, answer: text }, 5));
        expect(await wrong).instanceOf(ProtocolError);
        b.inbox.serve({ ...echo, ask: text }, (value) => value);
        expect(await failure(channel.request(echo, 5))).instanceOf(ProtocolError);
        expect(channel.closed).equals(undefined);
      });

      it("ends waits by their deadline and by their signal, and goes on", async () => {
        const [, b, channel] = await pair();
        b.inbox.serve({ name: "never", ask: anything, answer: anything }, () => new Promise(() => {}));
        const never = { name: "never", ask: anything, answer: anything };
        const late = (await failure(channel.request(never, 1, { timeoutMs: 30 }))) as TimeoutError;
        expect(late).instanceOf(TimeoutError);
        expect(late.detail).deep.equals({ method: "never", peer: b.process, timeoutMs: 30 });
        const aborter = new AbortController();
        const aborted = failure(channel.request(never, 1, { signal: aborter.signal }));
        aborter.abort("enough");
        expect(await aborted).equals("enough");
        expect(await failure(channel.request(echo, 1, { signal: AbortSignal.abort("before") }))).equals(
          "before",
        );
        expect(await channel.request(echo, 1)).equals(1);
      });

      it("carries messages of many MiB, between small ones and in order", async () => {
        const [, b, channel] = await pair();
        const got: number[] = [];
        b.inbox.on(COUNT, anything as () => [number, Uint8Array], ([, bytes]) => {
          if (bytes.every((byte) => byte === (bytes.length & 0xff))) got.push(bytes.length);
        });
        const sizes = [1, 5 << 20, 3, 300_000, 262_144, (1 << 20) - 100, (1 << 20) + 5, 2, 9 << 20, 4];
        for (const size of sizes) channel.send([COUNT, new Uint8Array(size).fill(size & 0xff)]);
        await eventually(() => got.length >= sizes.length, "all came");
        expect(got).deep.equals(sizes);
        const big = new Uint8Array(3 << 20).fill(3);
        expect(Buffer.compare((await channel.request(echo, big)) as Uint8Array, big)).equals(0);
      });

      it("keeps to itself what the window has no room for, and says how much", async () => {
        const [a, b] = [await world.transport({ limits: { windowBytes: 1 << 20 } }), await world.transport()];
        let got = 0;
        b.inbox.on(COUNT, anything, () => got++);
        const channel = a.inbox.channel({ endpoint: b.process, node: b.node! });
        const chunk = new Uint8Array(10_000);
        for (let i = 0; i < 2000; i++) channel.send([COUNT, chunk]);
        expect(channel.backlog).greaterThan(19_000_000);
        await eventually(() => got === 2000, "all came");
        await eventually(() => channel.backlog === 0, "nothing is left");
        expect(a.stats().resent).equals(0);
      });

      it("closes both ends, and what waits rejects with the reason", async () => {
        const [a, b, channel] = await pair();
        b.inbox.serve({ name: "never", ask: anything, answer: anything }, () => new Promise(() => {}));
        await channel.request(echo, 1);
        const seen: [Channel, StingrayError][] = [];
        b.inbox.onChannelClosed((...args) => seen.push(args));
        const waiting = failure(channel.request({ name: "never", ask: anything, answer: anything }, 1));
        channel.close(new ConnectionError("enough of this", { detail: { why: "test" } }));
        expect(await waiting).equals(channel.closed);
        await eventually(() => seen.length === 1, "the peer knows");
        expect(seen[0]![0].peer.endpoint).equals(a.process);
        expect(seen[0]![1]).instanceOf(ConnectionError);
        expect(seen[0]![1].detail).deep.equals({ why: "test" });
        channel.send([COUNT, 1]); // does nothing
        expect(await failure(channel.request(echo, 1))).equals(channel.closed);
        expect(await new Promise((resolve) => channel.onClose(resolve))).equals(channel.closed);
        const again = a.inbox.channel(channel.peer);
        expect(again).not.equals(channel);
        expect(await again.request(echo, 2)).equals(2);
        expect(a.inbox.channel(channel.peer)).equals(again);
      });

      it("serves mailboxes of one incarnation; frames for another one close the channel", async () => {
        const [a, b] = await pair();
        const actor = newActorId();
        const mailbox = b.openEndpoint(actor, 5);
        mailbox.serve(echo, (ask) => ["from the actor", ask]);
        const peer = { endpoint: actor, process: b.process, node: b.node! };
        const live = a.inbox.channel({ ...peer, epoch: 5 });
        expect(await live.request(echo, 1)).deep.equals(["from the actor", 1]);
        const stale = a.inbox.channel({ ...peer, epoch: 4 });
        const refused = (await failure(stale.request(echo, 1))) as StingrayError;
        expect(refused).instanceOf(ConnectionError);
        expect(refused.detail).deep.include({ reason: "reset", epoch: 4, liveEpoch: 5 });
        expect(live.closed).equals(undefined);
        const next = b.openEndpoint(actor, 6);
        next.serve(echo, () => "next");
        await eventually(() => live.closed !== undefined, "the old one is closed");
        expect(await a.inbox.channel({ ...peer, epoch: 6 }).request(echo, 1)).equals("next");
        const unknown = a.inbox.channel({ endpoint: newActorId(), process: b.process, node: b.node! });
        expect(await failure(unknown.request(echo, 1))).instanceOf(ConnectionError);
        expect(() => b.openEndpoint(actor, 6)).throws(/not newer/);
      });

      it("refuses what it does not understand, tells the sender, and goes on", async () => {
        const [a, b, channel] = await pair();
        b.inbox.on(COUNT, text, () => expect.fail("it is no text"));
        b.inbox.on(COUNT + 1, anything, () => {
          throw new Error("a bug");
        });
        // oxlint-disable-next-line typescript/no-misused-promises -- a handler that is async by mistake
        b.inbox.on(COUNT + 2, anything, () => Promise.reject(new Error("a later bug")));
        channel.send([77, "nobody handles it"]);
        channel.send([COUNT, 1]);
        channel.send(["no number"]);
        channel.send([Op.Request, "no id"]);
        channel.send([COUNT + 1]);
        channel.send([COUNT + 2]);
        expect(await channel.request(echo, "still here")).equals("still here");
        await eventually(() => a.stats().refused === 4, "the sender knows");
        expect(b.stats().malformed).equals(4);
        expect(world.malformed.filter(({ ours }) => ours).map(({ error }) => error)).satisfies(
          (errors: unknown[]) => errors.every((error) => error instanceof ProtocolError),
        );
        await eventually(() => world.handlerErrors.length === 2, "bugs are reported");
        expect(() => channel.send([COUNT, () => 1])).throws(SerializationError);
        expect(await channel.request(echo, 1)).equals(1);
      });

      it("talks to itself, and between its own endpoints", async () => {
        const [a] = await pair();
        a.inbox.serve(echo, (ask) => ask);
        const self = a.inbox.channel({ endpoint: a.process });
        expect(await Promise.all([self.request(echo, 1), self.request(echo, 2)])).deep.equals([1, 2]);
        const actor = newActorId();
        a.openEndpoint(actor, 1).serve(echo, () => "mailbox");
        const mailbox = a.inbox.channel({ endpoint: actor, epoch: 1, process: a.process });
        expect(await mailbox.request(echo, 1)).equals("mailbox");
      });

      it("opens one channel where both sides begin at once", async () => {
        const [a, b] = await pair();
        a.inbox.serve(echo, (ask) => ask);
        const [ab, ba] = [
          a.inbox.channel({ endpoint: b.process, node: b.node! }),
          b.inbox.channel({ endpoint: a.process, node: a.node! }),
        ];
        const answers = await Promise.all([ab.request(echo, 1), ba.request(echo, 2), ab.request(echo, 3)]);
        expect(answers).deep.equals([1, 2, 3]);
        expect([ab.closed, ba.closed]).deep.equals([undefined, undefined]);
        expect([a.stats().channels, b.stats().channels]).deep.equals([1, 1]);
        if (links !== "nats")
          await eventually(() => a.stats().sockets === 1 && b.stats().sockets === 1, "one socket");
      });

      it("closing sends what is queued; then nothing keeps the process alive", async () => {
        const a = await world.transport();
        const got: number[] = [];
        a.inbox.serve(echo, (ask) => ask);
        a.inbox.on(COUNT, anything as () => number[], ([, n]) => got.push(n!));
        const child = await world.child("say and end");
        child.process.send(a.process);
        await eventually(() => child.process.exitCode !== null, "it ended by itself");
        expect(child.process.exitCode).equals(0);
        expect(got).deep.equals(Array.from({ length: 1000 }, (_, i) => i));
        await eventually(() => a.stats().channels === 0, "the channel is closed here too");
        await pause(0);
      });
    });
  }
});
