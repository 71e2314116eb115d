/** After very many objects of every kind nothing of any is left, in any process. */
import { expect } from "chai";
import { get, kill, put, type ObjectRef } from "stingray";
import { eventually } from "stingray/testing";
import { StoreCluster, MIB, collectEverywhere, everythingIsFreed } from "../support/stores.js";
import * as leaks from "./programs/leaks.js";

const OBJECTS = 200_000;
const BATCH = 2_000;
const LARGE = 16 * 1024; // doubles: 128 KiB

describe(`${OBJECTS} objects`, function () {
  this.timeout(120_000);
  let test: StoreCluster;
  before(async () => {
    test = await StoreCluster.start({ objectStoreMemory: 48 * MIB, nodes: [{ cpus: 2 }, { cpus: 1 }] });
  });
  after(() => test.end());

  it("that were put, returned, nested, passed, kept by actors and dropped leave nothing behind", async () => {
    await makeThem();
    await everythingIsFreed({ timeoutMs: 30_000 });
  });

  async function makeThem(): Promise<void> {
    const hoarders = [0, 1].map((node) => leaks.Hoarder.options(test.on(node)).remote());
    let made = 0;
    const batches: (() => Promise<void>)[] = [
      /** Small values: half of them released, half forgotten. */
      async () => {
        const refs = await Promise.all(Array.from({ length: BATCH }, (_, i) => put({ i })));
        for (const [i, ref] of refs.entries()) if (i % 2 === 0) ref.release();
        expect(await get(refs[1] as ObjectRef<{ i: number }>)).to.deep.equal({ i: 1 });
        made += BATCH;
      },
      /** Results, as arguments of further tasks. */
      async () => {
        const refs = Array.from({ length: BATCH }, (_, i) => leaks.number.remote(i));
        const total = leaks.sum.remote(...refs.slice(0, 50));
        for (const ref of refs.slice(0, BATCH / 2)) ref.release();
        expect(await get(total)).to.equal((49 * 50) / 2);
        await get(refs.slice(BATCH / 2));
        made += BATCH + 1;
      },
      /** Values of workers that this process borrows, and that go on to other workers. */
      async () => {
        const all = Array.from({ length: 4 }, (_, i) =>
          leaks.boxes.options(test.on(i % 2)).remote(BATCH / 4),
        );
        for (const boxes of await get(all)) {
          expect(await get(leaks.sumOfBoxes.remote(boxes))).to.equal(((BATCH / 4 - 1) * (BATCH / 4)) / 2);
          for (const ref of boxes.refs.slice(0, 100)) ref.release();
        }
        made += BATCH + 8;
      },
      /** Kept by actors, of this process and of their own. */
      async () => {
        const refs = await Promise.all(Array.from({ length: BATCH / 2 }, (_, i) => put(i)));
        await get(hoarders.map((hoarder) => hoarder.keep.remote({ refs })));
        await get(
          hoarders.map((hoarder) => hoarder.keep.remote(...refs.slice(0, 20).map((ref) => ({ ref })))),
        );
        for (const ref of refs) ref.release();
        const [, theirs] = await get(hoarders.map((hoarder) => hoarder.make.remote(BATCH / 4)));
        await get(hoarders.map((hoarder) => hoarder.keep.remote(theirs as leaks.Boxes)));
        await get(hoarders.map((hoarder) => hoarder.drop.remote()));
        made += BATCH + 10;
      },
      /** Made by workers, and forgotten there. */
      async () => {
        await get([0, 1].map((node) => leaks.forgetful.options(test.on(node)).remote(BATCH / 2)));
        made += BATCH * 1.1 + 2;
      },
      /** Large ones, put and returned, on both nodes. */
      async () => {
        const refs = Array.from({ length: 12 }, (_, i) => leaks.large.options(test.on(i % 2)).remote(LARGE));
        for (let i = 0; i < 12; i++) refs.push(await put(new Float64Array(LARGE)));
        const lengths = refs.map((ref, i) => leaks.lengthOf.options(test.on((i + 1) % 2)).remote(ref));
        for (const ref of refs.slice(0, 6)) ref.release();
        for (const length of await get(lengths)) expect(length).to.equal(LARGE);
        made += 48;
      },
    ];
    for (let turn = 0; made < OBJECTS; turn++) await batches[turn % batches.length]?.();
    await eventually(async () => {
      await collectEverywhere();
      for (const hoarder of hoarders) {
        const counts = await get(hoarder.counts.remote());
        expect(counts, "objects that the actors know").to.deep.equal({ owned: 0, borrowed: 0 });
      }
      return true;
    }, "the actors have let go");
    for (const hoarder of hoarders) await kill(hoarder);
  }
});
