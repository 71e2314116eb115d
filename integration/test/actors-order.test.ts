/** In which order an actor runs its calls, and how many at a time. */
import { expect } from "chai";
import { get, put, type ObjectRef } from "stingray";
import { rejection, testCluster, type TestCluster } from "stingray/testing";
import {
  RemoteDurableRecorder,
  RemoteGauge,
  RemoteRecorder,
  noteMany,
  valueAfter,
} from "./fixtures/actors.js";
import { linesOf } from "./support/lines.js";

/** Fails unless the notes of each caller are 0, 1, 2, … `count - 1`, in that order. */
function expectInOrder(seen: readonly (readonly [string, number])[], count: number): void {
  const byCaller = new Map<string, number[]>();
  for (const [caller, n] of seen) byCaller.set(caller, [...(byCaller.get(caller) ?? []), n]);
  const wanted = Array.from({ length: count }, (_, i) => i);
  for (const [caller, notes] of byCaller) expect(notes, caller).to.deep.equal(wanted);
}

describe("the order of an actor's calls", function () {
  this.timeout(20_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());

  it("is that of submission, however late their arguments are ready", async () => {
    const recorder = RemoteRecorder.remote();
    const calls = 30;
    const refs = Array.from({ length: calls }, (_, i) => {
      // Every third waits; the first ones wait for longest.
      const value = i % 3 === 0 ? valueAfter.remote(i, (calls - i) * 5) : i;
      return recorder.note.remote("driver", i, value);
    });
    expect(await get(refs)).to.deep.equal(Array.from({ length: calls }, (_, i) => i));
    expectInOrder(await get(recorder.seen.remote()), calls);
  });

  it("is that of submission with large arguments between small ones", async () => {
    const recorder = RemoteRecorder.remote();
    const large = await put(new Uint8Array(1 << 20));
    const refs = Array.from({ length: 20 }, (_, i) =>
      recorder.note.remote("driver", i, i % 4 === 0 ? large : i % 4 === 2 ? new Uint8Array(300_000) : i),
    );
    await get(refs);
    expectInOrder(await get(recorder.seen.remote()), 20);
  });

  it("holds for each of several callers in several processes", async () => {
    const recorder = RemoteRecorder.remote();
    const own = Array.from({ length: 200 }, (_, i) => recorder.note.remote("driver", i));
    const others = ["a", "b", "c"].map((caller) => noteMany.remote(recorder, caller, 200));
    await get(others);
    await get(own);
    const seen = await get(recorder.seen.remote());
    expect(seen).to.have.length(800);
    expectInOrder(seen, 200);
  });

  it("lets one call at a time in, to its end, also of async methods", async () => {
    const recorder = RemoteRecorder.remote();
    await get(Array.from({ length: 20 }, (_, i) => recorder.noteSlowly.remote("x", i)));
    expect(await get(recorder.most.remote())).to.equal(1);
    const seen = await get(recorder.seen.remote());
    for (let i = 0; i < 20; i++) {
      expect(seen.slice(2 * i, 2 * i + 2)).to.deep.equal([
        ["x", i],
        ["x end", i],
      ]);
    }
  });

  it("of results is not the order of waiting: each reference gets its own", async () => {
    const recorder = RemoteRecorder.remote();
    const refs = Array.from({ length: 50 }, (_, i) => recorder.note.remote("x", i));
    expect(await get(refs.toReversed())).to.deep.equal(Array.from({ length: 50 }, (_, i) => 49 - i));
  });

  it("holds across a restart for calls with maxTaskRetries, each run at least once", async () => {
    const file = test.file("restart");
    const recorder = RemoteDurableRecorder.options({ maxRestarts: 1, maxTaskRetries: 1 }).remote(file, 20);
    const count = 60;
    const refs = Array.from({ length: count }, (_, i) => recorder.note.remote("driver", i));
    expect(await get(refs)).to.deep.equal(Array.from({ length: count }, (_, i) => i));
    const [before, after] = incarnations(linesOf(file));
    expect(before, "before the restart").to.deep.equal(Array.from({ length: 21 }, (_, i) => i));
    const first = after?.[0] ?? Infinity;
    expect(first, "nothing is left out").to.be.lessThan(21);
    expect(after, "after the restart").to.deep.equal(
      Array.from({ length: count - first }, (_, i) => first + i),
    );
  });

  it("holds across a restart for what is submitted while it is down, with late arguments", async () => {
    const file = test.file("down");
    const recorder = RemoteDurableRecorder.options({ maxRestarts: 1, maxTaskRetries: 1 }).remote(file, 2);
    const refs: ObjectRef<number>[] = [];
    for (let i = 0; i < 5; i++) refs.push(recorder.note.remote("driver", i));
    for (let i = 5; i < 15; i++)
      refs.push(recorder.note.remote("driver", valueAfter.remote(i, (20 - i) * 10)));
    await get(refs);
    const [before, after] = incarnations(linesOf(file));
    expect(before).to.deep.equal([0, 1, 2]);
    const first = after?.[0] ?? Infinity;
    expect(after).to.deep.equal(Array.from({ length: 15 - first }, (_, i) => first + i));
  });

  it("runs a call without retries at most once across a restart", async () => {
    const file = test.file("once");
    const recorder = RemoteDurableRecorder.options({ maxRestarts: 1 }).remote(file, 3);
    const refs = Array.from({ length: 10 }, (_, i) => recorder.note.remote("driver", i));
    const failed = (await Promise.all(refs.map((ref) => get(ref).catch((error: Error) => error)))).filter(
      (outcome) => outcome instanceof Error,
    );
    expect(failed.length).to.be.greaterThan(0);
    expect(new Set(failed.map((error) => (error as { code?: string }).code))).to.deep.equal(
      new Set(["ACTOR_UNAVAILABLE"]),
    );
    expect(await get(recorder.note.remote("driver", 10))).to.equal(10);
    const notes = incarnations(linesOf(file)).flat();
    expect(new Set(notes).size, "none ran twice").to.equal(notes.length);
    expect(notes).to.deep.equal(notes.toSorted((a, b) => a - b));
  });
});

