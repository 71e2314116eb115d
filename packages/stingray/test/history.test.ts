/** The checker of recorded histories finds each kind of violation that is planted, and none in histories that are right. */
import { mkdtempSync, rmSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  HistoryFile,
  checkHistory,
  type CallName,
  type CallTerms,
  type HistoryEvent,
  type HistoryRule,
} from "../src/testing/mod.js";

const call = (n: number, caller = "a"): CallName => ({ caller, actor: "x", n });
const submitted = (n: number, terms: CallTerms = {}, caller = "a"): HistoryEvent => ({
  event: "submitted",
  ...call(n, caller),
  ...terms,
});
const began = (n: number, incarnation = 1, caller = "a"): HistoryEvent => ({
  event: "began",
  incarnation,
  ...call(n, caller),
});
const answered = (n: number, items?: number[]): HistoryEvent => ({
  event: "answered",
  ...call(n),
  of: call(n),
  ...(items === undefined ? {} : { items }),
});
const failed = (n: number): HistoryEvent => ({ event: "failed", ...call(n), code: "ACTOR_UNAVAILABLE" });
const left: HistoryEvent = { event: "left", caller: "a" };
const rules = (...events: HistoryEvent[]): HistoryRule[] => checkHistory(events).map(({ rule }) => rule);

/** A right history: calls 0 to 5 run and are answered, with a restart behind the third, whose answer is lost. */
function right(): HistoryEvent[] {
  const terms = { retried: true };
  return [
    ...[0, 1, 2, 3, 4, 5].map((n) => submitted(n, terms)),
    ...[0, 1, 2].flatMap((n) => [began(n), ...(n < 2 ? [answered(n)] : [])]),
    ...[2, 3, 4, 5].flatMap((n) => [began(n, 2), answered(n)]),
    left,
  ];
}

describe("the checker of histories", () => {
  it("finds nothing in what is right", () => {
    expect(checkHistory(right())).to.deep.equal([]);
    expect(rules()).to.deep.equal([]);
    // Callers have no order among them; a failed call may or may not have run; a stream has its items in order.
    expect(
      rules(
        submitted(0),
        submitted(1),
        submitted(0, {}, "b"),
        began(0),
        began(0, 1, "b"),
        failed(0),
        began(1),
        answered(1, [0, 1, 2]),
      ),
    ).to.deep.equal([]);
    const lanes = [submitted(0), submitted(1, { lane: "io" })];
    expect(rules(...lanes, began(1), began(0))).to.deep.equal([]);
    const repeated = [submitted(0, { repeated: true }), submitted(1)];
    expect(rules(...repeated, began(0), began(1), began(0))).to.deep.equal([]);
  });

  const both = [submitted(0), submitted(1)];
  const retried = [submitted(0, { retried: true }), submitted(1, { retried: true })];
  const planted: [what: string, HistoryRule[], HistoryEvent[]][] = [
    ["calls that change places", ["order"], [...both, began(1), began(0)]],
    ["calls that change places in a second incarnation", ["order"], [...retried, began(1, 2), began(0, 2)]],
    [
      "a call that first runs when the next one has in an earlier incarnation",
      ["order"],
      [...retried, began(1), began(0, 2)],
    ],
    [
      "calls that are sent again in another order",
      ["order"],
      [...retried, began(0), began(1), began(1, 2), began(0, 2)],
    ],
    ["a call that runs twice in one incarnation", ["once"], [...retried, began(0), began(0)]],
    ["a call without retries that runs again", ["once"], [...both, began(0), began(0, 2)]],
    ["an earlier incarnation that goes on", ["late-incarnation"], [...both, began(0, 2), began(1, 1)]],
    [
      "the answer of another call",
      ["own-answer"],
      [...both, began(0), { event: "answered", ...call(0), of: call(1) }],
    ],
    [
      "the answer of another caller's call",
      ["own-answer"],
      [...both, began(0), { event: "answered", ...call(0), of: call(0, "b") }],
    ],
    ["an answer without a run", ["own-answer"], [...both, answered(0)]],
    ["items that change places", ["own-answer"], [...both, began(0), answered(0, [0, 2, 1])]],
    ["a call that ends twice", ["one-end"], [...both, began(0), answered(0), failed(0)]],
    ["a call that never ends", ["one-end"], [...both, began(0), answered(0), left]],
    [
      "a call that runs although an argument failed",
      ["hopeless"],
      [submitted(0, { hopeless: true }), began(0), failed(0)],
    ],
    ["a call that nobody made", ["unknown"], [...both, began(7)]],
  ];
  for (const [what, expected, events] of planted)
    it(`finds ${what}`, () => expect(rules(...events)).to.deep.equal(expected));

  it("finds any two runs of a right history that change places, and any that is doubled", () => {
    const runs = right().flatMap(({ event }, i) => (event === "began" ? [i] : []));
    for (const i of runs) {
      const doubled = right();
      doubled.splice(i, 0, doubled[i] as HistoryEvent);
      expect(rules(...doubled), `${i} doubled`).to.include("once");
      for (const j of runs) {
        const changed = right();
        [changed[i], changed[j]] = [changed[j] as HistoryEvent, changed[i] as HistoryEvent];
        if (i !== j) expect(rules(...changed), `${i} and ${j}`).to.not.deep.equal([]);
      }
    }
  });

  it("reads what several writers recorded, without a line that was cut off", async () => {
    const directory = mkdtempSync(join(tmpdir(), "st-history-"));
    try {
      const path = join(directory, "history");
      using one = new HistoryFile(path);
      using two = new HistoryFile(path);
      expect([one.submitted("a", "x"), one.submitted("a", "x"), one.submitted("a", "y")]).to.deep.equal([
        call(0),
        call(1),
        { caller: "a", actor: "y", n: 0 },
      ]);
      two.record(began(0));
      one.record(answered(0));
      await appendFile(path, '{"event":"beg');
      expect(two.read().map(({ event }) => event)).to.deep.equal([
        "submitted",
        "submitted",
        "submitted",
        "began",
        "answered",
      ]);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
