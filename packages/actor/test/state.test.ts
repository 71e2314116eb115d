/** What a caller makes of what it hears about an actor. */
import type { Channel } from "@stingray/broker";
import { ActorDiedError, WorkerCrashedError, encodeError, type ActorView } from "@stingray/protocol";
import { expect } from "chai";
import { next, type ClientEvent, type ClientState } from "../src/state.js";

// Only its identity matters here.
const channels = new Map<number, Channel>();
const open = (view: ActorView): Channel => {
  const channel = { epoch: view.epoch } as unknown as Channel;
  channels.set(view.epoch, channel);
  return channel;
};
const actor = "a0000000000000";
const seen = (state: ActorView["state"], epoch: number, more: Partial<ActorView> = {}): ClientEvent => ({
  kind: "view",
  view: { actor, state, epoch, ...more },
  open,
});
const after = (...events: ClientEvent[]): ClientState =>
  events.reduce<ClientState>((state, event) => next(state, event, "Counter"), { kind: "claiming" });

describe("what a caller knows of an actor", () => {
  it("goes from the claim to the incarnation that lives, and on to the next", () => {
    expect(after()).to.deep.equal({ kind: "claiming" });
    expect(after({ kind: "claimed" }).kind).to.equal("waiting");
    const alive = after({ kind: "claimed" }, seen("PENDING", 0), seen("ALIVE", 3));
    expect(alive).to.deep.equal({ kind: "alive", epoch: 3, channel: channels.get(3) });
    expect(next(alive, seen("RESTARTING", 3), "Counter")).to.include({ kind: "waiting", restarting: true });
    const again = next(alive, seen("ALIVE", 5), "Counter");
    expect(again).to.include({ kind: "alive", epoch: 5 });
  });

  it("keeps the channel of an incarnation that it knows, however often it hears of it", () => {
    const alive = after({ kind: "claimed" }, seen("ALIVE", 3));
    expect(next(alive, seen("ALIVE", 3), "Counter")).to.equal(alive);
  });

  it("hears the last of an incarnation that was ended in order, and sends it nothing more", () => {
    const alive = after({ kind: "claimed" }, seen("ALIVE", 3));
    const leaving = next(alive, seen("RESTARTING", 3, { moving: true }), "Counter");
    expect(leaving).to.deep.equal({ kind: "leaving", epoch: 3, channel: channels.get(3) });
    expect(next(leaving, seen("RESTARTING", 5, { moving: true }), "Counter")).to.equal(leaving);
    expect(next(leaving, seen("ALIVE", 1), "Counter")).to.equal(leaving);
    expect(next(leaving, seen("ALIVE", 5), "Counter")).to.include({ kind: "alive", epoch: 5 });
    expect(next(leaving, { kind: "broken", epoch: 3 }, "Counter")).to.include({ kind: "waiting" });
    // The view of a next claim may come in place of the first one that says so.
    expect(next(alive, seen("RESTARTING", 5, { moving: true }), "Counter").kind).to.equal("leaving");
  });

  it("does not go back to an incarnation that is over", () => {
    const alive = after({ kind: "claimed" }, seen("ALIVE", 5));
    for (const late of [
      seen("ALIVE", 3),
      seen("RESTARTING", 3),
      seen("PENDING", 0),
      { kind: "broken", epoch: 3 } as const,
    ])
      expect(next(alive, late, "Counter")).to.equal(alive);
  });

  it("waits for word after a broken channel; the same incarnation is no news", () => {
    const broken = after({ kind: "claimed" }, seen("ALIVE", 5), { kind: "broken", epoch: 5 });
    expect(broken).to.deep.equal({ kind: "unreachable", epoch: 5 });
    expect(next(broken, seen("ALIVE", 5), "Counter")).to.equal(broken);
    expect(next(broken, seen("RESTARTING", 5), "Counter").kind).to.equal("waiting");
    expect(next(broken, seen("ALIVE", 7), "Counter").kind).to.equal("alive");
  });

  it("says what is waited for, and notices when that changes", () => {
    const waits = after(
      { kind: "claimed" },
      seen("PENDING", 0, { cause: { code: "UNSCHEDULABLE", message: "no GPU" } }),
    );
    expect(waits).to.deep.equal({ kind: "waiting", restarting: false, reason: "no GPU" });
    expect(
      next(waits, seen("PENDING", 0, { cause: { code: "UNSCHEDULABLE", message: "no GPU" } }), "Counter"),
    ).to.equal(waits);
    expect(
      next(waits, seen("PENDING", 0, { cause: { code: "UNSCHEDULABLE", message: "no CPU" } }), "Counter"),
    ).to.include({
      reason: "no CPU",
    });
  });

  it("ends with the cause, for good", () => {
    const cause = encodeError(
      new WorkerCrashedError("it crashed", { detail: { pid: 1, signal: "SIGKILL" } }),
    );
    const dead = after({ kind: "claimed" }, seen("ALIVE", 3), seen("DEAD", 3, { cause }));
    if (dead.kind !== "dead") throw new Error("not dead");
    expect(dead.error).to.be.instanceOf(ActorDiedError);
    expect(dead.error.message).to.contain("Counter").and.contain("it crashed");
    expect(dead.error.cause).to.be.instanceOf(WorkerCrashedError);
    const error = new ActorDiedError("something else");
    for (const event of [seen("ALIVE", 9), { kind: "refused", error } as const, { kind: "claimed" } as const])
      expect(next(dead, event, "Counter")).to.equal(dead);
  });

  it("ends also where its row is gone, and the epoch with it", () => {
    const broken = after({ kind: "claimed" }, seen("ALIVE", 5), { kind: "broken", epoch: 5 });
    for (const state of [after({ kind: "claimed" }, seen("ALIVE", 5)), broken])
      expect(next(state, seen("DEAD", 0), "Counter").kind).to.equal("dead");
  });

  it("is the refusal where the claim was refused", () => {
    const error = new ActorDiedError("the name is taken");
    expect(after({ kind: "refused", error })).to.deep.equal({ kind: "dead", error });
  });
});
