/** The order in which a mailbox lets calls in, as rules over random traffic. */
import { expect } from "chai";
import { Mailbox, type QueuedCall } from "../src/mailbox.js";

/** Mulberry32: the same traffic for the same seed. */
function random(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Sent {
  readonly n: number;
  readonly group: string | undefined;
  readonly shared: boolean;
}

// A mailbox only looks at what is queued; the calls themselves are opaque to it.
const entryOf = (sent: Sent): QueuedCall => ({
  call: sent as unknown as QueuedCall["call"],
  shared: sent.shared,
  body: () => undefined,
});
const sentOf = (entry: QueuedCall): Sent => entry.call as unknown as Sent;

describe("a mailbox", () => {
  it("lets one call in at a time, in the order of arrival", () => {
    const mailbox = new Mailbox(1, {});
    for (let n = 0; n < 3; n++) mailbox.add(entryOf({ n, group: undefined, shared: false }));
    for (let n = 0; n < 3; n++) {
      const next = mailbox.next();
      expect(next && sentOf(next.entry).n).to.equal(n);
      expect(mailbox.next()).to.equal(undefined);
      next?.finished();
    }
    expect(mailbox.next()).to.equal(undefined);
    expect(mailbox.queued).to.equal(0);
  });

  it("does not let a reader pass a writer that came first", () => {
    const mailbox = new Mailbox(1, {});
    const kinds = [true, true, false, true];
    kinds.forEach((shared, n) => mailbox.add(entryOf({ n, group: undefined, shared })));
    const readers = [mailbox.next(), mailbox.next()];
    expect(readers.map((next) => next && sentOf(next.entry).n)).to.deep.equal([0, 1]);
    expect(mailbox.next()).to.equal(undefined);
    for (const reader of readers) reader?.finished();
    const writer = mailbox.next();
    expect(writer && sentOf(writer.entry).n).to.equal(2);
    expect(mailbox.next()).to.equal(undefined);
    writer?.finished();
    expect(mailbox.next()).not.to.equal(undefined);
  });

  it("knows its groups", () => {
    const mailbox = new Mailbox(1, { io: 2 });
    expect(mailbox.has("io")).to.equal(true);
    expect(mailbox.has("other")).to.equal(false);
    expect(() => mailbox.add(entryOf({ n: 0, group: "other", shared: false }), "other")).to.throw(RangeError);
  });

  it("takes calls out unstarted, and leaves the others in their order", () => {
    const mailbox = new Mailbox(1, { io: 1 });
    for (let n = 0; n < 10; n++)
      mailbox.add(entryOf({ n, group: n % 2 ? "io" : undefined, shared: false }), n % 2 ? "io" : undefined);
    const odd = mailbox.remove((call) => (call as unknown as Sent).n % 3 === 0);
    expect(odd.map((entry) => sentOf(entry).n).toSorted((a, b) => a - b)).to.deep.equal([0, 3, 6, 9]);
    const order: number[] = [];
    for (let next = mailbox.next(); next !== undefined; next = mailbox.next()) {
      order.push(sentOf(next.entry).n);
      next.finished();
    }
    expect(order.filter((n) => n % 2 === 0)).to.deep.equal([2, 4, 8]);
    expect(order.filter((n) => n % 2 === 1)).to.deep.equal([1, 5, 7]);
  });

  it("says why nothing can start: which of those that run must end, all or any of them", () => {
    const mailbox = new Mailbox(2, {});
    const heldUp = (): unknown => {
      const held = mailbox.heldUpIn();
      const numbers = held?.holders.map((call) => (call as unknown as Sent).n).toSorted((a, b) => a - b);
      return held && [numbers, held.needs, [...held.waiting].length];
    };
    [false, false, false, true, true].forEach((shared, n) =>
      mailbox.add(entryOf({ n, group: undefined, shared })),
    );
    expect(heldUp()).to.equal(undefined);
    const [first, second] = [mailbox.next(), mailbox.next()];
    expect(heldUp()).to.deep.equal([[0, 1], 1, 3]);
    expect([...mailbox.heldUp()]).to.have.length(1);
    first?.finished();
    expect(heldUp()).to.equal(undefined);
    const third = mailbox.next();
    expect(heldUp()).to.deep.equal([[1, 2], 2, 2]);
    for (const one of [second, third]) one?.finished();
    mailbox.next();
    mailbox.next();
    mailbox.add(entryOf({ n: 5, group: undefined, shared: false }));
    expect(heldUp()).to.deep.equal([[3, 4], 2, 1]);
  });

  it("keeps limits, order and exclusion, and lets everything in, for any traffic", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const next = random(seed);
      const limits: Record<string, number> = { "": 1 + Math.floor(next() * 3), io: 2, one: 1 };
      const { "": main = 1, ...groups } = limits;
      const mailbox = new Mailbox(main, groups);
      const running = new Map<Sent, () => void>();
      const started: Sent[] = [];
      const total = 60;
      const check = (sent: Sent): void => {
        const mates = [...running.keys()].filter((other) => other.group === sent.group);
        const exclusive = mates.filter((other) => !other.shared).length;
        if (sent.shared) expect(exclusive, `seed ${seed}`).to.equal(0);
        else {
          expect(exclusive, `seed ${seed}`).to.be.lessThan(limits[sent.group ?? ""] ?? 0);
          expect(
            mates.some((other) => other.shared),
            `seed ${seed}`,
          ).to.equal(false);
        }
      };
      const pump = (): void => {
        for (let got = mailbox.next(); got !== undefined; got = mailbox.next()) {
          const sent = sentOf(got.entry);
          check(sent);
          running.set(sent, got.finished);
          started.push(sent);
        }
      };
      for (let n = 0; n < total || running.size > 0;) {
        if (n < total && next() < 0.6) {
          const group = [undefined, "io", "one"][Math.floor(next() * 3)];
          mailbox.add(entryOf({ n: n++, group, shared: next() < 0.4 }), group);
        } else {
          const all = [...running.keys()];
          const done = all[Math.floor(next() * all.length)];
          if (done !== undefined) {
            running.get(done)?.();
            running.delete(done);
          }
        }
        pump();
      }
      expect(started, `seed ${seed}`).to.have.length(total);
      for (const group of [undefined, "io", "one"]) {
        const order = started.filter((sent) => sent.group === group).map(({ n }) => n);
        expect(order, `seed ${seed}`).to.deep.equal(order.toSorted((a, b) => a - b));
      }
    }
  });
});
