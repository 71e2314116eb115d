/** What an agent makes of what its workers have marked. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { encodeError, type ExitReport, type ProcessNews } from "@stingray/protocol";
import { PAGE_BYTES, VitalsWriter, type PageView } from "@stingray/task/internal";
import { blockedNow, withState } from "../../src/agent/vitals/judge.js";
import { processState } from "../../src/agent/vitals/memory-files.js";
import { pageOf, postMortem } from "../../src/agent/vitals/post-mortem.js";
import { Troubles } from "../../src/agent/vitals/troubles.js";
import { fatalReportName, vitalsPath } from "../../src/vitals-files.js";

const page = (o: Partial<PageView> = {}): PageView => ({
  turnAt: 1_000,
  dueAt: 2_000,
  begunAt: 0,
  open: 0,
  heapUsed: 0,
  heapLimit: 0,
  queued: 0,
  ...o,
});

describe("an event loop that stands still", () => {
  it("is one whose turn is overdue, seen so twice", () => {
    expect(blockedNow(page(), undefined, 9_000)).to.equal(undefined);
    expect(blockedNow(page({ turnAt: 1_500 }), page(), 9_000)).to.equal(undefined);
    expect(blockedNow(page(), page(), 2_400)).to.equal(undefined);
    expect(blockedNow(page(), page(), 9_000)?.ms).to.equal(8_000);
  });

  it("counts from when what runs began, and names it", () => {
    const stuck = page({ begunAt: 3_000, current: "Counter.spin", open: 1 });
    expect(blockedNow(stuck, stuck, 9_000)).to.deep.equal({ ms: 6_000, what: "in Counter.spin" });
    expect(blockedNow(stuck, stuck, 4_000)).to.equal(undefined);
  });

  it("may be one of a process that was stopped, or waits for the system", () => {
    expect(withState("in A.b", "T", 7)).to.contain("kill -CONT 7");
    expect(withState("in A.b", "D", 7)).to.match(/^in A\.b, where it waits/);
    expect(withState("in A.b", "R", 7)).to.equal("in A.b");
    expect(processState(7, () => "7 (a ) b) T 1 2 3")).to.equal("T");
    expect(processState(7, () => undefined)).to.equal(undefined);
  });

  it("is said not to be known exactly after an await, or outside of calls", () => {
    const awaiting = page({ open: 3, last: "Counter.load" });
    expect(blockedNow(awaiting, awaiting, 9_000)?.what).to.equal(
      "after an await, with Counter.load and 2 other calls under way",
    );
    expect(blockedNow(page(), page(), 9_000)?.what).to.contain("outside of any call");
  });
});

describe("what a worker leaves behind", () => {
  let dir: string;
  const report: ExitReport = { pid: 1, stderr: [], signal: "SIGABRT" };
  const unknown = { used: 5, kernel: undefined };
  beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), "st-vitals-"))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  function leave(worker: string, act: (writer: VitalsWriter) => void): void {
    const buffer = new ArrayBuffer(PAGE_BYTES);
    const writer = new VitalsWriter(buffer, () => 0);
    writer.start();
    act(writer);
    writeFileSync(vitalsPath(dir, worker), new Uint8Array(buffer));
    writer.stop();
  }

  it("says what ran, and which error nobody caught; then it is gone", () => {
    leave("w1", (writer) => {
      writer.begin(writer.intern("Counter.add"), performance.now());
      writer.lastWords(new RangeError("too much", { cause: new TypeError("inner") }));
    });
    const facts = postMortem(dir, "w1", report, unknown);
    expect(facts.running).to.equal("Counter.add");
    expect(facts.error).to.include({ name: "RangeError", message: "too much" });
    expect(facts.error?.cause).to.include({ name: "TypeError" });
    expect(pageOf(dir, "w1")).to.equal(undefined);
  });

  it("fits an error of any size", () => {
    leave("w1", (writer) => writer.lastWords(new Error("long ".repeat(100_000))));
    expect(postMortem(dir, "w1", report, unknown).error?.message).to.match(/^long long/);
  });

  it("is nothing where there is nothing, or no such page", () => {
    expect(postMortem(dir, "w1", report, unknown)).to.deep.equal({});
    writeFileSync(vitalsPath(dir, "w1"), new Uint8Array(PAGE_BYTES).fill(255));
    expect(postMortem(dir, "w1", report, unknown)).to.deep.equal({});
    writeFileSync(vitalsPath(dir, "w1"), "short");
    expect(postMortem(dir, "w1", report, unknown)).to.deep.equal({});
  });

  it("tells a full heap by the report that Node wrote, and a kill of the kernel's by its count", () => {
    const fatal = (trigger: string): string =>
      JSON.stringify({ header: { trigger }, javascriptHeap: { usedMemory: 30, memoryLimit: 80 } });
    writeFileSync(join(dir, fatalReportName("w1")), fatal("OOMError"));
    expect(postMortem(dir, "w1", report, unknown).memory).to.deep.equal({
      kind: "heap",
      used: 30,
      limit: 80,
    });
    writeFileSync(join(dir, fatalReportName("w1")), fatal("FatalError"));
    expect(postMortem(dir, "w1", report, unknown).memory).to.equal(undefined);
    const killed = { ...report, signal: "SIGKILL" };
    const kernel = { used: 5, kernel: { total: 10, available: 1 } };
    expect(postMortem(dir, "w1", killed, kernel).memory).to.deep.equal({
      kind: "kernel",
      used: 5,
      total: 10,
      available: 1,
    });
    // Whoever ended it has said why.
    expect(postMortem(dir, "w1", { ...killed, reason: "cancelled" }, kernel).memory).to.equal(undefined);
  });

  it("is sent as any error", () => {
    expect(encodeError(new RangeError("x")).name).to.equal("RangeError");
  });
});

describe("troubles of processes", () => {
  const news = (o: Partial<ProcessNews> = {}): ProcessNews => ({
    kind: "blocked",
    ms: 3_000,
    what: "in A.b",
    pid: 1,
    node: "n1",
    process: "w1",
    actors: [],
    over: false,
    ...o,
  });
  function troubles() {
    const time = { now: 0, due: [] as { at: number; run: () => void }[] };
    const it = new Troubles({
      now: () => time.now,
      defer: (ms, run) => {
        const one = { at: time.now + ms, run };
        time.due.push(one);
        return () => void (time.due = time.due.filter((other) => other !== one));
      },
    });
    const pass = (ms: number): void => {
      time.now += ms;
      for (const one of time.due.filter(({ at }) => at <= time.now)) one.run();
    };
    return { it, pass };
  }

  it("are those of the actors in them, and grow older", () => {
    const { it: known, pass } = troubles();
    known.told(news());
    pass(2_000);
    expect(known.of("a1", "w1")).to.include({ ms: 5_000, what: "in A.b" });
    expect(known.of("a1", "w2")).to.equal(undefined);
    known.told(news({ over: true }));
    expect(known.of("a1", "w1")).to.equal(undefined);
  });

  it("are known of actors that are being made, whose rows name no process", () => {
    const { it: known } = troubles();
    known.told(news({ kind: "constructing", actors: ["a1"] }));
    expect(known.of("a1", undefined)).to.include({ kind: "constructing" });
    expect(known.of("a2", undefined)).to.equal(undefined);
    expect(known.of("a2", "w1"), "one that lives in the same process").to.equal(undefined);
  });

  it("are forgotten when nobody tells of them any more", () => {
    const { it: known, pass } = troubles();
    const heard: boolean[] = [];
    known.onChange(({ over }) => heard.push(over));
    known.told(news());
    pass(14_000);
    expect(known.of("a1", "w1")).not.to.equal(undefined);
    pass(2_000);
    expect(known.of("a1", "w1")).to.equal(undefined);
    expect(heard).to.deep.equal([false, true]);
  });
});
