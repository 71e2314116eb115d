/** Calls are kept in order, through restarts of the broker, and removed when they have run. */
import { expect } from "chai";
import { decodePlain, encodePlain } from "@stingray/broker";
import { connectBroker } from "@stingray/broker/connect";
import { EmbeddedBroker } from "@stingray/broker/server";
import { BrokerLink } from "@stingray/gcs-kv";
import {
  Subjects,
  keptBatch,
  newActorId,
  newDriverId,
  type ActorId,
  type KeptCall,
} from "@stingray/protocol";
import {
  MailboxAppender,
  MailboxLog,
  MailboxReader,
  readAll,
  type KeptMessage,
  type Producer,
} from "../src/mod.js";

const call = (number: number, args = new Uint8Array([number % 250])): KeptCall => [
  number,
  number + 1000,
  "add",
  args,
  1,
  0,
  undefined,
  undefined,
];

async function until(what: string, check: () => boolean): Promise<void> {
  const end = performance.now() + 15_000;
  while (!check()) {
    if (performance.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((later) => setTimeout(later, 5));
  }
}

describe("the log of durable mailboxes", function () {
  this.timeout(30_000);
  let broker: EmbeddedBroker;
  let link: BrokerLink;
  let log: MailboxLog;
  let end: () => Promise<void>;

  const open = async (): Promise<[BrokerLink, MailboxLog, () => Promise<void>]> => {
    const connection = await connectBroker({ ...broker.options, servers: [broker.url] });
    const fresh = await BrokerLink.create(connection, 15_000);
    const options = { link: fresh, subjects: new Subjects(), storage: "file", replicas: 1 } as const;
    return [fresh, new MailboxLog(options), () => connection.close()];
  };

  beforeEach(async () => {
    broker = await EmbeddedBroker.start({});
    [link, log, end] = await open();
  });
  afterEach(async () => {
    await end();
    await broker.stop();
  });

  const producer = (): Producer => ({ id: newDriverId(), node: undefined, wanted: () => true });

  /** Reads the numbers of all calls, in order. */
  const reading = (
    actor: ActorId,
    after = 0,
    room: () => boolean = () => true,
  ): { numbers: number[]; messages: KeptMessage[]; reader: MailboxReader } => {
    const numbers: number[] = [];
    const messages: KeptMessage[] = [];
    const reader = new MailboxReader(link, log, actor, after, {
      take: (message) => {
        if (!room()) return false;
        messages.push(message);
        for (const [number] of keptBatch(decodePlain(message.data), "batch")[3]) numbers.push(number);
        return true;
      },
      restarted: () => numbers.push(-1),
      failed: () => {},
    });
    reader.begin();
    return { numbers, messages, reader };
  };

  it("keeps the calls of a producer in order, in few messages", async () => {
    const actor = newActorId();
    const appender = new MailboxAppender(log);
    const me = producer();
    const kept: Promise<unknown>[] = [];
    for (let n = 1; n <= 1000; n++) kept.push(appender.append(actor, me, [call(n)]));
    await Promise.all(kept);
    const { numbers, messages, reader } = reading(actor);
    await until("all were read", () => numbers.length === 1000);
    expect(numbers).to.deep.equal(Array.from({ length: 1000 }, (_, i) => i + 1));
    expect(messages.length).to.be.lessThan(50);
    reader.stop();
  });

  it("keeps a call once that is asked for again while it waits", async () => {
    const actor = newActorId();
    const appender = new MailboxAppender(log);
    const me = producer();
    await broker.kill();
    const asked = [appender.append(actor, me, [call(1), call(2)])];
    for (let again = 0; again < 50; again++)
      asked.push(appender.append(actor, me, [call(1), call(2), call(3)]));
    await broker.restart();
    expect(await Promise.all(asked)).to.deep.equal(asked.map(() => []));
    const { numbers, reader } = reading(actor);
    await until("all were read", () => numbers.includes(3));
    expect(numbers).to.deep.equal([1, 2, 3]);
    reader.stop();
  });

  it("keeps the newest of the calls that were set aside", async () => {
    const [actor, other] = [newActorId(), newActorId()];
    for (let n = 0; n < 12; n++)
      for (const one of [actor, other])
        await log.setAside(one, Uint8Array.from([n]), `${one}/aside/${n}`, () => true);
    expect(await log.thinAside(actor, 5)).to.equal(7);
    expect(await log.thinAside(actor, 5)).to.equal(0);
    const left = async (one: ActorId): Promise<(number | undefined)[]> =>
      (await readAll(link, log.asideSource(one))).map(({ data }) => data[0]);
    expect(await left(actor)).to.deep.equal([7, 8, 9, 10, 11]);
    expect(await left(other)).to.have.length(12);
  });

  it("refuses what is too large, and keeps what came with it", async () => {
    const actor = newActorId();
    const appender = new MailboxAppender(log);
    const refused = await appender.append(actor, producer(), [
      call(1),
      call(2, new Uint8Array(log.limit)),
      call(3),
    ]);
    expect(refused.map(([number, { code }]) => [number, code])).to.deep.equal([[2, "SERIALIZATION"]]);
    const { numbers, reader } = reading(actor);
    await until("the others were read", () => numbers.length === 2);
    expect(numbers).to.deep.equal([1, 3]);
    reader.stop();
  });

  it("goes on through kill -9 of the broker, with nothing lost and nothing twice", async () => {
    const actors = [newActorId(), newActorId(), newActorId()];
    const appender = new MailboxAppender(log);
    const me = producer();
    const reads = actors.map((actor) => reading(actor));
    const kept: Promise<unknown>[] = [];
    let n = 0;
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 100; i++) {
        n++;
        for (const actor of actors) kept.push(appender.append(actor, me, [call(n)]));
        if (i % 10 === 0) await new Promise((turn) => setImmediate(turn));
        if (i === 50) {
          await broker.kill();
          await broker.restart();
        }
      }
    }
    await Promise.all(kept);
    for (const { numbers, reader } of reads) {
      await until("all were read", () => numbers.length >= n);
      expect(numbers).to.deep.equal(Array.from({ length: n }, (_, i) => i + 1));
      reader.stop();
    }
  });

  it("gives what has not run to the next reader, and removes what has", async () => {
    const actor = newActorId();
    const other = newActorId();
    const me = producer();
    const revisions: number[] = [];
    const appender = new MailboxAppender(log);
    for (let n = 1; n <= 6; n++) {
      await appender.append(actor, me, [call(n)]);
      await appender.append(other, me, [call(n)]);
    }
    const first = reading(actor);
    await until("all were read", () => first.numbers.length === 6);
    for (const { revision } of first.messages) revisions.push(revision);
    first.reader.stop();
    await log.remove(revisions[0] ?? 0);
    await log.remove(revisions[0] ?? 0); // once more is no error
    const second = reading(actor, revisions[2]);
    await until("the rest was read", () => second.numbers.length === 3);
    expect(second.numbers).to.deep.equal([4, 5, 6]);
    second.reader.stop();
    // What was done and lay there still was removed on the way.
    let third = reading(actor);
    await until("only the rest is there", () => {
      if (third.numbers[0] === 4 && third.numbers.length === 3) return true;
      if (third.numbers.length > 0) {
        third.reader.stop();
        third = reading(actor);
      }
      return false;
    });
    third.reader.stop();
    await log.drop(actor);
    const untouched = reading(other);
    await until("the other actor has its calls", () => untouched.numbers.length === 6);
    untouched.reader.stop();
  });

  it("holds little for a receiver that has no room, and loses nothing", async () => {
    const actor = newActorId();
    const me = producer();
    const total = 3_000;
    const kept: Promise<number>[] = [];
    for (let n = 1; n <= total; n++) {
      const data = encodePlain([1, me.id, undefined, [call(n)]]);
      kept.push(log.append(actor, data, `${actor}/${n}`, () => true));
    }
    await Promise.all(kept);
    let room = 10;
    const { numbers, reader } = reading(actor, 0, () => room-- > 0);
    await until("as many as there is room for", () => numbers.length === 10);
    while (numbers.length < total) {
      room = 500;
      reader.more();
      await new Promise((turn) => setImmediate(turn));
    }
    expect(numbers).to.deep.equal(Array.from({ length: total }, (_, i) => i + 1));
    reader.stop();
  });
});
