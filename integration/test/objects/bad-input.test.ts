/** References that lead nowhere and files that somebody has damaged: typed errors, and no harm to anything else. */
import { closeSync, ftruncateSync, openSync, readdirSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { InvalidArgumentError, ObjectLostError, get, put, wait, type ObjectRef } from "stingray";
import { rejection } from "stingray/testing";
import { processState } from "@stingray/task/internal";
import { newDriverId, type ObjectId } from "@stingray/protocol";
import { MIB, StoreCluster, everythingIsFreed, figures, listing } from "../support/stores.js";
import { content, expectContent, type Piece } from "./programs/content.js";
import * as pieces from "./programs/pieces.js";
import type { Bytes } from "./programs/pieces.js";

const STORE = 24 * MIB;
const GIVEN_UP_MS = 20_000;

/** The error itself, or what a task that met it has failed with. */
async function isLost(promise: Promise<unknown>): Promise<void> {
  const error = await rejection(promise);
  expect(error, error.stack).to.satisfy(
    (e: Error) => e instanceof ObjectLostError || e.cause instanceof ObjectLostError,
  );
}

/** As itself, or as the reason why a value with the reference in it can't be sent. */
async function isRefused(promise: Promise<unknown>, text: string): Promise<void> {
  const error = await rejection(promise);
  expect(error, error.stack).to.satisfy(
    (e: Error) => e instanceof InvalidArgumentError || e.cause instanceof InvalidArgumentError,
  );
  expect(error.message).to.contain(text);
}

describe("objects that are not what they should be", function () {
  this.timeout(60_000);
  let test: StoreCluster;
  let foreign: ObjectRef<Bytes>;
  before(async () => {
    test = await StoreCluster.start({ objectStoreMemory: STORE, cpus: 1 });
    foreign = await put(content({ seed: 1, length: 100 }));
    await test.end();
    test = await StoreCluster.start({ objectStoreMemory: STORE, cpus: 2 });
  });
  after(() => test.end());
  afterEach("the cluster works, and nothing is left", async () => {
    await itWorks();
    await everythingIsFreed();
  });
  // By itself: what it has read would be garbage only when the hook is over.
  const itWorks = async (): Promise<void> => {
    const piece = { seed: 77, length: 3 * MIB };
    const refs = [await put(content(piece)), pieces.make.remote(piece)];
    for (const ref of refs) {
      expectContent(await get(ref), piece);
      await get(pieces.check.remote(ref, piece));
      ref.release();
    }
  };

  describe("references", () => {
    it("that were released are refused wherever they are used", async () => {
      const ref = await put(content({ seed: 1, length: MIB }));
      const reading = get(ref);
      ref.release();
      expectContent(await reading, { seed: 1, length: MIB });
      const piece = { seed: 1, length: MIB };
      for (const use of [
        async () => get(ref),
        async () => get([ref]),
        async () => wait([ref]),
        async () => put({ ref }),
        async () => get(pieces.check.remote(ref, piece)),
        async () => get(pieces.checkHeld.remote({ ref }, piece)),
      ])
        await isRefused(use(), ref.id);
    });

    it("of another cluster are refused", async () => {
      for (const use of [
        async () => get(foreign),
        async () => wait([foreign]),
        async () => put({ ref: foreign }),
        async () => get(pieces.checkHeld.remote({ ref: foreign }, { seed: 1, length: 100 })),
      ])
        await isRefused(use(), foreign.id);
      foreign.release();
    });

    it("that name an object that never was are lost ones", async () => {
      const { runtime } = processState;
      if (runtime === undefined) throw new Error("no runtime");
      const worker = await get(pieces.makeHeld.remote({ seed: 1, length: 10 }));
      const [owner] = worker.ref.id.split(".");
      const forged = (id: string): ObjectRef<Bytes> =>
        runtime.table.handle<Bytes>(runtime.table.adopt(id as ObjectId, test.node(0).node as never));
      for (const id of [`${owner}.99999.0`, `${runtime.process}.99999.0`, `${newDriverId()}.1.0`]) {
        using ref = forged(id);
        await isLost(get(ref, { timeoutMs: GIVEN_UP_MS }));
        const nested = pieces.checkHeld.remote({ ref }, { seed: 1, length: 1 });
        await isLost(get(nested, { timeoutMs: GIVEN_UP_MS }));
        const direct = pieces.check.remote(ref, { seed: 1, length: 1 });
        await isLost(get(direct, { timeoutMs: GIVEN_UP_MS }));
      }
      worker.ref.release();
    });
  });

  /** Puts and results, many of which are on disk. */
  async function spilled(): Promise<Map<ObjectRef<Bytes>, { piece: Piece; kind: "put" | "result" }>> {
    const all = new Map<ObjectRef<Bytes>, { piece: Piece; kind: "put" | "result" }>();
    for (let seed = 0; seed < 16; seed++) {
      const piece = { seed, length: 4 * MIB };
      if (seed % 2 === 0) all.set(await put(content(piece)), { piece, kind: "put" });
      else {
        const ref = pieces.make.remote(piece);
        await wait([ref]);
        all.set(ref, { piece, kind: "result" });
      }
    }
    expect((await figures(test.node(0))).onDisk).to.be.at.least(32 * MIB);
    return all;
  }
  const spillFiles = (): string[] =>
    readdirSync(test.spillDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .filter((path) => statSync(path).size >= MIB);

  /** Results come back, values of `put` that were damaged are lost, and all that can be read is right. */
  async function readsRight(
    all: Map<ObjectRef<Bytes>, { piece: Piece; kind: "put" | "result" }>,
    mayBeLost: "puts" | "any" = "puts",
  ): Promise<number> {
    let lost = 0;
    for (const [ref, { piece, kind }] of all) {
      const inTask = piece.seed % 4 < 2;
      const reading = inTask
        ? get(pieces.check.remote(ref, piece), { timeoutMs: GIVEN_UP_MS })
        : get(ref, { timeoutMs: GIVEN_UP_MS }).then((bytes) => expectContent(bytes, piece));
      try {
        await reading;
      } catch (error) {
        if (mayBeLost === "puts") expect(kind, String(error)).to.equal("put");
        await isLost(Promise.reject(error));
        lost++;
      }
    }
    for (const ref of all.keys()) ref.release();
    return lost;
  }

  it("because their spill files were deleted: results are made again, the rest is lost", async () => {
    const all = await spilled();
    for (const path of spillFiles()) rmSync(path);
    expect(await readsRight(all)).to.be.at.most(8);
  });

  it("because their spill files were changed: nobody gets a wrong byte", async () => {
    const all = await spilled();
    for (const path of spillFiles()) {
      const file = openSync(path, "r+");
      for (let at = 12_345; at < statSync(path).size; at += MIB) writeSync(file, "changed!", at);
      closeSync(file);
    }
    expect(await readsRight(all)).to.be.within(1, 8);
  });

  it("because their spill files were cut off: nobody gets a wrong byte, and nobody dies of it", async () => {
    const all = await spilled();
    for (const path of spillFiles()) {
      const file = openSync(path, "r+");
      ftruncateSync(file, 4096);
      closeSync(file);
    }
    expect(await readsRight(all)).to.be.within(1, 8);
  });

  it("because their files in shared memory were overwritten: results may be made again, the rest is lost", async () => {
    const all = new Map<ObjectRef<Bytes>, { piece: Piece; kind: "put" | "result" }>();
    for (let seed = 0; seed < 4; seed++) {
      const piece = { seed, length: 2 * MIB };
      const made = seed % 2 === 0 ? await put(content(piece)) : pieces.make.remote(piece);
      await wait([made]);
      all.set(made, { piece, kind: seed % 2 === 0 ? "put" : "result" });
    }
    const spared = await put(content({ seed: 9, length: 2 * MIB }));
    const here = (await listing(test.node(0))).objects.map(({ object }) => object);
    for (const { id } of all.keys()) {
      expect(here).to.contain(id);
      const file = openSync(join(test.storeDir(0), id), "r+");
      writeSync(file, Buffer.alloc(128, 0xee), 0, 128, 0);
      closeSync(file);
    }
    expect(await readsRight(all, "any")).to.be.within(2, 4);
    expectContent(await get(spared), { seed: 9, length: 2 * MIB });
    spared.release();
  });
});
