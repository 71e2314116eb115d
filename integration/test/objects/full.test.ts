/** Stores that are full, or too small: what does not fit goes to disk, and what fits nowhere is refused in time. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ObjectStoreFullError, get, kill, put, type ObjectRef } from "stingray";
import { collectGarbage, eventually, isRunning, rejection } from "stingray/testing";
import { ClusterByHand } from "../support/by-hand.js";
import { MIB, StoreCluster, everythingIsFreed, figures, filesBelow, listing } from "../support/stores.js";
import { content, expectContent, randomFrom, type Piece } from "./programs/content.js";
import * as pieces from "./programs/pieces.js";
import type { Bytes } from "./programs/pieces.js";

const STORE = 24 * MIB;

describe("a store that is too small", function () {
  this.timeout(40_000);
  let test: StoreCluster;
  before(async () => {
    test = await StoreCluster.start({ objectStoreMemory: STORE, cpus: 2 });
  });
  after(() => test.end());
  let orphans = false;
  afterEach(() => everythingIsFreed({ orphans }));

  const stateOf = async (ref: ObjectRef): Promise<string | undefined> =>
    (await listing(test.node(0))).objects.find(({ object }) => object === ref.id)?.state;

  it("for what all processes look at: the next goes to disk, and is right", async () => {
    const seen: { ref: ObjectRef<Bytes>; view: Bytes; piece: Piece }[] = [];
    const part = 4 * MIB - 8192; // six of them fit, with their headers
    for (let seed = 0; seed < 6; seed++) {
      const piece = { seed, length: part };
      const ref = await put(content(piece));
      seen.push({ ref, view: await get(ref), piece });
    }
    expect((await figures(test.node(0))).onDisk).to.equal(0);
    const began = performance.now();
    const piece = { seed: 50, length: part };
    using ref = await put(content(piece));
    expect(performance.now() - began).to.be.below(15_000);
    expect(await stateOf(ref)).to.be.oneOf(["disk", "spilled"]);
    expectContent(await get(ref), piece);
    await get(pieces.check.remote(ref, piece));
    for (const { view, piece } of seen) expectContent(view, piece);
    for (const { ref } of seen) ref.release();
  });

  it("for one object keeps it on disk, where it can be read as any other", async () => {
    const piece = { seed: 3, length: 2 * STORE };
    using ref = await put(content(piece));
    expect(await stateOf(ref)).to.equal("disk");
    expect((await figures(test.node(0))).onDisk).to.be.at.least(piece.length);
    const view = await get(ref);
    expectContent(view, piece);
    view.fill(1);
    await get(pieces.check.remote(ref, piece));
    using result = pieces.make.remote({ seed: 4, length: STORE + MIB });
    expectContent(await get(result), { seed: 4, length: STORE + MIB });
    using argument = pieces.check.remote(content({ seed: 5, length: STORE + MIB }), {
      seed: 5,
      length: STORE + MIB,
    });
    await get(argument);
  });

  it("for the arguments of all tasks together runs them all to the end", async () => {
    const random = randomFrom(9);
    const made = Array.from({ length: 24 }, (_, seed) => {
      const piece = { seed, length: Math.floor((1 + 3 * random()) * MIB) };
      return { piece, ref: pieces.make.remote(piece) };
    });
    const sums = Array.from({ length: 60 }, () => {
      const some = Array.from({ length: 3 }, () => made[Math.floor(random() * made.length)] ?? made[0]);
      const given = some.filter((one) => one !== undefined);
      const wanted = given.reduce((sum, { piece }) => sum + piece.length, 0);
      const ref = pieces.checkAll.remote(
        given.map(({ piece }) => piece),
        ...given.map(({ ref }) => ref),
      );
      return { wanted, ref };
    });
    for (const { wanted, ref } of sums) expect(await get(ref, { timeoutMs: 30_000 })).to.equal(wanted);
    for (const { ref } of made) ref.release();
  });

  it("for the arguments of one task runs it all the same", async () => {
    const all = Array.from({ length: 9 }, (_, seed) => ({ seed, length: 4 * MIB }));
    const refs = await Promise.all(all.map((piece) => put(content(piece))));
    expect(await get(pieces.checkAll.remote(all, ...refs), { timeoutMs: 30_000 })).to.equal(36 * MIB);
    for (const ref of refs) ref.release();
  });

  it("for puts at the same time takes them all", async () => {
    const all = Array.from({ length: 20 }, (_, seed) => ({ seed, length: 3 * MIB }));
    const refs = await Promise.all(all.map((piece) => put(content(piece))));
    for (const [i, ref] of refs.entries()) expectContent(await get(ref), all[i] ?? { seed: -1, length: 0 });
    for (const ref of refs) ref.release();
  });

  it("gets its memory back from views that were collected", async () => {
    for (let seed = 0; seed < 6; seed++) {
      const piece = { seed, length: 10 * MIB };
      const ref = await put(content(piece));
      expectContent(await get(ref), piece);
      ref.release();
    }
    collectGarbage();
  });

  it("serves on when a process was killed -9 in the middle of a put", async () => {
    orphans = true; // it may have been done just in time
    for (const afterMs of [0, 3]) {
      const keeper = pieces.Keeper.remote();
      const pid = await get(keeper.pid.remote());
      await rejection(get(keeper.dieInPut.remote({ seed: 1, length: 20 * MIB }, afterMs)));
      await eventually(() => !isRunning(pid), "it is gone");
      const piece = { seed: afterMs, length: 20 * MIB };
      using ref = await put(content(piece));
      await get(pieces.check.remote(ref, piece));
      await kill(keeper);
    }
  });
});

describe("a store and a disk that are too small", function () {
  this.timeout(40_000);

  it("refuse what fits into neither, with figures, and take what fits again", async () => {
    const spillDir = mkdtempSync(join(tmpdir(), "st-spill-"));
    const sizes = ["--object-store-memory", String(STORE), "--spill-limit", String(2 * STORE)];
    const cluster = await ClusterByHand.start([...sizes, "--spill-dir", spillDir]);
    try {
      await cluster.join();
      const piece = (seed: number): Piece => ({ seed, length: 4 * MIB });
      const refs: ObjectRef<Bytes>[] = [];
      const full = await rejection(
        (async () => {
          for (let seed = 0; seed < 40; seed++) refs.push(await put(content(piece(seed))));
        })(),
      );
      expect(full, full.stack).to.be.instanceOf(ObjectStoreFullError);
      expect(full.message).to.match(/\d+ (bytes|.iB)/i);
      expect(refs.length).to.be.within(12, 18);
      const tooLarge = { seed: 0, length: 4 * STORE };
      for (const wait of [put(content(tooLarge)), get(pieces.make.remote(tooLarge))]) {
        const error = await rejection(wait);
        expect(error, error.stack).to.be.instanceOf(ObjectStoreFullError);
      }
      for (const [seed, ref] of refs.entries()) {
        if (seed % 2 === 0) expectContent(await get(ref), piece(seed));
        else await get(pieces.check.remote(ref, piece(seed)));
        ref.release();
      }
      const fits = { seed: 1, length: STORE };
      const again = await eventually(() => put(content(fits)), "there is room again");
      await get(pieces.check.remote(again, fits));
      again.release();
      await everythingIsFreed();
    } finally {
      await cluster.end();
      const left = filesBelow(spillDir);
      rmSync(spillDir, { recursive: true, force: true });
      expect(left).to.deep.equal([]);
    }
  });
});
