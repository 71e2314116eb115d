import { newAgentId, newNodeId, newWorkerId, ProtocolError } from "@stingray/protocol";
import { expect } from "chai";
import { decode, encode } from "cbor-x";
import { decodeDeath, decodeHeartbeat, encodeDeath, encodeHeartbeat } from "../src/feed/mod.js";
import type { Death, Heartbeat } from "../src/feed/mod.js";

function someHeartbeat(change: Partial<Heartbeat> = {}): Heartbeat {
  return {
    node: newNodeId(),
    agent: newAgentId(),
    available: { CPU: 1.5, "GPU:H200": 0 },
    total: { CPU: 2, "GPU:H200": 1 },
    labels: { zone: "b" },
    queued: 3,
    idleWorkers: 1,
    draining: false,
    sequence: 7,
    hostname: "host-1",
    pid: 4242,
    workers: 2,
    actors: 1,
    storeUsed: 6 * 1024 ** 3,
    storeCapacity: 64 * 1024 ** 3,
    state: "ALIVE",
    pending: [{ shape: { special: 1 }, count: 3, reason: "no node has special" }],
    ...change,
  };
}

describe("feed", () => {
  it("brings a heartbeat back as it was", () => {
    const heartbeat = someHeartbeat();
    expect(decodeHeartbeat(encodeHeartbeat(heartbeat))).to.deep.equal(heartbeat);
  });

  it("carries what the store says of itself, and does without where a node says less", () => {
    const figures = {
      capacity: 64 * 1024 ** 3,
      used: 6 * 1024 ** 3,
      leased: 8 * 1024 ** 2,
      lingering: 1,
      warm: 2,
      onDisk: 3,
      objects: 4,
      spilledTotal: 5,
      restoredTotal: 6,
      sentTotal: 7,
      receivedTotal: 8,
      waiting: 9,
    };
    const heartbeat = someHeartbeat({ store: figures });
    expect(decodeHeartbeat(encodeHeartbeat(heartbeat))).to.deep.equal(heartbeat);
    const older = (decode(encodeHeartbeat(heartbeat)) as unknown[]).slice(0, -1);
    expect(decodeHeartbeat(encode(older))).not.to.have.property("store");
    const broken = someHeartbeat({ store: { ...figures, waiting: -1 } });
    expect(() => decodeHeartbeat(encodeHeartbeat(broken))).to.throw(
      ProtocolError,
      /heartbeat\.store\.waiting/,
    );
  });

  it("brings deaths of processes and nodes back as they were", () => {
    const deaths: Death[] = [
      { kind: "process", id: newWorkerId(), reason: "SIGKILL" },
      { kind: "node", id: newNodeId(), reason: "silent for 5000 ms" },
    ];
    for (const death of deaths) expect(decodeDeath(encodeDeath(death))).to.deep.equal(death);
  });

  it("refuses another version and names both", () => {
    const bytes = encode([99, "heartbeat"]);
    expect(() => decodeHeartbeat(bytes)).to.throw(ProtocolError, /version 99 .* speaks 1/);
  });

  it("refuses one kind in place of the other", () => {
    expect(() => decodeDeath(encodeHeartbeat(someHeartbeat()))).to.throw(ProtocolError);
    const wrongId: unknown = { kind: "node", id: newWorkerId(), reason: "x" };
    expect(() => decodeDeath(encodeDeath(wrongId as Death))).to.throw(ProtocolError, /death\.id/);
  });

  it("says which field is wrong", () => {
    const broken = { ...someHeartbeat(), storeUsed: -1 };
    expect(() => decodeHeartbeat(encodeHeartbeat(broken))).to.throw(ProtocolError, /heartbeat\.storeUsed/);
  });

  it("answers any bytes with a ProtocolError", () => {
    const good = encodeHeartbeat(someHeartbeat());
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
      return seed % below;
    };
    for (let i = 0; i < 2_000; i++) {
      const bytes = Buffer.from(good.subarray(0, 1 + random(good.length)));
      for (let n = random(4); n >= 0; n--) bytes[random(bytes.length)] = random(256);
      try {
        decodeHeartbeat(bytes);
      } catch (thrown) {
        expect(thrown).to.be.instanceOf(ProtocolError);
      }
    }
  });
});
