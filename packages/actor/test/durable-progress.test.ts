/** What of a durable mailbox has run: whatever is fed again, late, or by another agent, each call counts once. */
import { expect } from "chai";
import { TaskStatus, type KeptAnswer, type KeptBatch, type KeptCall } from "@stingray/protocol";
import { MailboxProgress, type OpenCall } from "../src/durable/progress.js";
import { ProducerBook } from "../src/durable/producers.js";
import { CallIds, MOST_IDS } from "../src/durable/call-ids.js";
import { MOST_UNHEARD } from "../src/durable/unheard.js";

const DAY = 24 * 3_600_000;

const call = (number: number, callId?: string): KeptCall => [
  number,
  number + 500,
  "add",
  new Uint8Array([1]),
  1,
  0,
  undefined,
  callId,
];
const batch = (producer: string, ...calls: KeptCall[]): KeptBatch => [1, producer, undefined, calls];
const ok = (open: OpenCall, value = 1): KeptAnswer => [
  open.call[0],
  open.call[1],
  TaskStatus.Ok,
  [[0, new Uint8Array([value])]],
  1,
  undefined,
];

/** What is to be run of a message. */
function runs(progress: MailboxProgress, revision: number, kept: KeptBatch): OpenCall[] {
  return progress
    .arrive(revision, kept, 0)
    .flatMap((arrival) => (arrival.kind === "run" ? [arrival.open] : []));
}
const saved = (progress: MailboxProgress): Uint8Array => progress.encode(progress.row(0, false));
const again = (progress: MailboxProgress): MailboxProgress => MailboxProgress.decode(saved(progress));
const numbers = (calls: readonly OpenCall[]): number[] => calls.map(({ call: [number] }) => number);

