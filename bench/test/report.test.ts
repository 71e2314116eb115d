import { expect } from "chai";
import { measureInTurns, rateSubject } from "../src/measure.js";
import type { Subject } from "../src/measure.js";
import { buildRow, OURS } from "../src/report.js";
import { formatTable } from "../src/table.js";

const head = { name: "a case", unit: "calls/s", better: "higher", reach: {}, notes: [] } as const;

function measured(rounds: Record<string, number[]>, failures: Record<string, Error> = {}) {
  return { rounds: new Map(Object.entries(rounds)), failures: new Map(Object.entries(failures)) };
}

function subject(name: string, log: string[], fail = false): Subject {
  return {
    name,
    async warmUp() {
      log.push(`${name} warm`);
    },
    async round() {
      if (fail) throw new Error("broken");
      log.push(`${name} round`);
      return 1;
    },
    async end() {
      log.push(`${name} end`);
    },
  };
}

describe("rows of a benchmark", () => {
  it("keeps the rounds beside their mean and deviation", () => {
    const row = buildRow(head, measured({ ours: [90, 110] }));
    expect(row.ours).to.deep.equal({ mean: 100, sd: 14.14, rounds: [90, 110] });
    expect(row.ok).to.equal(true);
  });

  it("turns ratios so that more than 1 is better, whatever the unit", () => {
    expect(buildRow(head, measured({ ours: [200], ray: [20] })).ratio).to.deep.equal({ ray: 10 });
    const lower = { ...head, better: "lower", target: 1.5 } as const;
    const row = buildRow(lower, measured({ ours: [0.5], ray: [3] }));
    expect(row.ratio).to.deep.equal({ ray: 6, target: 3 });
    expect(row.ok).to.equal(true);
  });

  it("is not ok below what was asked, nor without the peer it was asked against", () => {
    const asked = { ...head, reach: { ray: 10 } };
    expect(buildRow(asked, measured({ ours: [100], ray: [10] })).ok).to.equal(true);
    expect(buildRow(asked, measured({ ours: [99], ray: [10] })).ok).to.equal(false);
    const row = buildRow(asked, measured({ ours: [99] }, { ray: new Error("no Python") }));
    expect(row.ok).to.equal(false);
    expect(row.others).to.deep.equal({});
    expect(row.note).to.equal("ray: no Python");
  });

  it("is not ok when our own side failed", () => {
    const row = buildRow(head, measured({ nats: [10] }, { ours: new Error("broken") }));
    expect(row.ok).to.equal(false);
    expect(row.ours.rounds).to.deep.equal([]);
    expect(row.note).to.equal("ours: broken");
    expect(formatTable([row])).to.contain("FAILED");
  });
});

describe("measuring in turns", () => {
  it("lets each round begin with another subject and ends all of them", async () => {
    const log: string[] = [];
    const result = await measureInTurns([subject(OURS, log), subject("ray", log)], {
      rounds: 2,
      seconds: 0.01,
    });
    expect(log).to.deep.equal([
      "ours warm",
      "ray warm",
      "ours round",
      "ray round",
      "ray round",
      "ours round",
      "ours end",
      "ray end",
    ]);
    expect(result.rounds.get("ray")).to.deep.equal([1, 1]);
  });

  it("goes on without a subject that fails", async () => {
    const log: string[] = [];
    const result = await measureInTurns([subject(OURS, log), subject("ray", log, true)], {
      rounds: 2,
      seconds: 0.01,
    });
    expect(result.rounds.get(OURS)).to.deep.equal([1, 1]);
    expect(result.rounds.has("ray")).to.equal(false);
    expect(result.failures.get("ray")?.message).to.equal("broken");
    expect(log.filter((entry) => entry.endsWith("end"))).to.deep.equal(["ours end", "ray end"]);
  });

  it("counts operations over the time that they took", async () => {
    let runs = 0;
    const iteration = {
      run: () =>
        new Promise<void>((resolve) => {
          runs++;
          setTimeout(resolve, 2);
        }),
      async end() {},
    };
    const rate = await rateSubject(OURS, iteration, 10).round(0.1);
    expect(runs).to.be.greaterThan(5);
    expect(rate).to.be.within(100, 5_000); // 10 operations per 2 ms and more
  });
});
