import { expect } from "chai";
import { StingrayError } from "@stingray/protocol";
import { actorCaseNames, runActors } from "../src/actors/actors.js";
import { Latencies, percentile } from "../src/actors/latency.js";
import { measureInTurns } from "../src/measure.js";
import { parseOptions } from "../src/options.js";

describe("the suite of actors", function () {
  this.timeout(60_000);

  it("has a name of its own for every case, and calls over both kinds of links unless one is asked for", () => {
    const names = actorCaseNames({ small: false, links: "auto" });
    expect(new Set(names).size).to.equal(names.length);
    expect(names).to.include.members([
      "make actors, new processes",
      "calls in flight",
      "calls in flight, over the broker",
      "durable with snapshot: calls, one at a time",
      "100,000 shared actors: alive, called, and right",
    ]);
    const nats = actorCaseNames({ small: false, links: "nats" });
    expect(nats).to.include("calls in flight, over the broker");
    expect(nats).not.to.include("calls in flight");
  });

  it("knows what nearly all calls are faster than", () => {
    const values = Array.from({ length: 200 }, (_, i) => 200 - i);
    expect([percentile(values, 0.99), percentile(values, 0.5), percentile([7], 0.99)]).to.deep.equal([
      198, 100, 7,
    ]);
    expect(percentile([], 0.99)).to.equal(0);
  });

  it("tells the median and the tail of the same rounds, without those that failed", async () => {
    const latencies = new Latencies();
    let calls = 0;
    const call = async (): Promise<void> => void calls++;
    const subjects = [
      latencies.subject("ours", async () => ({ call, async end() {} })),
      latencies.subject("nats", () => Promise.reject(new StingrayError("no broker"))),
    ];
    const measured = await measureInTurns(subjects, { rounds: 3, seconds: 0.002 });
    const tail = latencies.tail("p99", measured);
    expect(calls).to.be.greaterThan(3);
    expect(tail.ours.rounds).to.have.length(3);
    expect(tail.ok).to.equal(true);
    expect(Object.keys(tail.others)).to.deep.equal([]);
  });

  it("runs at small sizes", async () => {
    const args = "actors --small --rounds 1 --seconds 0.02 --only".split(" ");
    const options = parseOptions([...args, "in a shared process"]);
    const { rows, suite } = await runActors(options, { status() {}, line() {} });
    expect(suite).to.equal("actors");
    expect(rows.map((row) => row.case)).to.include.members([
      "calls of 50 actors in a shared process",
      "calls of 50 actors in a shared process, over the broker",
      "memory of an actor in a shared process",
    ]);
    for (const row of rows) expect(row.ours.rounds, `${row.case}: ${row.note ?? ""}`).to.have.length(1);
    expect(Object.keys(rows[0]?.others ?? {})).to.deep.equal(["nats", "unix"]);
  });
});