describe("the progress of a durable mailbox", () => {
  it("is the revision below which all has ended", () => {
    const progress = new MailboxProgress();
    const first = runs(progress, 3, batch("d1", call(1), call(2)));
    const second = runs(progress, 7, batch("d1", call(3)));
    for (const open of second) progress.end(open, ok(open));
    expect(progress.position).to.equal(0);
    for (const open of first) progress.end(open, ok(open));
    expect(progress.position).to.equal(7);
  });

  it("knows after a restart what had ended above the position", () => {
    const progress = new MailboxProgress();
    const [one, two] = runs(progress, 1, batch("d1", call(1), call(2)));
    const [three] = runs(progress, 2, batch("d1", call(3)));
    for (const open of [two, three]) progress.end(open as OpenCall, ok(open as OpenCall));
    const next = again(progress);
    expect(next.position).to.equal(0);
    expect(numbers(runs(next, 1, batch("d1", call(1), call(2))))).to.deep.equal([1]);
    expect(numbers(runs(next, 2, batch("d1", call(3))))).to.deep.equal([]);
    expect(numbers(runs(next, 3, batch("d1", call(4))))).to.deep.equal([4]);
    void one;
  });

  it("has few bytes for one call that runs below a hundred thousand that have ended", () => {
    const progress = new MailboxProgress();
    const long = runs(progress, 1, batch("d1", call(1)));
    for (let i = 2; i <= 100_010; i++) {
      for (const open of runs(progress, i, batch("d1", call(i)))) progress.end(open, ok(open));
      progress.unheard.remove("d1", i);
    }
    expect(saved(progress).byteLength).to.be.below(100);
    let next = again(progress);
    expect(numbers(runs(next, 1, batch("d1", call(1))))).to.deep.equal([1]);
    expect(runs(next, 2, batch("d1", call(2), call(3)))).to.have.length(0);
    next = again(next);
    const [open, ...others] = runs(next, 1, batch("d1", call(1)));
    expect(others).to.deep.equal([]);
    expect(runs(next, 2, batch("d1", call(2), call(100_010)))).to.have.length(0);
    expect(next.position).to.equal(0);
    next.end(open as OpenCall, ok(open as OpenCall));
    expect(next.position).to.equal(2);
    expect(numbers(runs(again(next), 3, batch("d1", call(100_011))))).to.deep.equal([100_011]);
    void long;
  }).timeout(20_000);

  it("drops what an old agent appends again, or late, however long that takes", () => {
    let progress = new MailboxProgress();
    for (const open of runs(progress, 1, batch("d1", call(1), call(2), call(3))))
      progress.end(open, ok(open));
    expect(runs(progress, 2, batch("d1", call(2), call(3)))).to.have.length(0);
    expect(progress.position).to.equal(2);
    progress = again(again(progress));
    expect(runs(progress, 3, batch("d1", call(1)))).to.have.length(0);
    // A batch that overlaps: only what is new of it runs.
    expect(numbers(runs(progress, 4, batch("d1", call(3), call(4))))).to.deep.equal([4]);
    // Numbers of one that were never kept leave a gap, which is closed for good.
    expect(numbers(runs(progress, 5, batch("d1", call(9))))).to.deep.equal([9]);
    expect(runs(progress, 6, batch("d1", call(7)))).to.have.length(0);
  });

  it("keeps processes apart", () => {
    const progress = new MailboxProgress();
    expect(numbers(runs(progress, 1, batch("d1", call(1))))).to.deep.equal([1]);
    expect(numbers(runs(progress, 2, batch("d2", call(1))))).to.deep.equal([1]);
  });

  it("keeps answers until they were heard, and says of large ones that they were lost", () => {
    const progress = new MailboxProgress();
    const [small, large] = runs(progress, 1, batch("d1", call(1), call(2)));
    progress.end(small as OpenCall, ok(small as OpenCall, 42));
    const bytes = new Uint8Array(1 << 20);
    progress.end(large as OpenCall, [2, 502, TaskStatus.Ok, [[0, bytes]], 1, undefined]);
    const next = again(progress);
    const kept = next.unheard.all().map(({ answer: [number, , status] }) => [number, status]);
    expect(kept).to.deep.equal([
      [1, TaskStatus.Ok],
      [2, TaskStatus.Failed],
    ]);
    next.unheard.remove("d1", 1);
    next.unheard.remove("d1", 2);
    expect(again(next).unheard.size).to.equal(0);
  });

  it("keeps small what nobody hears, and still tells everybody", () => {
    const progress = new MailboxProgress();
    for (let i = 1; !progress.full; i++)
      for (const open of runs(progress, i, batch("d1", call(i)))) progress.end(open, ok(open));
    const count = progress.unheard.size;
    progress.unheard.setGone("d1", 77);
    expect(saved(progress).byteLength).to.be.below(192 * 1024);
    const next = again(again(progress));
    expect(next.unheard.goneAt("d1")).to.equal(77);
    const kept = next.unheard.all();
    expect(kept.map(({ answer: [number] }) => number)).to.deep.equal(
      Array.from({ length: count }, (_, i) => i + 1),
    );
    expect(kept[0]?.lost).to.equal(true);
    expect(kept.at(-1)?.lost).to.equal(undefined);
  });

  it("fits into what is stored beside a state, whatever has happened", () => {
    const progress = new MailboxProgress();
    const processes = Array.from({ length: 2_000 }, (_, i) => `w${(1e12 + i * 7919).toString(36)}abcd`);
    let revision = 0;
    const take = (producer: string, kept: KeptCall, value: Uint8Array): void => {
      const [open] = runs(progress, ++revision, batch(producer, kept)) as [OpenCall];
      progress.end(open, [kept[0], kept[1], TaskStatus.Ok, [[0, value]], 1, undefined]);
    };
    for (const id of processes) {
      take(id, call(1e9, `id ${id}`), new Uint8Array(900));
      progress.unheard.remove(id, 1e9);
    }
    // Each second answer of one caller, so that no two lie beside each other; then one of each caller.
    for (let i = 0; i < MOST_UNHEARD; i++) take("wbusy", call(1e9 + 2 * i, `more ${i}`), new Uint8Array(100));
    expect(saved(progress).byteLength).to.be.within(100 * 1024, 512 * 1024);
    for (const id of processes) take(id, call(1e9 + 1), new Uint8Array(100));
    const { byteLength } = saved(progress);
    expect(byteLength).to.be.within(100 * 1024, 512 * 1024);
  }).timeout(20_000);

  it("runs one of all calls with an id, and tells all of them how it ended", () => {
    const progress = new MailboxProgress();
    const [first] = runs(progress, 1, batch("d1", call(1, "transfer 1")));
    expect(runs(progress, 2, batch("d2", call(5, "transfer 1")))).to.have.length(0);
    const told = progress.end(first as OpenCall, ok(first as OpenCall, 9));
    expect(
      told.map(({ producer, answer: [number, sequence] }) => [producer, number, sequence]),
    ).to.deep.equal([
      ["d1", 1, 501],
      ["d2", 5, 505],
    ]);
    expect(progress.position).to.equal(2);
    const next = again(progress);
    const [known] = next.arrive(3, batch("d3", call(1, "transfer 1")), 0);
    expect(known?.kind).to.equal("known");
    if (known?.kind === "known") expect(known.answer?.[3]).to.deep.equal([[0, new Uint8Array([9])]]);
    expect(next.position).to.equal(3);
  });

  it("runs the next with an id where the first was cancelled before it began", () => {
    const progress = new MailboxProgress();
    const [first] = runs(progress, 1, batch("d1", call(1, "x")));
    expect(runs(progress, 2, batch("d2", call(1, "x"), call(2, "x")))).to.deep.equal([]);
    const cancelled: KeptAnswer = [1, 501, TaskStatus.Cancelled, [], 0, undefined];
    const { told, instead } = progress.withdraw(first as OpenCall, cancelled);
    expect(told.map(({ producer }) => producer)).to.deep.equal(["d1"]);
    expect(instead).to.include({ producer: "d2", revision: 2 });
    expect(progress.position).to.equal(1);
    const next = again(progress);
    expect(numbers(runs(next, 2, batch("d2", call(1, "x"), call(2, "x"))))).to.deep.equal([1]);
    const all = progress.end(instead as OpenCall, ok(instead as OpenCall));
    expect(all.map(({ producer, answer }) => [producer, answer[0]])).to.deep.equal([
      ["d2", 1],
      ["d2", 2],
    ]);
    expect(progress.position).to.equal(2);
  });

  it("gives a call with an id to those who asked while it ran, also after a restart", () => {
    const progress = new MailboxProgress();
    runs(progress, 1, batch("d1", call(1, "x")));
    runs(progress, 2, batch("d2", call(1, "x")));
    const next = again(progress);
    const [first] = runs(next, 1, batch("d1", call(1, "x")));
    expect(runs(next, 2, batch("d2", call(1, "x")))).to.have.length(0);
    expect(next.end(first as OpenCall, ok(first as OpenCall))).to.have.length(2);
  });

  it("counts how often suspects were begun", () => {
    let progress = new MailboxProgress();
    for (let tries = 1; tries <= 3; tries++) {
      const [open] = runs(progress, 1, batch("d1", call(1)));
      progress.suspect(open as OpenCall);
      expect(open?.tries).to.equal(tries);
      progress = again(progress);
    }
    const [open] = runs(progress, 1, batch("d1", call(1)));
    progress.end(open as OpenCall, ok(open as OpenCall));
    expect(again(progress).position).to.equal(1);
  });

  it("begins again where the stream was made anew", () => {
    const progress = new MailboxProgress();
    for (const open of runs(progress, 100, batch("d1", call(1)))) progress.end(open, ok(open));
    const [open] = runs(progress, 1, batch("d1", call(2)));
    expect(progress.position).to.equal(0);
    progress.end(open as OpenCall, ok(open as OpenCall));
    expect(progress.position).to.equal(1);
  });

  it("never runs a call twice nor leaves one out, for any way in which messages are fed again", () => {
    let seed = 12345;
    const random = (n: number): number => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return seed % n;
    };
    for (let round = 0; round < 200; round++) {
      const kept: KeptBatch[] = [];
      const made = new Map<string, number>();
      for (let i = 0; i < 12; i++) {
        const producer = `d${random(3)}`;
        const last = made.get(producer) ?? 0;
        // Sometimes what was appended before comes once more with it.
        const from = Math.max(1, last + 1 - random(3));
        const to = last + 1 + random(3);
        made.set(producer, Math.max(last, to));
        kept.push(batch(producer, ...Array.from({ length: to - from + 1 }, (_, n) => call(from + n))));
      }
      const ran = new Map<string, number>();
      const stored: string[] = [];
      let data: Uint8Array | undefined;
      for (let life = 0; life < 4; life++) {
        const progress = MailboxProgress.decode(data);
        const since: string[] = [];
        const open: OpenCall[] = [];
        const stop = life === 3 ? kept.length : random(kept.length + 1);
        for (let at = progress.position; at < stop; at++) {
          open.push(...runs(progress, at + 1, kept[at] as KeptBatch));
          while (open.length > 0 && random(3) > 0) {
            const [one] = open.splice(random(Math.min(2, open.length)), 1);
            if (one === undefined) break;
            progress.end(one, ok(one));
            since.push(`${one.producer}/${one.call[0]}`);
          }
          if (random(4) === 0) {
            data = saved(progress);
            stored.push(...since.splice(0));
          }
        }
        if (life < 3) continue;
        for (const one of open) {
          progress.end(one, ok(one));
          since.push(`${one.producer}/${one.call[0]}`);
        }
        expect(progress.position).to.equal(kept.length);
        stored.push(...since);
      }
      for (const key of stored) ran.set(key, (ran.get(key) ?? 0) + 1);
      for (const [producer, last] of made)
        for (let n = 1; n <= last; n++) expect(ran.get(`${producer}/${n}`), `${producer}/${n}`).to.equal(1);
    }
  });
});

describe("the producers of a durable mailbox", () => {
  it("are forgotten after a day of silence, not while calls of theirs have not ended", () => {
    const book = new ProducerBook();
    book.arrive("quiet", 1, 0);
    book.end("quiet", 1);
    book.arrive("busy", 1, 0);
    expect(book.rows(2 * DAY).map(([id]) => id)).to.deep.equal(["busy"]);
  });
});

describe("the ids of calls", () => {
  it("are remembered for the last ten thousand, small answers for the last thousand", () => {
    const ids = new CallIds();
    for (let i = 0; i < MOST_IDS + 5; i++) {
      ids.begin(`id ${i}`);
      ids.end(`id ${i}`, [1, 1, TaskStatus.Ok, [[0, new Uint8Array([i % 250])]], 1, undefined]);
    }
    const next = new CallIds();
    next.restore(ids.rows());
    expect(next.get("id 4")).to.equal(undefined);
    expect(next.get("id 5")?.done).to.equal(true);
    expect(next.get("id 5")?.answer).to.equal(undefined);
    expect(next.get(`id ${MOST_IDS + 4}`)?.answer).not.to.equal(undefined);
  });
});
