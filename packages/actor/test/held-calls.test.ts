/** Calls of light actors that are not here yet. */
import type { Channel } from "@stingray/broker";
import { Op, type ActorCall } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { expect } from "chai";
import { HeldCalls } from "../src/held-calls.js";

const channel = { closed: undefined } as Channel;
const callOf = (sequence: number): ActorCall => [Op.ActorCall, sequence] as unknown as ActorCall;

describe("calls of actors that are not here yet", () => {
  let made = true;
  let delivered: number[] = [];
  let late: number[] = [];
  let held: HeldCalls;
  const hold = (sequence: number): void =>
    held.hold("a", callOf(sequence), channel, () => late.push(sequence));

  beforeEach(() => {
    [made, delivered, late] = [true, [], []];
    held = new HeldCalls(
      (message) => delivered.push(message[1]),
      () => made,
      10,
    );
  });
  afterEach(() => held.stop());

  it("wait for as long as the actor is being made, and come to it in order", async () => {
    let looks = 0;
    held = new HeldCalls(
      (message) => delivered.push(message[1]),
      () => ++looks > 0,
      10,
    );
    hold(1);
    hold(2);
    await eventually(() => looks > 2, "they have waited longer than others would");
    expect(late).to.deep.equal([]);
    held.release("a");
    expect(delivered).to.deep.equal([1, 2]);
  });

  it("do not wait for ever where it is not made", async () => {
    made = false;
    hold(1);
    await eventually(() => late.length === 1, "its caller is told");
    held.release("a");
    expect(delivered).to.deep.equal([]);
  });

  it("can be cancelled, once", () => {
    hold(1);
    hold(2);
    expect(held.cancel(1, channel)).to.equal(true);
    expect(held.cancel(1, channel)).to.equal(false);
    held.release("a");
    expect(delivered).to.deep.equal([2]);
  });
});
