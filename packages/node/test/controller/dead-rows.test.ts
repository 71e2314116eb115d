/** Which rows of dead actors are removed, and how actors are listed. */
import type { ActorRow } from "@stingray/gcs-kv";
import { expect } from "chai";
import type { ActorEntry } from "../../src/controller/actor-book.js";
import { listActors } from "../../src/controller/actor-listing.js";
import { overdue } from "../../src/controller/dead-rows.js";

const entry = (actor: string, revision: number, state: ActorRow["state"] = "DEAD"): ActorEntry => {
  const spec = { actor, className: "C", namespace: "n", job: "j1", detached: false, maxRestarts: 0 };
  const row = { spec, state, epoch: 1, restarts: 0, diedAt: Date.now() - 5_000 };
  return { key: actor, revision, value: row as unknown as ActorRow };
};

describe("rows of dead actors", () => {
  const limits = { keepMs: 1_000, most: 2 };

  it("go when their time is over", () => {
    const gone = overdue([entry("a", 1), entry("b", 2)], (what) => what === "dead b", limits);
    expect(gone.map(({ key }) => key)).to.deep.equal(["b"]);
  });

  it("go before that where there are too many, the oldest first", () => {
    const dead = [entry("c", 30), entry("a", 10), entry("d", 40), entry("b", 20)];
    expect(overdue(dead, () => false, limits).map(({ key }) => key)).to.deep.equal(["a", "b"]);
  });
});

describe("the list of actors", () => {
  // Made when asked for: the rows tell how long ago something was.
  const book = {
    entries: () => [entry("a", 1, "ALIVE"), entry("b", 2), entry("c", 3, "PENDING"), entry("d", 4)].values(),
  };

  it("has those that changed last first, and counts the others", () => {
    const { counts, actors, more } = listActors(book, ["DEAD"], 1, () => undefined);
    expect(counts).to.deep.equal({ ALIVE: 1, DEAD: 2, PENDING: 1 });
    expect(actors.map(({ actor }) => actor)).to.deep.equal(["d"]);
    expect(actors[0]?.diedMs).to.be.within(5_000, 60_000);
    expect(more).to.equal(1);
  });

  it("leaves out the dead unless they are asked for, and says what is waited for", () => {
    const { actors } = listActors(book, [], 10, (actor) => (actor === "c" ? "a GPU" : undefined));
    expect(actors.map(({ actor, cause }) => [actor, cause])).to.deep.equal([
      ["c", "a GPU"],
      ["a", undefined],
    ]);
  });
});