/** The numbers noted by each incarnation, in order. */
function incarnations(lines: readonly string[]): number[][] {
  const all: number[][] = [];
  for (const line of lines) {
    if (line === "start") all.push([]);
    else all.at(-1)?.push(Number(line.split(" ")[1]));
  }
  return all;
}

describe("calls at the same time", function () {
  this.timeout(20_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());

  it("are as many as maxConcurrency allows", async () => {
    const gauge = RemoteGauge.options({ maxConcurrency: 3 }).remote();
    await get(Array.from({ length: 9 }, () => gauge.work.remote("work", 30)));
    expect((await get(gauge.report.remote())).most).to.deep.equal({ work: 3 });
  });

  it("begin in the order of submission, however long their arguments take to be read", async () => {
    const recorder = RemoteRecorder.options({ maxConcurrency: 4 }).remote();
    const large = await put(new Uint8Array(1 << 20));
    const refs = Array.from({ length: 40 }, (_, i) =>
      recorder.note.remote("driver", i, i % 3 === 0 ? large : i % 3 === 1 ? new Uint8Array(200_000) : i),
    );
    await get(refs);
    expectInOrder(await get(recorder.seen.remote()), 40);
  });

  it("have limits of their own in concurrency groups", async () => {
    const gauge = RemoteGauge.options({ concurrencyGroups: { io: 2, wide: 4 } }).remote();
    await get([
      ...Array.from({ length: 3 }, () => gauge.work.remote("work", 30)),
      ...Array.from({ length: 6 }, () => gauge.io.remote(30)),
      ...Array.from({ length: 8 }, () => gauge.work.options({ concurrencyGroup: "wide" }).remote("wide", 30)),
    ]);
    const { most, overlaps } = await get(gauge.report.remote());
    expect(most).to.deep.equal({ work: 1, io: 2, wide: 4 });
    expect(overlaps).to.include("wide beside io");
  });

  it("are shared methods beside each other, never beside the others", async () => {
    const gauge = RemoteGauge.remote();
    const refs: ObjectRef<void>[] = [];
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 4; i++) refs.push(gauge.read.remote(20));
      refs.push(gauge.write.remote(5));
    }
    await get(refs);
    const { most, overlaps } = await get(gauge.report.remote());
    expect(most).to.deep.equal({ read: 4, write: 1 });
    expect(overlaps).to.deep.equal([]);
  });

  it("don't keep a writer waiting behind readers that came later", async () => {
    const gauge = RemoteGauge.remote();
    const before = gauge.read.remote(100);
    const write = gauge.write.remote(1);
    const after = Array.from({ length: 5 }, () => gauge.read.remote(1));
    await get([before, write, ...after]);
    expect((await get(gauge.report.remote())).most).to.deep.equal({ read: 5, write: 1 });
  });

  it("need a group that the actor has", async () => {
    const gauge = RemoteGauge.remote();
    const error = await rejection(get(gauge.work.options({ concurrencyGroup: "nope" }).remote("x", 1)));
    expect(error.message).to.contain('no concurrency group "nope"').and.contain("io");
  });
});
