/** Calls that may have ended their process: in their order, each noted before it begins, none blamed for another. */
import { expect } from "chai";
import { Suspects } from "../src/durable/suspects.js";
import type { OpenCall } from "../src/durable/progress.js";

const call = (method: string, tries = 0): OpenCall => ({
  producer: "d1",
  node: undefined,
  revision: 1,
  call: [1, 1, method, new Uint8Array(0), 1, 0, undefined, undefined],
  tries,
});

describe("calls under suspicion", () => {
  let seen: string[];
  let stored: ((stored: boolean) => void)[];
  const suspects = (left: number, blamed?: string): Suspects =>
    new Suspects(left, {
      limit: 3,
      blamed,
      nameOf: ({ call: [, , method] }) => method,
      mark: (open) => {
        open.tries++;
        return new Promise((resolve) => stored.push(resolve));
      },
      begin: ({ call: [, , method] }) => seen.push(method),
      giveUp: ({ call: [, , method] }) => seen.push(`not ${method}`),
    });
  const turn = (): Promise<void> => new Promise((next) => setImmediate(next));
  beforeEach(() => {
    seen = [];
    stored = [];
  });

  it("begin in their order, also those that are not suspicious any more", async () => {
    const line = suspects(1);
    for (const name of ["a", "b", "c"]) line.add(call(name));
    await turn();
    expect(seen).to.deep.equal([]);
    stored[0]?.(true);
    await turn();
    line.add(call("d"));
    expect(seen).to.deep.equal(["a", "b", "c", "d"]);
    line.stop();
  });

  it("begin only when it was noted that they do", async () => {
    const line = suspects(5);
    line.add(call("a"));
    line.add(call("b"));
    stored[0]?.(false);
    await turn();
    expect([seen, stored.length]).to.deep.equal([[], 1]);
  });

  it("are not blamed where it is known that the process ended in another", async () => {
    const line = suspects(5, "boom");
    const innocent = call("slow", 3);
    line.add(innocent);
    line.add(call("boom", 3));
    stored[0]?.(true);
    await turn();
    line.ended(innocent);
    expect(seen).to.deep.equal(["slow", "not boom"]);
    expect(innocent.tries).to.equal(3);
  });
});
