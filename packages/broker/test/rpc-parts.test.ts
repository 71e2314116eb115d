import { expect } from "chai";
import { Deadlines, type Waiting } from "../src/rpc/deadlines.js";
import { HEADER_BYTES, headerBytes, Kind } from "../src/rpc/frame.js";
import { Inflow } from "../src/rpc/inflow.js";
import { Outbox } from "../src/rpc/outbox.js";
import type { Link } from "../src/rpc/parts.js";
import { nextSocketState, type SocketState } from "../src/rpc/remote.js";
import { itemEnd, readItem } from "../src/rpc/cbor-read.js";
import { newDriverId } from "@stingray/protocol";
import { pause, randomFrom } from "./fixtures/rpc-world.js";

const header = headerBytes({
  kind: Kind.Data,
  from: newDriverId(),
  to: newDriverId(),
  epoch: 0,
  seq: 0,
  ack: 0,
  fromEpoch: 0,
  stream: 1,
  peerStream: 1,
});

describe("the two halves of a channel", function () {
  this.timeout(15_000);
  for (const seed of [1, 2, 3, 4])
    it(`give every message once and in order, whatever order frames come in (seed ${seed})`, () => {
      const random = randomFrom(seed);
      const outbox = new Outbox(2_000, 1 << 20, header);
      const inflow = new Inflow(seed === 1 ? 3_000 : 1 << 20, 1 << 20);
      const got: number[] = [];
      const wire: { seq: number; buffer: Buffer; start: number; end: number }[] = [];
      let sent = 0;
      for (let step = 0; step < 20_000 && (got.length < 3_000 || outbox.unfinished); step++) {
        const dice = random();
        if (dice < 0.3 && sent < 3_000)
          outbox.push([sent++, "x".repeat(random() * (random() < 0.02 ? 5_000 : 100))]);
        else if (dice < 0.6) {
          const frame = outbox.take(8_000);
          if (frame !== undefined && random() > 0.1) wire.push(frame);
          if (frame !== undefined && random() < 0.1) wire.push(frame);
        } else if (dice < 0.9 && wire.length > 0) {
          const [frame] = wire.splice(Math.floor(random() * Math.min(wire.length, 4)), 1);
          if (frame === undefined) continue;
          const { buffer, start, end } = frame;
          let body =
            inflow.accept(frame.seq, { buffer, start: start + HEADER_BYTES, end }) === "next"
              ? { buffer, start: start + HEADER_BYTES, end }
              : undefined;
          for (; body !== undefined; body = inflow.following())
            for (let at = body.start; at < body.end; at = itemEnd())
              got.push((readItem(body.buffer, at, body.end) as [number])[0]);
        } else if (dice < 0.97) expect(outbox.acknowledge(inflow.seq)).equals(true);
        else outbox.rewind();
      }
      expect(got).deep.equals(Array.from({ length: 3_000 }, (_, i) => i));
      expect([outbox.backlog, outbox.inFlight, outbox.unfinished]).deep.equals([0, 0, false]);
      expect(outbox.acknowledge(outbox.seq + 1), "what was never sent").equals(false);
    });

  it("leave no trace of a message that can't be encoded", () => {
    const outbox = new Outbox(2_000, 1_000, header);
    outbox.push([1]);
    expect(() => outbox.push([2, "x".repeat(600), () => 1])).throws(/function/);
    expect(() => outbox.push([3, new Uint8Array(5_000)])).throws(/limit/);
    outbox.push([4]);
    const { buffer, start, end, messages } = outbox.take(1 << 20)!;
    expect(messages).equals(2);
    expect(readItem(buffer, start + HEADER_BYTES, end)).deep.equals([1]);
    expect(readItem(buffer, itemEnd(), end)).deep.equals([4]);
    expect(itemEnd()).equals(end);
  });

  it("join parts in order only, and bound what they claim", () => {
    const inflow = new Inflow(1_000, 100);
    const bytes = (n: number): Uint8Array => new Uint8Array(10).fill(n);
    expect(inflow.part(1, 0, 30, bytes(1))).equals(undefined);
    expect(inflow.part(1, 20, 30, bytes(3)), "one is missing").equals(undefined);
    expect(inflow.part(1, 0, 30, bytes(1))).equals(undefined);
    expect(inflow.part(1, 10, 30, bytes(2))).equals(undefined);
    const whole = inflow.part(1, 20, 30, bytes(3));
    expect([...new Set(whole?.buffer)]).deep.equals([1, 2, 3]);
    expect(() => inflow.part(1, 0, 101, bytes(1))).throws(/at most 100/);
    expect(() => inflow.part(1, 25, 30, bytes(1))).throws(/malformed/);
  });
});

describe("deadlines", () => {
  it("call those that are missed, in their order, and none that was cleared", async () => {
    const deadlines = new Deadlines();
    const missed: string[] = [];
    const wait = (name: string): Waiting => ({
      endsAt: 0,
      list: undefined,
      before: undefined,
      after: undefined,
      missed: () => missed.push(name),
    });
    const [a, b, c, d] = [wait("a"), wait("b"), wait("c"), wait("d")];
    deadlines.set(30, a);
    deadlines.set(10, b);
    deadlines.set(30, c);
    deadlines.set(30, d);
    deadlines.clear(c);
    deadlines.clear(c);
    const end = performance.now() + 2_000;
    while (missed.length < 3 && performance.now() < end) await pause(5);
    expect(missed).deep.equals(["b", "a", "d"]);
    deadlines.close();
  });
});

describe("the socket to a peer", () => {
  const link = {} as Link;
  const idle: SocketState = { at: "idle" };
  it("holds frames for the first dial, and not for later ones while NATS carries them", () => {
    const first = nextSocketState(idle, { what: "dial", now: 1, natsCarries: true });
    expect(first).deep.include({ at: "dialling", late: false });
    const down = nextSocketState(first, { what: "failed", now: 2, refused: true });
    expect(down).deep.equals({ at: "down", since: 2, failures: 1, refusedAt: 2 });
    const again = nextSocketState(down, { what: "dial", now: 3, natsCarries: true });
    expect(again).deep.include({ at: "dialling", late: true, refusedAt: 2 });
    expect(nextSocketState(again, { what: "failed", now: 4, refused: true })).deep.include({
      refusedAt: 2,
      failures: 2,
    });
    expect(nextSocketState(again, { what: "up", link })).deep.equals({ at: "up", link });
  });
  it("ignores what does not fit, and is never dialled where it is not on our node", () => {
    const never: SocketState = { at: "never" };
    expect(nextSocketState(never, { what: "dial", now: 1, natsCarries: false })).equals(never);
    expect(nextSocketState(never, { what: "local" })).deep.equals(idle);
    expect(nextSocketState(idle, { what: "failed", now: 1, refused: true })).equals(idle);
    expect(nextSocketState(idle, { what: "late" })).equals(idle);
    expect(nextSocketState({ at: "up", link }, { what: "lost" })).deep.equals(idle);
  });
});
