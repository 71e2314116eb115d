import { expect } from "chai";
import { nextLeaseState, type LeaseState } from "../src/mod.js";

const seen = (revision: number, at: number) =>
  ({ kind: "seen", holder: "g2", revision, ttlMs: 100, at }) as const;

describe("states of a lease", () => {
  const held: LeaseState = { kind: "held", epoch: 5, revision: 5, until: 1000 };

  it("measures another's silence from the last change, not from the last look", () => {
    let state = nextLeaseState({ kind: "idle" }, seen(1, 10));
    state = nextLeaseState(state, seen(1, 50));
    expect(state).to.include({ kind: "observing", since: 10 });
    state = nextLeaseState(state, seen(2, 60));
    expect(state).to.include({ kind: "observing", since: 60 });
  });

  it("counts a term from before it was asked for, and ends it before anybody else may", () => {
    const state = nextLeaseState({ kind: "idle" }, { kind: "claimed", epoch: 5, sentAt: 100, ttlMs: 1000 });
    expect(state.kind === "held" && state.until).to.be.within(101, 1099);
    const renewed = nextLeaseState(state, { kind: "renewed", revision: 6, sentAt: 500, ttlMs: 1000 });
    expect(renewed).to.include({ kind: "held", epoch: 5, revision: 6, until: 1400 });
  });

  it("is lost when its time is over or somebody else has it, and no late answer brings it back", () => {
    expect(nextLeaseState(held, { kind: "time", at: 999 })).to.equal(held);
    const expired = nextLeaseState(held, { kind: "time", at: 1000 });
    expect(expired).to.deep.equal({ kind: "lost", epoch: 5, why: "expired" });
    expect(nextLeaseState(expired, { kind: "renewed", revision: 6, sentAt: 999, ttlMs: 1000 })).to.equal(
      expired,
    );
    expect(nextLeaseState(held, { kind: "taken" })).to.include({ kind: "lost", why: "taken" });
    expect(nextLeaseState(held, seen(9, 0))).to.include({ kind: "lost", why: "taken" });
    expect(nextLeaseState(expired, seen(9, 0)).kind).to.equal("observing");
    expect(nextLeaseState(expired, { kind: "released" })).to.equal(expired);
  });
});
