/** What others see of a value that was lost, while it is made again and when it can't be. */
import { existsSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { WorkerCrashedError, get, kill, put, wait, type ObjectRef } from "stingray";
import { eventually, rejection } from "stingray/testing";
import { MIB, StoreCluster, everythingIsFreed, listing } from "../support/stores.js";
import * as again from "./programs/again.js";
import { content, expectContent } from "./programs/content.js";
import * as pieces from "./programs/pieces.js";

const PIECE = { seed: 3, length: 2 * MIB };
const timeoutMs = 10_000;

describe("objects that are lost and made again", function () {
  this.timeout(30_000);
  let test: StoreCluster;
  before(async () => {
    test = await StoreCluster.start({ objectStoreMemory: 64 * MIB, nodes: [{ cpus: 1 }] });
  });
  after(() => test.end());
  afterEach(() => everythingIsFreed());

  /** Takes an object's file away from its store. */
  const lose = async (ref: ObjectRef): Promise<void> => {
    await wait([ref]);
    // The word of its writer may come after the result.
    await eventually(async () => {
      const { objects } = await listing(test.node(0));
      return objects.some(({ object, state }) => object === ref.id && state === "memory");
    }, "its store has it");
    unlinkSync(join(test.storeDir(0), ref.id));
  };

  it("are waited for by tasks that were queued before that", async () => {
    const [began, file] = [test.file("began"), test.file("go")];
    const lost = pieces.make.remote(PIECE);
    await wait([lost]);
    const occupied = again.occupied.remote(began, file);
    await eventually(() => existsSync(began), "the only worker is taken");
    const behind = [1, 2, 3].map(() => pieces.check.remote(lost, PIECE));
    await lose(lost);
    const read = get(lost, { timeoutMs });
    // Once it is made again, the tasks that were there first come to the worker first.
    await eventually(
      async () => (await wait([lost], { timeoutMs: 0 }))[0].length === 0,
      "it is known to be lost",
    );
    writeFileSync(file, "");
    expect(await get(behind, { timeoutMs })).to.deep.equal([1, 2, 3].map(() => test.node(0).node));
    expectContent(await read, PIECE);
    expect(await get(occupied)).to.equal("done");
    for (const ref of [lost, occupied, ...behind]) ref.release();
  });

  it("let go of what they were made from once, where that fails", async () => {
    const [made, file] = [test.file("made"), test.file("read")];
    const argument = await put(content(PIECE));
    const lost = again.onlyOnce.remote(argument, PIECE, made);
    await lose(lost);
    const error = await rejection(get(lost, { timeoutMs }));
    expect(error.message).to.contain("it can't be made again");
    lost.release();
    const length = again.lengthAfter.remote(file, { ref: argument });
    argument.release();
    writeFileSync(file, "");
    expect(await get(length, { timeoutMs })).to.equal(PIECE.length);
    length.release();
  });

  it("do not count for a caller that ends with the reference which an actor gave it", async () => {
    const keeper = pieces.Keeper.remote();
    try {
      const died = again.dieWithIt.remote(keeper, PIECE);
      expect(await rejection(get(died, { timeoutMs }))).to.be.instanceOf(WorkerCrashedError);
      died.release();
      await get(keeper.drop.remote("it"));
      await eventually(
        async () => (await listing(test.node(0))).figures.objects === 0,
        "the object is freed with its last holder",
      );
    } finally {
      await kill(keeper);
    }
  });
});
