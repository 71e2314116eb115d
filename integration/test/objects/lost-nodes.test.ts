/** Nodes that die with objects on them: copies are used, results are made again, and the rest is said to be lost. */
import { expect } from "chai";
import { ObjectLostError, get, put, wait, type ObjectRef } from "stingray";
import { eventually, rejection } from "stingray/testing";
import { MIB, StoreCluster, everythingIsFreed, figures } from "../support/stores.js";
import { content, expectContent, type Piece } from "./programs/content.js";
import * as pieces from "./programs/pieces.js";

const STORE = 256 * MIB;
const LARGE = 96 * MIB;
interface Made {
  piece: Piece;
  ref: ObjectRef<pieces.Bytes>;
}
/** For a node to be declared dead, and for what was there to be made again. */
const MENDED_MS = 25_000;

describe("nodes that are killed with objects on them", function () {
  this.timeout(60_000);
  let test: StoreCluster;
  let living = 0;
  before(async () => {
    const nodes = Array.from({ length: 4 }, () => ({ cpus: 2 }));
    test = await StoreCluster.start({ objectStoreMemory: STORE, nodes });
    living = nodes.length;
  });
  after(() => test.end());
  afterEach(() => everythingIsFreed());

  /** Each test has one that it may kill. */
  const victim = (): number => --living;
  const kill = (index: number): void => void process.kill(test.node(index).pid, "SIGKILL");
  const near = (index: number): { scheduling: { node: string; soft: boolean } } => ({
    scheduling: { node: test.node(index).node, soft: true },
  });

  it("in the middle of a transfer: results are made again, values of its processes are lost", async () => {
    const dying = victim();
    const [first, second] = [
      { seed: 1, length: LARGE },
      { seed: 2, length: LARGE },
    ];
    const result = pieces.make.options(near(dying)).remote(first);
    const keeper = pieces.Keeper.options(test.on(dying)).remote();
    const { ref: value } = await get(keeper.make.remote("it", second));
    await wait([result]);
    const before = (await figures(test.node(0))).receivedTotal;
    const reads = [get(result, { timeoutMs: MENDED_MS }), get(value, { timeoutMs: MENDED_MS })] as const;
    const settled = Promise.allSettled(reads);
    const elsewhere = pieces.check.options(test.on(1)).remote(result, first);
    await eventually(
      async () => (await figures(test.node(0))).receivedTotal > before,
      "the transfer has begun",
    );
    kill(dying);
    const [made, lost] = await settled;
    expect(made.status, String((made as { reason?: unknown }).reason)).to.equal("fulfilled");
    if (made.status === "fulfilled") expectContent(made.value, first);
    expect(await get(elsewhere, { timeoutMs: MENDED_MS })).to.equal(test.node(1).node);
    // It may have arrived just in time.
    if (lost.status === "fulfilled") expectContent(lost.value, second);
    else expect(lost.reason, String(lost.reason)).to.be.instanceOf(ObjectLostError);
    result.release();
    value.release();
  });

  it("whose results are made again, for everybody who needs them", async () => {
    const dying = victim();
    const results = [30, 31, 32, 33, 34].map((seed) => {
      const piece = { seed, length: 3 * MIB + seed };
      return { piece, ref: pieces.make.options(near(dying)).remote(piece) };
    });
    const [mine, held, argument, nested, source] = results as [Made, Made, Made, Made, Made];
    const derived = pieces.copy.options(near(dying)).remote(source.ref);
    const keeper = pieces.Keeper.options(test.on(1)).remote();
    await get(keeper.keep.remote("it", { ref: held.ref }));
    const refs = [...results.map(({ ref }) => ref), derived];
    await wait(refs, { count: refs.length });
    // What is needed to make it again is kept with it.
    source.ref.release();
    kill(dying);
    const timeoutMs = MENDED_MS;
    const reads = await Promise.all([
      get(mine.ref, { timeoutMs }).then((bytes) => expectContent(bytes, mine.piece)),
      get(keeper.check.remote("it", held.piece), { timeoutMs }),
      get(pieces.check.remote(argument.ref, argument.piece), { timeoutMs }),
      get(pieces.checkHeld.options(test.on(1)).remote({ ref: nested.ref }, nested.piece), { timeoutMs }),
      get(derived, { timeoutMs }).then((bytes) => expectContent(bytes, source.piece)),
    ]);
    expect(reads).to.have.length(5);
    await get(keeper.drop.remote("it"));
    for (const ref of refs) ref.release();
  });

  it("under this very program: what has a second copy is still there, what has none is lost", async () => {
    const piece = { seed: 6, length: 5 * MIB };
    const ref = await put(content(piece), { copies: 2 });
    const single = await put(content(piece));
    kill(0);
    expectContent(await get(ref, { timeoutMs: MENDED_MS }), piece);
    await get(pieces.check.remote(ref, piece), { timeoutMs: MENDED_MS });
    const error = await rejection(get(single, { timeoutMs: MENDED_MS }));
    expect(error, String(error)).to.be.instanceOf(ObjectLostError);
    using result = pieces.make.remote(piece);
    expectContent(await get(result, { timeoutMs: MENDED_MS }), piece);
    ref.release();
    single.release();
  });
});
