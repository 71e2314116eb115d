/** What becomes of tasks, arguments and readers while a value that was lost is made again. */
import { newNodeId, type ValueDesc } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { encode } from "@stingray/objectstore";
import { expect } from "chai";
import { get } from "../src/get.js";
import { processState } from "../src/process-state.js";
import { encodeThrown } from "../src/objects/thrown.js";
import { PlayedCluster } from "./support/process.js";

const small = (value: unknown): ValueDesc => [0, encode(value).bytes()];
const failed = (error: Error): ValueDesc => [2, encodeThrown(error)];

describe("a value that is made again", () => {
  let played: PlayedCluster;
  beforeEach(async () => {
    played = await PlayedCluster.start();
    await played.join();
  });
  afterEach(() => played.end());

  it("is waited for by tasks that were queued when it was lost", async () => {
    const worker = await played.worker();
    const { task: made, refs } = played.submit([]);
    const [id] = made.results.map(({ id }) => id);
    if (id === undefined) throw new Error("a task has a result");
    await worker.end(made, [played.stored(id)]);
    await eventually(() => made.results[0]?.ready === true || undefined, "it is known");
    const { task: other } = played.submit([]);
    await worker.sent(other);
    const { task: reader, refs: read } = played.submit([refs[0]]);
    const recovered = played.reportLost(worker, id);
    await eventually(() => made.results[0]?.ready === false || undefined, "it is being made again");
    await worker.end(other, [small(1)]);
    await worker.sent(made, 1);
    expect(worker.runs.some(({ message }) => message[1] === reader.sequence)).to.equal(false);
    await worker.end(made, [played.stored(id)], 1);
    expect((await recovered)[0]).to.equal(1);
    const { message } = await worker.sent(reader);
    expect((message[4] as ValueDesc[])[0]?.slice(0, 1)).to.deep.equal([1]);
    await worker.end(reader, [small("read")]);
    processState.runtime = played.runtime;
    expect(await get(read[0] as never)).to.equal("read");
  });

  for (const [what, again] of [
    ["fails", failed(new Error("the second time"))],
    ["gives a small value", small("small")],
  ] as const)
    it(`lets go of its arguments once where that ${what}`, async () => {
      const worker = await played.worker();
      const { task: first, refs } = played.submit([]);
      await worker.end(first, [small("argument")]);
      const argument = first.results[0];
      const { task, refs: results } = played.submit([refs[0], refs[0]]);
      const [result] = task.results;
      if (argument === undefined || result === undefined) throw new Error("a task has a result");
      await worker.end(task, [played.stored(result.id)]);
      await eventually(() => result.ready || undefined, "the result is known");
      expect(argument.pins).to.equal(2);
      const recovered = played.reportLost(worker, result.id);
      await worker.end(task, [again], 1);
      expect((await recovered)[0]).to.equal(again[0]);
      results[0]?.release();
      expect([argument.pins, argument.freed, result.freed]).to.deep.equal([0, false, true]);
      refs[0]?.release();
      expect(argument.freed).to.equal(true);
      expect(played.runtime.table.counts.owned).to.equal(0);
    });

  it("counts once where one of two results is needed no more", async () => {
    const worker = await played.worker();
    const { task, refs } = played.submit([], { returns: 2 });
    const [one, two] = task.results;
    if (one === undefined || two === undefined) throw new Error("it has two results");
    await worker.end(task, [small("one"), played.stored(two.id)]);
    await eventually(() => two.ready || undefined, "the results are known");
    refs[0]?.release();
    const recovered = played.reportLost(worker, two.id);
    await worker.end(task, [small("one"), small("two")], 1);
    await recovered;
    refs[1]?.release();
    const { owned, inlineBytes } = played.runtime.table.counts;
    expect([owned, inlineBytes]).to.deep.equal([0, 0]);
  });

  it("is waited for by a reader of several, also where another came meanwhile", async () => {
    processState.runtime = played.runtime;
    const [first, second] = [await played.worker(), await played.worker()];
    const { task: a, refs: as } = played.submit([]);
    const { task: b, refs: bs } = played.submit([]);
    const result = a.results[0];
    if (result === undefined) throw new Error("a task has a result");
    const has = (of: typeof first, task: typeof a): boolean =>
      of.runs.some(({ message }) => message[1] === task.sequence);
    await eventually(
      () => ((has(first, a) || has(second, a)) && (has(first, b) || has(second, b))) || undefined,
      "both are sent",
    );
    const [ofA, ofB] = has(first, a) ? [first, second] : [second, first];
    await ofA.end(a, [played.stored(result.id)]);
    await eventually(() => result.ready || undefined, "one is there");
    const both = get([as[0], bs[0]] as never, { timeoutMs: 5_000 });
    const recovered = played.reportLost(ofB, result.id);
    await eventually(() => !result.ready || undefined, "it is being made again");
    await ofB.end(b, [small("b")]);
    await eventually(() => b.results[0]?.ready === true || undefined, "the other is there");
    const again = await eventually(
      () =>
        [first, second].find(({ runs }) =>
          runs.some(({ message }) => message[1] === a.sequence && message[6] === 1),
        ),
      "it is sent again",
    );
    await again.end(a, [small("a")], 1);
    expect(await both).to.deep.equal(["a", "b"]);
    await recovered;
  });

  it("is waited for as long as the reader said, and no longer", async () => {
    processState.runtime = played.runtime;
    const worker = await played.worker();
    const { task: a, refs: as } = played.submit([]);
    const result = a.results[0];
    if (result === undefined) throw new Error("a task has a result");
    await worker.end(a, [played.stored(result.id)]);
    await eventually(() => result.ready || undefined, "it is there");
    const { task: b, refs: bs } = played.submit([]);
    await worker.sent(b);
    const started = performance.now();
    const both = get([as[0], bs[0]] as never, { timeoutMs: 300 }).then(
      () => undefined,
      (error: unknown) => error as Error,
    );
    const recovered = played.reportLost(worker, result.id).catch(() => undefined);
    await eventually(() => !result.ready || undefined, "it is being made again");
    await worker.end(b, [small("b")]);
    expect((await both)?.name).to.equal("GetTimeoutError");
    expect(performance.now() - started).to.be.within(295, 2_000);
    await worker.end(a, [small("a")], 1);
    await recovered;
  });
});

