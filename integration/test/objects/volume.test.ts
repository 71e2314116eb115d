/** Far more than fits into memory: it goes to disk and comes back. */
import { expect } from "chai";
import { get, put, type ObjectRef } from "stingray";
import { eventually } from "stingray/testing";
import { KIB, MIB, StoreCluster, bytesBelow, everythingIsFreed, figures } from "../support/stores.js";
import { expectContent, content, randomFrom, shuffled, type Piece } from "./programs/content.js";
import * as pieces from "./programs/pieces.js";

const FULL = process.env["STINGRAY_TEST_FULL"] === "1";
const STORE = (FULL ? 512 : 128) * MIB;
const DATA = 8 * STORE;
const LARGEST = (FULL ? 64 : 24) * MIB;
const SEED = 4;
const IN_FLIGHT = 4;

describe(`${DATA / MIB} MiB of objects in a store of ${STORE / MIB} MiB${FULL ? "" : " (4096 in 512 with STINGRAY_TEST_FULL=1)"}`, function () {
  this.timeout(FULL ? 240_000 : 60_000);
  let test: StoreCluster;
  before(async () => {
    test = await StoreCluster.start({ objectStoreMemory: STORE, cpus: 2 });
  });
  after(() => test.end());

  it("are all there, and right, in another order; the disk is free again afterwards", async () => {
    const random = randomFrom(SEED);
    const made: { piece: Piece; ref: ObjectRef<Uint8Array> }[] = [];
    for (let bytes = 0, seed = 0; bytes < DATA; seed++) {
      const piece = { seed, length: Math.floor(MIB + random() * (LARGEST - MIB)) };
      const ref = random() < 0.5 ? await put(content(piece)) : pieces.make.remote(piece);
      made.push({ piece, ref });
      bytes += piece.length;
    }
    await eventually(async () => (await figures(test.node(0).node)).objects === made.length, {
      message: "everything is made",
      timeoutMs: FULL ? 120_000 : 30_000,
    });
    const { used, onDisk, spilledTotal } = await figures(test.node(0).node);
    expect(used).to.be.at.most(STORE);
    expect(onDisk).to.be.at.least(DATA - STORE);
    expect(spilledTotal).to.be.above(0);
    expect(bytesBelow(test.spillDir)).to.be.at.least(DATA - STORE);

    const order = shuffled(made, SEED);
    const readers = Array.from({ length: IN_FLIGHT }, async (_, reader) => {
      for (const [i, { piece, ref }] of order.entries()) {
        if (i % IN_FLIGHT !== reader) continue;
        if (reader % 2 === 0) expectContent(await get(ref), piece);
        else await get(pieces.check.remote(ref, piece));
      }
    });
    await Promise.all(readers);
    for (const { ref } of made) ref.release();
    await everythingIsFreed();
    await eventually(() => bytesBelow(test.spillDir) < 64 * KIB, "nothing is on disk");
  });
});
