/** `put`, `get`, `wait` and `asCompleted`: what they take, return and refuse. */
import { writeFileSync } from "node:fs";
import { inspect } from "node:util";
import { expect } from "chai";
import type { ObjectRef } from "stingray";
import { rejection, testCluster, type TestCluster } from "stingray/testing";
import {
  GetTimeoutError,
  InvalidArgumentError,
  InvalidOptionError,
  SerializationError,
  TaskError,
  TimeoutError,
  asCompleted,
  get,
  isObjectRef,
  put,
  wait,
} from "stingray";
import * as tasks from "./fixtures/tasks.js";

/** A task that ends when it is told to. */
interface Held {
  readonly ref: ObjectRef<string>;
  readonly end: () => void;
}

describe("waiting for objects", function () {
  this.timeout(20_000);
  let test: TestCluster;
  let count = 0;
  const held: Held[] = [];
  const hold = (): Held => {
    const file = test.file(`go-${count++}`);
    const one = { ref: tasks.whenFile.remote(file), end: () => writeFileSync(file, "ended") };
    held.push(one);
    return one;
  };

  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());
  afterEach(async () => {
    for (const one of held) one.end();
    await get(held.splice(0).map(({ ref }) => ref));
  });

  describe("put() and get()", () => {
    it("keep any value, a new one for each get", async () => {
      const value = {
        list: [1],
        map: new Map([["k", new Date(0)]]),
        big: 1n,
        none: undefined,
        bytes: new Uint8Array(3),
      };
      const ref = await put(value);
      value.list.push(2);
      const [one, two] = await get([ref, ref]);
      expect(one).to.deep.equal({ ...value, list: [1] });
      expect(one).not.to.equal(two);
      one.list.push(9);
      one.bytes.fill(9);
      expect((await get(ref)).list).to.deep.equal([1]);
      expect([...two.bytes]).to.deep.equal([0, 0, 0]);
    });

    it("give results of tasks anew for each get", async () => {
      const ref = tasks.list.remote(2);
      (await get(ref)).push(5);
      expect(await get(ref)).to.deep.equal([0, 1]);
    });

    it("return values in the order of the references, which may be repeated, and none for none", async () => {
      const slow = tasks.addLater.remote(1, 0, 40);
      const quick = tasks.add.remote(2, 0);
      expect(await get([slow, quick, slow])).to.deep.equal([1, 2, 1]);
      expect(await get([])).to.deep.equal([]);
    });

    it("take undefined and null, and no functions", async () => {
      expect(await get([await put(undefined), await put(null), await put("")])).to.deep.equal([
        undefined,
        null,
        "",
      ]);
      expect(await rejection(put({ f: () => {} }))).to.be.instanceOf(SerializationError);
    });

    it("refuse what is no reference", async () => {
      const wrong = (value: unknown): ObjectRef => value as ObjectRef;
      expect(await rejection(get(wrong(1)))).to.be.instanceOf(InvalidArgumentError);
      expect((await rejection(get([await put(1), wrong("x")]))).message).to.contain("get()[1]");
      expect(await rejection(get(wrong(Promise.resolve())))).to.be.instanceOf(InvalidArgumentError);
      expect(await rejection(put(await put(1)))).to.be.instanceOf(InvalidArgumentError);
      expect(await rejection(get(await put(1), { timeout: 1 } as object))).to.be.instanceOf(
        InvalidOptionError,
      );
    });

    it("throw the error of a failed reference among others", async () => {
      const refs = [
        tasks.add.remote(1, 1),
        tasks.fail.remote("range"),
        tasks.numbers.remote(50_000),
      ] as const;
      expect((await rejection(get(refs))).cause).to.be.instanceOf(RangeError);
      expect((await get(refs[2])).length).to.equal(50_000);
    });

    it("end after timeoutMs, and may be called again", async () => {
      const { ref, end } = hold();
      const done = tasks.add.remote(1, 1);
      await get(done);
      const error = await rejection(get([done, ref], { timeoutMs: 40 }));
      expect(error).to.be.instanceOf(GetTimeoutError).and.instanceOf(TimeoutError);
      expect(error.message).to.contain(ref.id);
      expect(await rejection(get(ref, { timeoutMs: 0 }))).to.be.instanceOf(GetTimeoutError);
      const again = get(ref, { timeoutMs: 15_000 });
      end();
      expect(await again).to.equal("ended");
      expect(await get(ref, { timeoutMs: 0 })).to.equal("ended");
    });

    it("wait without end for timeoutMs: Infinity, or for one beyond what timers can count", async () => {
      for (const timeoutMs of [Infinity, 1e12]) {
        const { ref, end } = hold();
        const value = get(ref, { timeoutMs });
        expect(await wait([ref], { timeoutMs: 30 })).to.deep.equal([[], [ref]]);
        end();
        expect(await value).to.equal("ended");
      }
    });

    it("end with their signal's reason", async () => {
      const { ref } = hold();
      const reason = new Error("enough");
      expect(await rejection(get(ref, { signal: AbortSignal.abort(reason) }))).to.equal(reason);
      const stop = new AbortController();
      const value = get([ref], { signal: stop.signal });
      stop.abort(reason);
      expect(await rejection(value)).to.equal(reason);
      const late = await rejection(get(ref, { signal: AbortSignal.timeout(20) }));
      expect(late.name).to.equal("TimeoutError");
    });
  });

  describe("wait()", () => {
    it("returns at most count ready ones, in the order given, and the rest", async () => {
      const a = tasks.add.remote(1, 0);
      const b = tasks.add.remote(2, 0);
      const slow = hold().ref as ObjectRef as ObjectRef<number>;
      await get([a, b]);
      expect(await wait([slow, b, a])).to.deep.equal([[b], [slow, a]]);
      expect(await wait([slow, b, a], { count: 2 })).to.deep.equal([[b, a], [slow]]);
      expect(await wait([slow, b, a], { count: 3, timeoutMs: 30 })).to.deep.equal([[b, a], [slow]]);
    });

    it("comes back as soon as count are ready", async () => {
      const first = hold();
      const second = hold();
      const waiting = wait([first.ref, second.ref]);
      second.end();
      expect(await waiting).to.deep.equal([[second.ref], [first.ref]]);
    });

    it("looks without waiting with timeoutMs: 0", async () => {
      const { ref } = hold();
      expect(await wait([ref], { timeoutMs: 0 })).to.deep.equal([[], [ref]]);
    });

    it("counts failed ones as ready", async () => {
      const failed = tasks.fail.remote("range");
      expect(await wait([failed])).to.deep.equal([[failed], []]);
    });

    it("returns two empty arrays for no references", async () => {
      expect(await wait([])).to.deep.equal([[], []]);
    });

    it("refuses repeated references, a count that can't be reached, and what is no reference", async () => {
      const ref = await put(1);
      const other = await put(2);
      for (const call of [
        () => wait([ref, other, ref]),
        () => wait([ref, other], { count: 3 }),
        () => wait([ref], { count: 0 }),
        () => wait([ref], { count: 0.5 }),
        () => wait([1 as unknown as ObjectRef]),
        () => wait(ref as unknown as ObjectRef[]),
      ])
        expect(await rejection(call())).to.be.instanceOf(InvalidArgumentError);
      expect(await rejection(wait([ref], { num: 1 } as object))).to.be.instanceOf(InvalidOptionError);
    });

    it("ends with its signal's reason", async () => {
      const { ref } = hold();
      const reason = new Error("enough");
      expect(await rejection(wait([ref], { signal: AbortSignal.abort(reason) }))).to.equal(reason);
    });

    it("waits inside tasks, too, for references from elsewhere", async () => {
      const { ref, end } = hold();
      const reading = tasks.readNested.remote({ ref });
      end();
      expect(await get(reading)).to.equal("ended");
    });
  });

  describe("asCompleted()", () => {
    it("yields in the order in which they end, failed ones too", async () => {
      const [a, b, c] = [hold(), hold(), hold()];
      const failed = tasks.failLater.remote("range", 0);
      await wait([failed]);
      const order: ObjectRef[] = [];
      const next = [c, a, b];
      for await (const ref of asCompleted([a.ref, b.ref, failed, c.ref])) {
        order.push(ref);
        next.shift()?.end();
      }
      expect(order).to.deep.equal([failed, c.ref, a.ref, b.ref]);
    });

    it("keeps the order of what ended while nobody asked", async () => {
      const [a, b, c] = [hold(), hold(), hold()];
      const completed = asCompleted([a.ref, b.ref, c.ref])[Symbol.asyncIterator]();
      const first = completed.next();
      for (const one of [b, c, a]) {
        one.end();
        await get(one.ref);
      }
      const order = [(await first).value, (await completed.next()).value, (await completed.next()).value];
      expect(order).to.deep.equal([b.ref, c.ref, a.ref]);
      expect(await completed.next()).to.deep.equal({ done: true, value: undefined });
    });

    it("takes none, thousands, any iterable; not the same one twice", async () => {
      for await (const _ of asCompleted([])) throw new Error("there is none");
      const refs = new Set(Array.from({ length: 3_000 }, (_, i) => tasks.add.remote(i, 0)));
      let sum = 0;
      for await (const ref of asCompleted(refs)) sum += await get(ref);
      expect(sum).to.equal((2_999 * 3_000) / 2);
      const ref = await put(1);
      expect(await rejection(asCompleted([ref, ref]).next())).to.be.instanceOf(InvalidArgumentError);
    });

    it("can be left early", async () => {
      const { ref } = hold();
      const quick = await put("quick");
      for await (const one of asCompleted([ref, quick])) {
        expect(one).to.equal(quick);
        break;
      }
    });
  });

  describe("references", () => {
    it("have an id that names their owner, and are neither promises nor open to change", async () => {
      const ref = await put(1);
      expect(await Promise.resolve(ref)).to.equal(ref);
      expect("then" in ref).to.equal(false);
      expect(ref.id).to.match(/^[^.]+\.\d+\.0$/);
      expect(inspect(ref)).to.equal(`ObjectRef(${ref.id})`);
      expect(JSON.stringify({ ref })).to.contain(ref.id);
      expect(isObjectRef(ref)).to.equal(true);
      expect(isObjectRef({ id: ref.id })).to.equal(false);
    });

    it("can't be used after they were released, which may happen twice", async () => {
      let kept: ObjectRef<number>;
      {
        using ref = await put(1);
        kept = ref;
      }
      kept.release();
      for (const call of [
        async (): Promise<unknown> => get(kept),
        async (): Promise<unknown> => wait([kept]),
        async (): Promise<unknown> => get(tasks.add.remote(1, kept)),
      ])
        expect(await rejection(call())).to.be.instanceOf(InvalidArgumentError);
      expect(await rejection(get(tasks.fail.remote("plain")))).to.be.instanceOf(TaskError);
    });
  });
});
