/** When reminders come. */
import { expect } from "chai";
import { InvalidOptionError } from "@stingray/protocol";
import { VirtualClock, beginReminder as begin, nextReminder as next } from "../src/mod.js";

const at = (text: string): number => Date.parse(text);

describe("the times of reminders", () => {
  it("begin after a delay, at a time, or after the first interval", () => {
    expect(begin({ delayMs: 5 }, 100)).to.deep.equal({ nextAt: 105, schedule: undefined });
    expect(begin({ at: 50 }, 100)).to.deep.equal({ nextAt: 50, schedule: undefined });
    expect(begin({ everyMs: 7 }, 100)).to.deep.equal({ nextAt: 107, schedule: { everyMs: 7 } });
    expect(begin({ everyMs: 7, delayMs: 1 }, 100).nextAt).to.equal(101);
    expect(begin({ everyMs: 7, at: 300 }, 100).nextAt).to.equal(300);
  });

  it("are refused where they make no sense, with what to do", () => {
    for (const timing of [
      {},
      { delayMs: 1, at: 1 },
      { cron: "* * * * *", everyMs: 5 },
      { cron: "61 * * * *" },
      { cron: "nonsense" },
      { cron: "0 0 1 1 *", timeZone: "Middle/Earth" },
      { timeZone: "UTC", delayMs: 1 },
      { everyMs: 0.5 },
      { cron: "0 0 30 2 *" },
    ])
      expect(() => begin(timing, 0), JSON.stringify(timing)).to.throw(InvalidOptionError);
  });

  it("stay on their grid, and what was missed is made up for by one", () => {
    const schedule = { everyMs: 10 };
    expect(next(schedule, 100, 100)).to.equal(110);
    expect(next(schedule, 100, 103)).to.equal(110);
    expect(next(schedule, 100, 110)).to.equal(120);
    expect(next(schedule, 100, 1_234)).to.equal(1_240);
    expect(next(schedule, 100, 50)).to.equal(110); // a clock that went back
    expect(next(undefined, 100, 100)).to.equal(undefined);
  });

  it("follow cron expressions in UTC, or in a time zone with its summer time", () => {
    const daily = begin({ cron: "30 2 * * *" }, at("2026-03-28T12:00:00Z"));
    expect(daily.nextAt).to.equal(at("2026-03-29T02:30:00Z"));
    const paris = begin({ cron: "0 12 * * *", timeZone: "Europe/Paris" }, at("2026-03-28T00:00:00Z"));
    expect(paris.nextAt).to.equal(at("2026-03-28T11:00:00Z"));
    expect(next(paris.schedule, paris.nextAt, paris.nextAt)).to.equal(at("2026-03-29T10:00:00Z"));
    // Missed for a year: one of them, then the next.
    expect(next(paris.schedule, paris.nextAt, at("2027-01-01T00:00:00Z"))).to.equal(
      at("2027-01-01T11:00:00Z"),
    );
    const seconds = begin({ cron: "*/10 * * * * *" }, at("2026-01-01T00:00:01Z"));
    expect(seconds.nextAt).to.equal(at("2026-01-01T00:00:10Z"));
  });
});

describe("a virtual clock", () => {
  it("stands still, and stops on its way wherever something is due", async () => {
    const clock = new VirtualClock(1_000);
    const seen: [string, number][] = [];
    clock.at(1_050, async () => {
      await Promise.resolve();
      seen.push(["b", clock.now()]);
      clock.at(1_060, () => seen.push(["c", clock.now()]));
    });
    clock.at(1_020, () => seen.push(["a", clock.now()]));
    clock.at(1_030, () => seen.push(["never", 0]))();
    clock.at(2_000, () => seen.push(["later", clock.now()]));
    await Promise.all([clock.advanceTo(1_055), clock.advanceTo(1_100)]);
    expect(seen).to.deep.equal([
      ["a", 1_020],
      ["b", 1_050],
      ["c", 1_060],
    ]);
    await clock.advanceTo(500);
    expect(clock.now()).to.equal(1_100);
  });
});
