import { expect } from "chai";
import type { ActorRow } from "@stingray/gcs-kv";
import type { RowListener } from "../../src/controller/row-book.js";
import type { ActorEntry } from "../../src/controller/actor-book.js";
import { ActorCensus } from "../../src/controller/actor-census.js";

describe("the census of actors", () => {
  const rows = new Map<string, ActorEntry>();
  let listener: RowListener<ActorRow> | undefined;
  let census: ActorCensus;

  function row(
    actor: string,
    state: ActorRow["state"],
    spec: { job?: string; detached?: boolean } = {},
  ): ActorEntry {
    const entry = {
      key: actor,
      revision: (rows.get(actor)?.revision ?? 0) + 1,
      value: { state, spec: { actor, job: "j", detached: false, ...spec } } as ActorRow,
    };
    const before = rows.get(actor);
    rows.set(actor, entry);
    listener?.(actor, entry, before);
    return entry;
  }
  const taken = (circumstances: string): string[] => [...census.take(circumstances)].map(({ key }) => key);

  beforeEach(() => {
    rows.clear();
    listener = undefined;
    row("a1", "ALIVE");
    row("a2", "ALIVE");
    census = new ActorCensus({
      entries: () => rows.values(),
      onChange: (to) => {
        listener = to;
        return () => (listener = undefined);
      },
    });
  });

  it("gives all at first, then those that have changed, and all when circumstances have", () => {
    expect(taken("x")).to.deep.equal(["a1", "a2"]);
    expect(taken("x")).to.deep.equal([]);
    row("a2", "RESTARTING");
    row("a3", "PENDING");
    expect(taken("x")).to.deep.equal(["a2", "a3"]);
    expect(taken("y")).to.deep.equal(["a1", "a2", "a3"]);
    expect(taken("y")).to.deep.equal([]);
  });

  it("gives again what is put back, and what was not looked at to the end", () => {
    const [a1] = [...census.take("x")];
    census.back(a1 as ActorEntry);
    expect(taken("x")).to.deep.equal(["a1"]);
    census.unfinished();
    expect(taken("x")).to.deep.equal(["a1", "a2"]);
  });

  it("gives the newest row of one that was put back and has changed", () => {
    const [a1] = [...census.take("x")];
    const now = row("a1", "RESTARTING");
    census.back(a1 as ActorEntry);
    expect([...census.take("x")]).to.deep.equal([now]);
  });

  it("knows the dead, until their rows are gone", () => {
    census.take("x");
    row("a1", "DEAD");
    expect(census.dead.map(({ key }) => key)).to.deep.equal(["a1"]);
    expect(taken("x")).to.deep.equal([]);
    listener?.("a1", undefined, rows.get("a1"));
    expect(census.dead).to.deep.equal([]);
  });

  it("knows the jobs whose actors outlive them", () => {
    row("a4", "ALIVE", { job: "k", detached: true });
    row("a4", "RESTARTING", { job: "k", detached: true });
    expect([census.lasts("j"), census.lasts("k")]).to.deep.equal([false, true]);
    row("a4", "DEAD", { job: "k", detached: true });
    expect(census.lasts("k")).to.equal(false);
  });

  it("hears nothing more once it was stopped", () => {
    census.stop();
    expect(listener).to.equal(undefined);
  });
});
