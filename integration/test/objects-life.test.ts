/** The life of objects: they are there while anybody holds a reference, and gone afterwards. */
import { expect } from "chai";
import { ObjectLostError, cancel, get, kill, put, type ObjectRef } from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import * as objects from "./fixtures/objects.js";
import { large as largeItems } from "./fixtures/task-streams.js";
import { sleeper } from "./fixtures/tasks.js";
import { objectBytes } from "./support/object-bytes.js";

const LENGTH = 64 * 1024; // half a megabyte of doubles

describe("the life of objects", function () {
  this.timeout(20_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());
  afterEach("nothing is left: no bytes in the store, no objects in this process", () =>
    eventually(async () => {
      expect(await objects.countObjects()).to.deep.equal({ owned: 0, borrowed: 0 });
      expect(await objectBytes()).to.equal(0);
      return true;
    }, "everything is freed"),
  );

  const isThere = (): Promise<boolean> =>
    eventually(async () => (await objectBytes()) > LENGTH * 8, "it is in the store");
  const isGone = (): Promise<boolean> => eventually(async () => (await objectBytes()) === 0, "it is gone");

  it("of large values that were put, or returned by tasks, ends with release()", async () => {
    const ref = await put(new Float64Array(LENGTH));
    await isThere();
    ref.release();
    await isGone();
    {
      using result = objects.makeNumbers.remote(LENGTH);
      expect(await get(objects.total.remote(result))).to.equal(LENGTH);
      await isThere();
    }
    await isGone();
  });

  it("ends with the garbage collection of their references", async () => {
    await (async () => {
      const refs = [await put(new Float64Array(LENGTH)), objects.makeNumbers.remote(LENGTH)];
      await get(refs);
      await isThere();
    })();
    await eventually(async () => {
      await objects.countObjects();
      return (await objectBytes()) === 0;
    }, "it is collected");
  });

  it("of small ones ends, too", async () => {
    for (let i = 0; i < 300; i++) (await put({ i })).release();
    const refs = await Promise.all(Array.from({ length: 300 }, (_, i) => put(i)));
    expect(await get(refs)).to.have.length(300);
  });

  it("lasts as long as a task needs them that was given one, although its caller lets go", async () => {
    const ref = await put(new Float64Array(LENGTH).fill(1));
    const direct = objects.total.remote(ref, 50);
    const nested = objects.totalHeld.remote({ ref }, 50);
    ref.release();
    expect(await get([direct, nested])).to.deep.equal([LENGTH, LENGTH]);
    await isGone();
  });

  it("lasts as long as a pending task needs the result of another", async () => {
    const slow = objects.makeNumbers.remote(LENGTH, 2);
    const sum = objects.total.remote(slow);
    slow.release();
    expect(await get(sum)).to.equal(2 * LENGTH);
    await isGone();
  });

  it("lasts while a borrower holds them, and ends when it lets go", async () => {
    const holder = objects.Holder.remote();
    for (const end of ["letGo", "forget"] as const) {
      const ref = await put(new Float64Array(LENGTH).fill(1));
      await get(holder.hold.remote({ ref }));
      ref.release();
      await objects.countObjects();
      expect(await get(holder.total.remote())).to.equal(LENGTH);
      await isThere();
      await get(holder[end].remote());
      await eventually(async () => {
        await get(holder.counts.remote());
        return (await objectBytes()) === 0;
      }, "the borrower lets go");
      expect(await get(holder.counts.remote())).to.deep.equal({ owned: 0, borrowed: 0 });
    }
    await kill(holder);
  });

  it("lasts while a borrower of a borrower holds them", async () => {
    const [first, second] = [objects.Holder.remote(), objects.Holder.remote()];
    const ref = await put(new Float64Array(LENGTH).fill(1));
    await get(first.hold.remote({ ref }));
    ref.release();
    await get(second.hold.remote((await get(first.handOut.remote())) as objects.Holds<Float64Array>));
    await get(first.letGo.remote());
    await objects.countObjects();
    expect(await get(second.total.remote())).to.equal(LENGTH);
    await kill(first);
    expect(await get(second.total.remote())).to.equal(LENGTH);
    await get(second.letGo.remote());
    await isGone();
    await kill(second);
  });

  it("ends with the process of the borrower", async () => {
    const holder = objects.Holder.remote();
    const ref = await put(new Float64Array(LENGTH));
    await get(holder.hold.remote({ ref }));
    ref.release();
    await isThere();
    process.kill(await get(holder.pid.remote()), "SIGKILL");
    await isGone();
  });

  it("of values inside values ends with the outer one, or later if somebody has taken them out", async () => {
    const inner = await put(new Float64Array(LENGTH).fill(1));
    const outer = await put({ ref: inner });
    inner.release();
    await isThere();
    const { ref: taken } = await get(outer);
    outer.release();
    await objects.countObjects();
    expect(await get(taken)).to.have.length(LENGTH);
    taken.release();
    await isGone();
    const unread = await put({ ref: await put(new Float64Array(LENGTH)) });
    unread.release();
    await eventually(async () => {
      await objects.countObjects();
      return (await objectBytes()) === 0;
    }, "what was inside is gone");
  });

  it("of values that a task made and returned by reference lasts while the caller holds them", async () => {
    for (const make of [objects.makeHeld, objects.makeHeldTask]) {
      const outer = make.remote(LENGTH);
      const { ref } = await get(outer);
      outer.release();
      await objects.countObjects();
      expect(await get(objects.total.remote(ref))).to.be.oneOf([2 * LENGTH, 3 * LENGTH]);
      expect(await get(ref)).to.have.length(LENGTH);
      ref.release();
      await isGone();
    }
  });

  it("of values of an actor that nobody has asked for ends as well", async () => {
    const holder = objects.Holder.remote();
    for (let i = 0; i < 5; i++) {
      const made = holder.make.remote(LENGTH);
      if (i % 2 === 0) await get(made);
      made.release();
    }
    await eventually(async () => {
      await objects.countObjects();
      const counts = await get(holder.counts.remote());
      return counts.owned === 0 && counts.borrowed === 0 && (await objectBytes()) === 0;
    }, "all of it is freed");
    await kill(holder);
  });

  it("goes on where a reference is handed on to a task that its sender does not wait for", async () => {
    for (let i = 0; i < 10; i++) {
      const ref = await put(new Float64Array(LENGTH).fill(1));
      const handed = objects.handOn.remote({ ref });
      ref.release();
      expect(await get((await get(handed)).ref)).to.equal(LENGTH);
    }
  });

  it("goes on where references only pass through tasks", async () => {
    let held: objects.Holds = { ref: await put(new Float64Array(LENGTH).fill(1)) };
    const { id } = held.ref;
    for (let i = 0; i < 5; i++) {
      const passed = objects.pass.remote(held);
      held.ref.release();
      held = await get(passed);
      expect(held.ref.id).to.equal(id);
    }
    expect(await get(objects.total.remote(held.ref as ObjectRef<Float64Array>))).to.equal(LENGTH);
  });

  it("ends also where tasks fail or are cancelled", async () => {
    const ref = await put(new Float64Array(LENGTH));
    const failed = objects.fails.remote({ ref });
    const cancelled = sleeper.remote(test.file("never"), 60_000);
    const dependent = objects.total.remote(
      objects.makeNumbers.remote(LENGTH),
      cancelled as unknown as ObjectRef<number>,
    );
    ref.release();
    await rejection(get(failed));
    await cancel(cancelled, { force: true });
    await rejection(get(dependent));
  });

  it("of stream items ends with their references, and of unread ones with the stream", async () => {
    const stream = largeItems.remote(4, LENGTH);
    const first = await stream.next();
    expect(await get(first as ObjectRef<Float64Array>)).to.have.length(LENGTH);
    await stream[Symbol.asyncDispose]();
  });

  it("of many results in flight ends with all of them", async () => {
    const refs = Array.from({ length: 40 }, (_, i) => objects.makeNumbers.remote(LENGTH, i));
    for (const ref of refs) ref.release();
    const again = Array.from({ length: 20 }, (_, i) => objects.makeNumbers.remote(LENGTH, i));
    for (const [i, ref] of again.entries()) {
      expect((await get(ref))[0]).to.equal(i);
      ref.release();
    }
  });

  it("ends with their owner, which is said to whoever asks", async () => {
    const holder = objects.Holder.remote();
    const { ref } = await get(holder.make.remote(100));
    await kill(holder);
    expect(await rejection(get(ref, { timeoutMs: 10_000 }))).to.be.instanceOf(ObjectLostError);
    const error = await rejection(get(objects.total.remote(ref)));
    expect(error).to.be.instanceOf(ObjectLostError);
  });
});
