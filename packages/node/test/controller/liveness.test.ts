import type { NodeId } from "@stingray/protocol";
import { expect } from "chai";
import { Liveness } from "../../src/controller/liveness.js";

const node = "n000000000001" as NodeId;

describe("controller: liveness", () => {
  let now = 0;
  let liveness: Liveness;
  /** Time passes, with a look every 100 ms. */
  const pass = (ms: number): void => {
    for (const end = now + ms; now < end;) {
      now += 100;
      liveness.look();
    }
  };
  beforeEach(() => {
    now = 0;
    liveness = new Liveness(1_000, 100, () => now);
  });

  it("takes a node for dead after its time, and not before", () => {
    liveness.heartbeat(node);
    pass(1_000);
    expect(liveness.isDead(node)).to.equal(false);
    pass(100);
    expect(liveness.isDead(node)).to.equal(true);
    liveness.heartbeat(node);
    expect(liveness.isDead(node)).to.equal(false);
  });

  it("gives a node that it never heard a full period from the first question on", () => {
    pass(10_000);
    expect(liveness.isDead(node)).to.equal(false);
    pass(1_100);
    expect(liveness.isDead(node)).to.equal(true);
  });

  it("judges nobody for a full period after the broker was away", () => {
    liveness.heartbeat(node);
    pass(5_000);
    liveness.distrust();
    expect(liveness.isDead(node)).to.equal(false);
    pass(1_100);
    expect(liveness.isDead(node)).to.equal(true);
  });

  it("judges nobody for a full period after its own process stood still", () => {
    liveness.heartbeat(node);
    now += 5_000;
    liveness.look();
    expect(liveness.isDead(node)).to.equal(false);
    pass(1_100);
    expect(liveness.isDead(node)).to.equal(true);
  });
});
