import { expect } from "chai";
import { InvalidArgumentError } from "@stingray/protocol";
import { bytesIn, isComplete, transition, type Event, type State } from "../../src/node/machine.js";

const EVENTS: Event[] = [
  "seal",
  "abandon",
  "free",
  "lose",
  "keep",
  "spill",
  "saved",
  "unsaved",
  "evict",
  "restore",
  "restored",
  "unrestored",
];
const LENGTH = 10;

function next(state: State, event: Event): State | undefined {
  try {
    return transition(state, event);
  } catch (thrown) {
    expect(thrown).to.be.instanceOf(InvalidArgumentError);
    return undefined;
  }
}

/** Every state that can be reached. */
function reachable(): Map<string, State> {
  const found = new Map<string, State>();
  const look = (state: State): void => {
    const key = JSON.stringify(state);
    if (found.has(key)) return;
    found.set(key, state);
    for (const event of EVENTS) {
      const after = next(state, event);
      if (after !== undefined) look(after);
    }
  };
  for (const on of ["memory", "disk"] as const) {
    for (const role of ["primary", "copy"] as const) look({ at: "writing", on, role, doomed: false });
  }
  return found;
}

describe("the states of an object in the store", () => {
  const states = [...reachable().values()];

  it("from every one of them there is a way out, and then it takes nothing", () => {
    expect(states.length).to.be.greaterThan(10);
    for (const state of states) {
      const freed = transition(state, "free");
      const gone =
        freed.at === "writing" ? [transition(freed, "seal"), transition(freed, "abandon")] : [freed];
      for (const end of gone) {
        expect(end.at).to.equal("gone");
        expect(bytesIn(end, LENGTH)).to.deep.equal({ memory: 0, disk: 0 });
      }
    }
  });

  it("what is gone stays gone, whatever comes late", () => {
    for (const event of EVENTS) expect(transition({ at: "gone" }, event)).to.deep.equal({ at: "gone" });
  });

  it("a complete object has its bytes somewhere, and no event but free, lose and evict of a copy takes the last", () => {
    for (const state of states.filter(isComplete)) {
      const { memory, disk } = bytesIn(state, LENGTH);
      expect(memory + disk, JSON.stringify(state)).to.be.at.least(LENGTH);
      for (const event of EVENTS) {
        if (event === "free" || event === "lose") continue;
        const after = next(state, event);
        if (after === undefined || isComplete(after)) continue;
        expect([event, state]).to.deep.equal(["evict", { at: "memory", role: "copy", saved: false }]);
      }
    }
  });

  it("a primary is never dropped for want of memory before it is on disk", () => {
    expect(() => transition({ at: "memory", role: "primary", saved: false }, "evict")).to.throw(
      InvalidArgumentError,
    );
    expect(transition({ at: "memory", role: "primary", saved: true }, "evict").at).to.equal("spilled");
  });
});
