/** What actors save: whole, large or small, and never by an incarnation that was replaced. */
import { expect } from "chai";
import { InvalidArgumentError, MAX_STATE, StaleEpochError, newActorId, newJobId } from "@stingray/protocol";
import { ActorStates, MemoryControlStore, type StateRow, type Table } from "../src/mod.js";

const KIB = 1024;

describe("saved states of actors", () => {
  let table: Table<StateRow>;
  let states: ActorStates;
  const job = newJobId();
  let actor: string;
  beforeEach(async () => {
    table = await new MemoryControlStore().table("states");
    states = new ActorStates(table);
    actor = newActorId();
  });

  const bytes = (size: number, seed = 1): Uint8Array => Uint8Array.from({ length: size }, (_, i) => i * seed);
  const failure = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => undefined,
      (error: unknown) => error,
    );
  async function rows(): Promise<number> {
    let count = 0;
    for await (const _ of table.entries()) count++;
    return count;
  }

  it("gives the next incarnation what the last one saved", async () => {
    const first = states.first(actor, job, 3);
    expect(await rows()).to.equal(0);
    await first.save({ state: bytes(10), mailbox: bytes(3) });
    await first.save({ mailbox: bytes(4) });
    const { state, mailbox, writer } = await states.take(actor, job, 5);
    expect(state).to.deep.equal(bytes(10));
    expect(mailbox).to.deep.equal(bytes(4));
    await writer.save({ state: bytes(11) });
    const last = await states.take(actor, job, 5);
    expect([last.state?.length, last.mailbox?.length]).to.deep.equal([11, 4]);
  });

  it("says whether an incarnation may have lived since the mailbox was saved", async () => {
    await states.first(actor, job, 3).save({ mailbox: bytes(3) });
    const next = await states.take(actor, job, 5);
    expect(next.taken).to.equal(undefined);
    await next.writer.save({ state: bytes(2) });
    const after = await states.take(actor, job, 6);
    expect([after.taken, after.mailbox]).to.deep.equal([true, bytes(3)]);
    await after.writer.save({ mailbox: bytes(4) });
    expect((await states.take(actor, job, 7)).taken).to.equal(undefined);
  });

  it("finds nothing where nothing was saved", async () => {
    const { state, mailbox } = await states.take(actor, job, 5);
    expect([state, mailbox]).to.deep.equal([undefined, undefined]);
  });

  it("refuses what an incarnation saves that was replaced, for good", async () => {
    const old = states.first(actor, job, 3);
    await old.save({ state: bytes(1) });
    const { writer } = await states.take(actor, job, 7);
    const error = (await failure(old.save({ state: bytes(2) }))) as StaleEpochError;
    expect(error).to.be.instanceOf(StaleEpochError);
    expect(error.detail).to.deep.equal({ actor, epoch: 3, newest: 7 });
    expect(await failure(states.take(actor, job, 3))).to.be.instanceOf(StaleEpochError);
    await writer.save({ state: bytes(3) });
    expect(await failure(old.save({ state: bytes(2) }))).to.be.instanceOf(StaleEpochError);
    expect((await states.take(actor, job, 8)).state).to.deep.equal(bytes(3));
  });

  it("keeps the first save of an incarnation out that had saved nothing before it was replaced", async () => {
    const old = states.first(actor, job, 3);
    await states.take(actor, job, 4);
    expect(await failure(old.save({ state: bytes(1) }))).to.be.instanceOf(StaleEpochError);
  });

  it("keeps large states in parts, and none of them for longer than needed", async () => {
    const writer = states.first(actor, job, 1);
    const saved = async (epoch: number): Promise<Uint8Array | undefined> =>
      (await states.take(actor, job, epoch)).state;
    const same = async (wanted: Uint8Array): Promise<void> => {
      expect(Buffer.compare((await saved(1)) ?? bytes(0), wanted)).to.equal(0);
    };
    await writer.save({ state: bytes(256 * KIB) });
    expect(await rows()).to.equal(1);
    await writer.save({ state: bytes(3000 * KIB, 7) });
    expect(await rows()).to.equal(7);
    await writer.save({ mailbox: bytes(1) });
    await same(bytes(3000 * KIB, 7));
    await writer.save({ state: bytes(2000 * KIB, 9) });
    expect(await rows()).to.equal(5);
    await same(bytes(2000 * KIB, 9));
    await writer.save({ state: bytes(5) });
    expect(await rows()).to.equal(1);
    await same(bytes(5));
  });

  it("removes parts that were left by an incarnation that ended while it wrote them", async () => {
    const writer = states.first(actor, job, 1);
    await writer.save({ state: bytes(600 * KIB) });
    await table.put(`${actor}.1-9.0`, { part: bytes(5) });
    const taken = await states.take(actor, job, 2);
    expect(taken.state?.length).to.equal(600 * KIB);
    expect(await rows()).to.equal(3);
    await table.put(`${actor}.2-9.0`, { part: bytes(5) });
    expect(await states.drop(actor)).to.equal(4);
    expect(await rows()).to.equal(0);
    expect(await failure(taken.writer.save({ state: bytes(1) }))).to.be.instanceOf(StaleEpochError);
  });

  it("refuses what is too large, and keeps what was there", async () => {
    const writer = states.first(actor, job, 1);
    await writer.save({ state: bytes(5) });
    expect(await failure(writer.save({ state: new Uint8Array(MAX_STATE + 1) }))).to.be.instanceOf(
      InvalidArgumentError,
    );
    expect((await states.take(actor, job, 2)).state).to.deep.equal(bytes(5));
  });
});