describe("an answer that nobody takes", () => {
  let played: PlayedCluster;
  beforeEach(async () => {
    played = await PlayedCluster.start();
    await played.join();
  });
  afterEach(() => played.end());

  it("leaves nothing in a store, and takes nothing away that is in use", async () => {
    const [first, elsewhere] = [await played.worker(), newNodeId()];
    const { task, refs } = played.submit([]);
    const [result] = task.results;
    if (result === undefined) throw new Error("a task has a result");
    await first.sent(task);
    played.lose(first);
    const second = await played.worker();
    await second.sent(task, 1);
    // The first was slow and not dead: it answers after all, from another node.
    await first.end(task, [played.stored(result.id, elsewhere)]);
    await second.end(task, [played.stored(result.id)], 1);
    await eventually(() => played.freed.length > 0 || undefined, "what came late is freed");
    expect(played.freed).to.deep.equal([result.id]);
    expect(result.state.kind).to.equal("stored");
    // The same copy again, then one that is no use.
    await second.end(task, [played.stored(result.id)], 1);
    await second.end(task, [played.stored(result.id, elsewhere)], 1);
    await eventually(() => played.freed.length > 1 || undefined, "what came twice is freed");
    expect(played.freed).to.deep.equal([result.id, result.id]);
    refs[0]?.release();
    await eventually(() => played.freed.length > 2 || undefined, "the one in use is freed in the end");
    await second.end(task, [played.stored(result.id)], 1);
    await eventually(() => played.freed.length > 3 || undefined, "what comes after is freed");
  });

  it("gives back the references inside", async () => {
    const worker = await played.worker();
    const { task, refs } = played.submit([]);
    await worker.end(task, [small(1)]);
    await eventually(() => task.results[0]?.ready === true || undefined, "it has ended");
    await worker.end(task, [small(1)], 0, [`${worker.process}.7.0`]);
    const [object, count] = await eventually(() => worker.released[0], "the reference is given back");
    expect([object, count]).to.deep.equal([`${worker.process}.7.0`, 1]);
    expect(played.runtime.table.counts.borrowed).to.equal(0);
    refs[0]?.release();
  });
});

describe("a reference to an object of this process that was freed", () => {
  let played: PlayedCluster;
  beforeEach(async () => {
    played = await PlayedCluster.start();
    await played.join();
  });
  afterEach(() => played.end());

  it("does not hide from the count what else is owned", () => {
    const { table } = played.runtime;
    const kept = table.handle(table.own(table.nextSequence(), 0));
    const gone = table.own(table.nextSequence(), 0);
    table.handle(gone).release();
    table.handle(table.adopt(gone.id, undefined)).release();
    expect(table.counts.owned).to.equal(1);
    kept.release();
    expect(table.counts.owned).to.equal(0);
  });
});
