/** Streams: when items come, how readers leave, what errors, backpressure and lost workers do. */
import { existsSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import {
  InvalidArgumentError,
  ObjectRef,
  SerializationError,
  TaskCancelledError,
  TaskError,
  cancel,
  get,
} from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import * as streams from "./fixtures/task-streams.js";
import { linesOf } from "./support/lines.js";
import { objectBytes } from "./support/object-bytes.js";

const LARGE = 32 * 1024; // 256 KiB of doubles

describe("streams of tasks", function () {
  this.timeout(20_000);
  let test: TestCluster;
  let count = 0;
  const newFile = (): string => test.file(`stream-${count++}`);
  const storeIsEmpty = (): Promise<boolean> =>
    eventually(async () => (await objectBytes()) === 0, "the store is empty");

  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());

  it("give each item as soon as it is there", async () => {
    const file = newFile();
    const seen: string[] = [];
    for await (const ref of streams.countWhen.remote(file)) {
      expect(ref).to.be.instanceOf(ObjectRef);
      seen.push(await get(ref));
      if (seen.length === 1) writeFileSync(file, "");
    }
    expect(seen).to.deep.equal(["first", "second"]);
  });

  it("carry any number of items in order", async () => {
    const seen: number[] = [];
    for await (const ref of streams.countTo.remote(3_000)) seen.push(await get(ref));
    expect(seen).to.deep.equal(Array.from({ length: 3_000 }, (_, i) => i + 1));
  });

  it("may be empty", async () => {
    const stream = streams.countTo.remote(0);
    expect(await stream.next()).to.equal(undefined);
    expect(await stream.next()).to.equal(undefined);
  });

  it("carry large items, which are freed with their references", async () => {
    let i = 0;
    for await (using ref of streams.large.remote(4, LARGE)) {
      const item = await get(ref);
      expect(item).to.have.length(LARGE);
      expect(item.every((x) => x === i)).to.equal(true);
      i++;
    }
    expect(i).to.equal(4);
    await storeIsEmpty();
  });

  it("carry references", async () => {
    const seen: number[] = [];
    for await (const holder of streams.references.remote(5)) seen.push(await get((await get(holder)).ref));
    expect(seen).to.deep.equal([0, 1, 4, 9, 16]);
  });

  it("give an error after n items as the last reference", async () => {
    const seen: number[] = [];
    const errors: Error[] = [];
    for await (const ref of streams.failAfter.remote(2))
      await get(ref).then(
        (value) => seen.push(value),
        (error: Error) => errors.push(error),
      );
    expect(seen).to.deep.equal([0, 1]);
    expect(errors).to.have.length(1);
    expect(errors[0]).to.be.instanceOf(TaskError);
    expect(errors[0]?.cause).to.be.instanceOf(RangeError).with.property("message", "after 2");
    expect(errors[0]?.stack).to.match(/fixtures[\\/]task-streams\.ts/);
  });

  it("give an item that can't be sent as an error that says which", async () => {
    const refs: ObjectRef[] = [];
    for await (const ref of streams.unsendable.remote()) refs.push(ref);
    expect(refs).to.have.length(2);
    expect(await get(refs[0] as ObjectRef)).to.equal(1);
    const error = await rejection(get(refs[1] as ObjectRef));
    expect(error.cause ?? error).to.be.instanceOf(SerializationError);
    expect(error.message).to.contain("result[1].no");
  });

  it("stop their producer at its next yield when the reader leaves, and free what was not read", async () => {
    for (const producer of [streams.noteEach, streams.noteEachAtOnce]) {
      const file = newFile();
      for await (const ref of producer.remote(file, 10_000_000)) if ((await get(ref)) === 2) break;
      await eventually(() => linesOf(file).at(-1) === "end", "the producer ends");
    }
    for await (const ref of streams.large.remote(1_000, LARGE)) {
      await get(ref);
      ref.release();
      break;
    }
    await storeIsEmpty();
  });

  it("stop their producer when they are disposed of", async () => {
    const file = newFile();
    {
      await using stream = streams.noteEach.remote(file, 10_000_000);
      await stream.next();
    }
    await eventually(() => linesOf(file).at(-1) === "end", "the producer ends");
  });

  it("never begin when nobody wants them any more", async () => {
    const file = newFile();
    const blocker = streams.noteEach.options({ cpus: 2, backpressure: 1 }).remote(newFile(), 10);
    await blocker.next();
    const stream = streams.noteEach.options({ cpus: 2 }).remote(file, 3);
    await stream[Symbol.asyncDispose]();
    await blocker[Symbol.asyncDispose]();
    for await (const ref of streams.countTo.options({ cpus: 2 }).remote(1)) await get(ref);
    expect(existsSync(file)).to.equal(false);
  });

  it("run at most `backpressure` items ahead of their reader", async () => {
    const file = newFile();
    const stream = streams.noteEach.options({ backpressure: 3 }).remote(file, 20);
    let read = 0;
    for await (const ref of stream) {
      expect(await get(ref)).to.equal(read++);
      await eventually(() => linesOf(file).length >= Math.min(20, read + 2), "the producer goes on");
      expect(linesOf(file).length).to.be.at.most(Math.min(21, read + 3));
    }
    expect(read).to.equal(20);
  });

  it("go on where they were when their worker dies, each item once", async () => {
    for (const length of [1, LARGE]) {
      const file = newFile();
      const seen: (number | undefined)[] = [];
      for await (const ref of streams.dieOnce.remote(file, 8, 4, length)) {
        const item = await get(ref);
        expect(item).to.have.length(length);
        seen.push(item[0]);
        ref.release();
      }
      expect(seen).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7]);
      expect(linesOf(file)).to.have.length(2);
    }
    await storeIsEmpty();
  });

  it("go on when their worker dies while they are held back", async () => {
    const file = newFile();
    const seen: (number | undefined)[] = [];
    for await (const ref of streams.dieOnce.options({ backpressure: 2 }).remote(file, 8, 4))
      seen.push((await get(ref))[0]);
    expect(seen).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it("can be cancelled", async () => {
    const file = newFile();
    const stream = streams.untilCancelled.remote(file);
    expect(await get((await stream.next()) as ObjectRef)).to.equal(1);
    await cancel(stream);
    await eventually(() => linesOf(file)[0] === "aborted", "the producer sees its signal");
    const rest = await stream.next();
    if (rest !== undefined) expect(await rejection(get(rest))).to.be.instanceOf(TaskCancelledError);
    expect(await stream.next()).to.equal(undefined);
  });

  it("are no references", async () => {
    const stream: unknown = streams.countTo.remote(1);
    const error = await rejection(get(stream as ObjectRef));
    expect(error).to.be.instanceOf(InvalidArgumentError);
    expect(error.message).to.contain("for await");
    expect(await get(streams.notGenerator.remote())).to.deep.equal([1, 2, 3]);
  });
});
