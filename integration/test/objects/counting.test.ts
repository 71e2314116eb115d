/** Who still needs an object, wherever its references are: it stays as long as anybody, and goes with the last. */
import { writeFileSync } from "node:fs";
import { expect } from "chai";
import { ObjectLostError, get, kill, put, type ObjectRef } from "stingray";
import { collectGarbage, eventually, isRunning, rejection } from "stingray/testing";
import { RemoteCounter } from "../fixtures/actors.js";
import { whenFile } from "../fixtures/tasks.js";
import { KIB, MIB, StoreCluster, everythingIsFreed, figures, listing } from "../support/stores.js";
import { content, expectContent } from "./programs/content.js";
import * as pieces from "./programs/pieces.js";
import type { Bytes, Held } from "./programs/pieces.js";

const PIECE = { seed: 1, length: 2 * MIB };

describe("references to objects", function () {
  this.timeout(40_000);
  let test: StoreCluster;
  let orphans = false;
  let keepers: ReturnType<typeof pieces.Keeper.remote>[] = [];
  before(async () => {
    test = await StoreCluster.start({ objectStoreMemory: 64 * MIB, nodes: [{ cpus: 2 }, { cpus: 2 }] });
  });
  after(() => test.end());
  /** A handle is a reference, too: none may be in a function that goes on. */
  const endKeepers = async (): Promise<void> => {
    for (const keeper of keepers.splice(0)) await kill(keeper);
  };
  afterEach(async () => {
    await endKeepers();
    await everythingIsFreed({ orphans });
  });

  const keeperOn = (node: number): ReturnType<typeof pieces.Keeper.remote> => {
    const keeper = pieces.Keeper.options(test.on(node)).remote();
    keepers.push(keeper);
    return keeper;
  };
  /** Bytes of objects, wherever they are. */
  const stored = async (): Promise<number> => {
    const all = await Promise.all(test.nodes.map((node) => figures(node)));
    return all.reduce((sum, { used, leased, onDisk }) => sum + used - leased + onDisk, 0);
  };
  const isThere = (): Promise<boolean> =>
    eventually(async () => (await stored()) >= PIECE.length, "it is in a store");
  const isGone = (): Promise<boolean> =>
    eventually(async () => {
      collectGarbage(); // results that hold references
      return (await stored()) === 0;
    }, "it is gone");

  describe("inside values", () => {
    it("keep what they refer to, at any depth and in any kind of collection", async () => {
      const inner = await put(content(PIECE));
      let ref: ObjectRef = await put(new Map([["inner", inner]]));
      inner.release();
      for (const wrap of [
        (ref: ObjectRef) => [ref],
        (ref: ObjectRef) => new Set([ref]),
        (ref: ObjectRef) => ({ deep: [{ ref }], bytes: content(PIECE) }),
      ]) {
        const outer = await put(wrap(ref));
        ref.release();
        ref = outer;
      }
      collectGarbage();
      const { deep } = (await get(ref)) as { deep: [{ ref: ObjectRef<Set<ObjectRef>> }] };
      ref.release();
      const [set] = await get(deep[0].ref);
      const [map] = (await get(set as ObjectRef)) as [ObjectRef<Map<string, ObjectRef<Bytes>>>];
      const found = (await get(map)).get("inner") as ObjectRef<Bytes>;
      expectContent(await get(found), PIECE);
    });

    it("keep an actor alive whose handle is inside, and no longer", async () => {
      const counter = RemoteCounter.remote(5);
      const pid = await get(counter.pid.remote());
      const inside = await put({ handles: [counter] });
      await (async () => {
        const { handles } = await get(inside);
        expect(await get(handles[0]?.add.remote(1) as ObjectRef<number>)).to.equal(6);
      })();
      inside.release();
      expect(await get(counter.add.remote(1))).to.equal(7);
      await kill(counter);
      await eventually(() => !isRunning(pid), "the actor is gone");
    });

    it("end an actor when the last value with its handle is gone", async () => {
      const { pid, inside } = await (async () => {
        const counter = RemoteCounter.remote(5);
        return {
          pid: await get(counter.pid.remote()),
          inside: await put({ counter, bytes: content(PIECE) }),
        };
      })();
      collectGarbage();
      await (async () => {
        const { counter } = await get(inside);
        expect(await get(counter.add.remote(1))).to.equal(6);
      })();
      expect(isRunning(pid)).to.equal(true);
      inside.release();
      await eventually(() => {
        collectGarbage();
        return !isRunning(pid);
      }, "the actor ends");
    });
  });

  describe("elsewhere", () => {
    it("in the state of actors of both nodes keep the object until the last lets go", async () => {
      const [one, two] = [keeperOn(0), keeperOn(1)];
      const ref = await put(content(PIECE));
      await get([one.keep.remote("it", { ref }), two.keep.remote("it", { ref })]);
      ref.release();
      collectGarbage();
      expect(await get([one.check.remote("it", PIECE), two.check.remote("it", PIECE)])).to.deep.equal([
        test.node(0).node,
        test.node(1).node,
      ]);
      await get(one.drop.remote("it"));
      expect(await get(two.check.remote("it", PIECE))).to.equal(test.node(1).node);
      await get(two.drop.remote("it", "forget"));
    });

    it("in flight keep the object, also while the task waits for something else", async () => {
      const file = test.file("go");
      const ref = await put(content(PIECE));
      const gate = whenFile.remote(file);
      const waits = pieces.checkAll.remote(
        [PIECE, PIECE],
        ref,
        pieces.make.remote(PIECE),
        gate as unknown as ObjectRef<Bytes>,
      );
      const nested = pieces.checkHeld.options(test.on(1)).remote({ ref }, PIECE, 100);
      const passed = pieces.passOn.remote({ ref });
      ref.release();
      collectGarbage();
      const { ref: again } = await get(passed);
      passed.release();
      expectContent(await get(again), PIECE);
      again.release();
      expect(await get(nested)).to.equal(test.node(1).node);
      await isThere();
      writeFileSync(file, "go");
      await rejection(get(waits)); // it was given one too many, but it has begun
    });

    it("in streams keep what they refer to while they are read, and no longer", async () => {
      const all = Array.from({ length: 6 }, (_, seed) => ({ seed, length: 300 * KIB }));
      let count = 0;
      for await (const item of pieces.heldOnes.options(test.on(1)).remote(all)) {
        const { ref } = await get(item);
        item.release();
        expectContent(await get(ref), all[count++] ?? PIECE);
        ref.release();
        if (count === 4) break;
      }
      expect(count).to.equal(4);
    });

    it("of a process that is killed -9 do not count any more", async () => {
      const [one, two] = [keeperOn(0), keeperOn(1)];
      const ref = await put(content(PIECE));
      await get([one.keep.remote("it", { ref }), two.keep.remote("it", { ref })]);
      await get([one.look.remote("it"), two.look.remote("it")]);
      ref.release();
      for (const keeper of [one, two]) {
        await isThere();
        process.kill(await get(keeper.pid.remote()), "SIGKILL");
      }
      keepers = [];
      await isGone();
    });

    it("of a process that is killed -9 do not count any more for an owner on another node either", async () => {
      const owner = keeperOn(0);
      for (let seed = 0; seed < 3; seed++) {
        const [holder, later] = [keeperOn(1), keeperOn(1)];
        const { ref } = await get(owner.make.remote("it", PIECE));
        await get([holder.keep.remote("it", { ref }), later.keep.remote("it", { ref })]);
        ref.release();
        await get(owner.drop.remote("it"));
        await get(holder.check.remote("it", PIECE));
        // One with its borrow, one that has just given it back.
        process.kill(await get(holder.pid.remote()), "SIGKILL");
        await get(later.drop.remote("it"));
        await kill(later);
        await isGone();
      }
    });
  });

  describe("that are gone", () => {
    it("leave views that were read before as they are, in memory that is in use until they go", async () => {
      const look = async (): Promise<() => void> => {
        const ref = await put(content(PIECE));
        const view = await get(ref);
        ref.release();
        return () => expectContent(view, PIECE);
      };
      let check: (() => void) | undefined = await look();
      await eventually(
        async () => (await figures(test.node(0))).lingering >= PIECE.length,
        "its memory is in use without it",
      );
      expect((await figures(test.node(0))).used).to.be.at.least(PIECE.length);
      // Others come and go, and do not get its memory.
      for (let seed = 10; seed < 25; seed++) {
        using other = await put(content({ seed, length: PIECE.length }));
        using checked = pieces.check.remote(other, { seed, length: PIECE.length });
        await get(checked);
      }
      check();
      check = undefined;
      await eventually(async () => {
        collectGarbage();
        return (await figures(test.node(0))).lingering === 0;
      }, "its memory is free");
    });

    it("leave views of other processes as they are", async () => {
      const keeper = keeperOn(0);
      const ref = await put(content(PIECE));
      const index = (await get(keeper.lookAt.remote(ref))) - 1;
      ref.release();
      await eventually(
        async () => (await figures(test.node(0))).lingering >= PIECE.length,
        "its memory is in use without it",
      );
      for (let seed = 10; seed < 20; seed++) (await put(content({ seed, length: PIECE.length }))).release();
      await get(keeper.checkView.remote(index, PIECE));
      await get(keeper.lookAway.remote());
    });

    it("were released by `using` at the end of their block, and may be released twice", async () => {
      let id = "";
      const known = async (): Promise<boolean> =>
        (await listing(test.node(0))).objects.some(({ object }) => object === id);
      {
        using ref = await put(content(PIECE));
        ({ id } = ref);
        await eventually(known, "it is there");
        const same: Held = { ref };
        expect(await get(pieces.checkHeld.remote(same, PIECE))).to.be.a("string");
        ref.release();
        ref.release();
        ref[Symbol.dispose]();
        expect(ref.released).to.equal(true);
      }
      await eventually(async () => !(await known()), "it is gone");
    });

    it("of one object, several: each counts for itself", async () => {
      const ref = await put(content(PIECE));
      const outer = await put({ ref });
      const [first, second] = await get([outer, outer]);
      outer.release();
      ref.release();
      first.ref.release();
      const last = second.ref;
      expect(last.released).to.equal(false);
      collectGarbage();
      expectContent(await get(last), PIECE);
      last.release();
      await isGone();
    });
  });

  describe("whose owner was killed -9", () => {
    it("give the right value, or say that it is lost: here, nested, passed on and held", async () => {
      orphans = true; // what is left of its objects stays for a while
      const [owner, holder] = [keeperOn(1), keeperOn(0)];
      const { ref } = await get(owner.make.remote("it", PIECE));
      await get(holder.keep.remote("it", { ref }));
      const outer = await put({ ref });
      process.kill(await get(owner.pid.remote()), "SIGKILL");
      keepers = [holder];
      const timeoutMs = 10_000;
      const reads = [
        get(ref, { timeoutMs }).then((bytes) => expectContent(bytes, PIECE)),
        get(outer).then(async ({ ref }) => expectContent(await get(ref, { timeoutMs }), PIECE)),
        get(pieces.check.remote(ref, PIECE), { timeoutMs }),
        get(pieces.checkHeld.options(test.on(1)).remote({ ref }, PIECE), { timeoutMs }),
        get(holder.check.remote("it", PIECE), { timeoutMs }),
      ];
      for (const { reason } of (await Promise.allSettled(reads)) as { reason?: Error }[])
        expect(reason, reason?.stack).to.satisfy(
          (e: Error | undefined) =>
            e === undefined || e instanceof ObjectLostError || e.cause instanceof ObjectLostError,
        );
      await eventually(
        async () => (await rejection(get(ref, { timeoutMs }))) instanceof ObjectLostError,
        "the loss is known here",
      );
    });
  });
});
