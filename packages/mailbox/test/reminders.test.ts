/** Reminders are delivered at their time, once each, by whoever has the role; also when that one ends in the middle. */
import { expect } from "chai";
import { MemoryControlStore, type ReminderRow, type Table } from "@stingray/gcs-kv";
import { SerializationError, newActorId, newJobId, type KeptCall } from "@stingray/protocol";
import { ReminderBook, ReminderRunner, VirtualClock, type ReminderHooks } from "../src/mod.js";

const DAY = 86_400_000;

describe("reminders", () => {
  let table: Table<ReminderRow>;
  let clock: VirtualClock;
  let book: ReminderBook;
  let delivered: string[];
  let dead: Set<string>;
  let failures: number;
  const ends: (() => Promise<void>)[] = [];
  const job = newJobId();
  const actor = newActorId();
  const call: KeptCall = [0, 0, "tick", new Uint8Array([1]), 1, 0, undefined, undefined];

  beforeEach(async () => {
    table = await new MemoryControlStore().table("reminders");
    clock = new VirtualClock(Date.parse("2026-01-01T00:00:00Z"));
    book = new ReminderBook(table, clock);
    delivered = [];
    dead = new Set();
    failures = 0;
  });
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
  });

  const hooks: ReminderHooks = {
    deliver: async (_row, [, , method, , , , , id]) => {
      await Promise.resolve();
      delivered.push(`${method} ${id?.split("/").slice(0, 2).join("/")} ${id?.split("/").at(-1)}`);
    },
    isGone: async (one) => dead.has(one),
    refused: async (_row, [, , method], { code }) => void delivered.push(`${method} ${code}`),
    failed: () => failures++,
  };
  async function reign(with_: Partial<ReminderHooks> = {}): Promise<() => Promise<void>> {
    const over = new AbortController();
    const run = ReminderRunner.run(table, clock, { ...hooks, ...with_ }, over.signal);
    await new Promise((turn) => setImmediate(turn));
    const end = async (): Promise<void> => {
      over.abort();
      await run;
    };
    ends.push(end);
    return end;
  }
  const set = (name: string, timing: Parameters<ReminderBook["set"]>[0]["timing"]): Promise<number> =>
    book.set({ actor, job, name, call, timing });
  const keys = async (): Promise<string[]> => {
    const found = [];
    for await (const row of table.entries()) found.push(row.key);
    return found;
  };

  it("come once, every so often or by cron, each occurrence with an id of its own", async () => {
    await reign();
    await set("once", { delayMs: 100 });
    await set("often", { everyMs: 40 });
    await clock.advanceTo(clock.now() + 100);
    expect(delivered).to.deep.equal([
      "tick reminder/often 0",
      "tick reminder/often 1",
      "tick reminder/once 0",
    ]);
    await book.cancel(actor, "often");
    await set("noon", { cron: "0 12 * * *" });
    await clock.advanceTo(clock.now() + 2 * DAY);
    expect(delivered.slice(3)).to.deep.equal(["tick reminder/noon 0", "tick reminder/noon 1"]);
    const [noon] = await book.list(actor);
    expect(noon).to.include({ name: "noon", method: "tick", fired: 2, cron: "0 12 * * *" });
    expect(await keys()).to.have.length(1);
  });

  it("that can't be kept are removed, and told of", async () => {
    await reign({ deliver: () => Promise.reject(new SerializationError("too large")) });
    await set("large", { everyMs: 10 });
    await clock.advanceTo(clock.now() + 100);
    expect(delivered).to.deep.equal(["tick SERIALIZATION"]);
    expect(await keys()).to.deep.equal([]);
    expect(failures).to.equal(0);
  });

  it("of the same name replace each other, and can be taken back", async () => {
    await reign();
    await set("a", { delayMs: 10 });
    await set("a", { delayMs: 50 });
    await set("b", { delayMs: 10 });
    expect(await book.cancel(actor, "b")).to.equal(true);
    expect(await book.cancel(actor, "b")).to.equal(false);
    await clock.advanceTo(clock.now() + 20);
    expect(delivered).to.deep.equal([]);
    await clock.advanceTo(clock.now() + 30);
    expect(delivered).to.deep.equal(["tick reminder/a 0"]);
  });

  it("that were missed while nobody had the role are made up for by one", async () => {
    await set("often", { everyMs: 40 });
    await set("once", { delayMs: 10 });
    await clock.advanceTo(clock.now() + 1_000);
    await reign();
    await clock.advanceTo(clock.now() + 1);
    expect(delivered).to.deep.equal(["tick reminder/once 0", "tick reminder/often 0"]);
    await clock.advanceTo(clock.now() + 40);
    expect(delivered.slice(2)).to.deep.equal(["tick reminder/often 1"]);
  });

  it("have the same id again where the one before could not write down that it had delivered", async () => {
    const fail = async (): Promise<never> => {
      throw new Error("the broker is away");
    };
    const over = new AbortController();
    const first = ReminderRunner.run(
      Object.assign(Object.create(table) as Table<ReminderRow>, {
        watch: () => table.watch(),
        entries: () => table.entries(),
        update: fail,
        delete: fail,
      }),
      clock,
      hooks,
      over.signal,
    );
    await set("once", { delayMs: 10 });
    await clock.advanceTo(clock.now() + 10);
    over.abort();
    await first;
    expect(failures).to.equal(1);
    await reign();
    await clock.advanceTo(clock.now() + 1);
    expect(delivered).to.deep.equal(["tick reminder/once 0", "tick reminder/once 0"]);
    expect(await keys()).to.deep.equal([]);
  });

  it("are tried again where they could not be delivered", async function () {
    this.timeout(5_000);
    let broken = true;
    await reign({
      deliver: async (row, one) => {
        if (broken) throw new Error("the broker is away");
        await hooks.deliver(row, one);
      },
    });
    await set("once", { delayMs: 10 });
    await clock.advanceTo(clock.now() + 10);
    expect([delivered.length, failures]).to.deep.equal([0, 1]);
    broken = false;
    while (delivered.length === 0) await new Promise((later) => setTimeout(later, 20));
    expect(delivered).to.deep.equal(["tick reminder/once 0"]);
  });

  it("go with their actor", async () => {
    await reign();
    await set("often", { everyMs: 40 });
    await book.set({ actor: newActorId(), job, name: "other", call, timing: { everyMs: 40 } });
    await book.drop(actor);
    expect(await keys()).to.have.length(1);
    dead.add((await keys())[0]?.split("/")[0] ?? "");
    await clock.advanceTo(clock.now() + 40);
    expect([delivered.length, (await keys()).length]).to.deep.equal([0, 0]);
  });
});
