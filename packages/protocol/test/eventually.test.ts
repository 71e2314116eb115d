/** Waiting in tests ends in time, whatever it waits for does. */
import { expect } from "chai";
import { eventually, rejection } from "../src/testing/mod.js";

describe("eventually()", () => {
  it("gives what the check gives, as soon as it is true", async () => {
    let looks = 0;
    const found = await eventually(() => {
      if (++looks < 3) throw new Error("not yet");
      return looks;
    });
    expect(found).to.equal(3);
  });

  it("says what was last in the way", async () => {
    const why = new Error("two are left");
    const error = await rejection(eventually(() => Promise.reject(why), { message: "none", timeoutMs: 20 }));
    expect(error.message).to.contain("none: not within 20 ms (two are left)");
    expect(error.cause).to.equal(why);
  });

  it("keeps its time where the check hangs, and where its pauses are long", async () => {
    const hangs = new Promise<boolean>(() => undefined);
    const error = await rejection(eventually(() => hangs, { timeoutMs: 20 }));
    expect(error.message).to.contain("the first look has not ended");
    await rejection(eventually(() => false, { timeoutMs: 20, intervalMs: 1e9 }));
  });

  it("ends by its signal, also where the check hangs", async () => {
    const stop = new AbortController();
    const waits = [
      eventually(() => new Promise<boolean>(() => undefined), { signal: stop.signal }),
      eventually(() => false, { intervalMs: 1e9, signal: stop.signal }),
    ];
    const reason = new Error("enough");
    setImmediate(() => stop.abort(reason));
    for (const wait of waits) expect(await rejection(wait)).to.equal(reason);
    expect(await rejection(eventually(() => true, { signal: stop.signal }))).to.equal(reason);
  });
});
