import { expect } from "chai";
import { RestartPauses } from "../../src/controller/restart-pauses.js";

describe("pauses before an actor is restarted", () => {
  it("grow while it ends again and again soon, up to a limit, and are over once it has lived", () => {
    const pauses = new RestartPauses();
    let now = 0;
    const ms: number[] = [];
    for (let i = 0; i < 15; i++) {
      const pause = pauses.next("a", now);
      ms.push(pause.ms);
      now += pause.ms + 300;
    }
    expect(ms.slice(0, 8)).to.deep.equal([0, 0, 0, 0, 0, 100, 200, 400]);
    expect(ms.at(-1)).to.equal(10_000);
    expect(pauses.next("another", now)).to.deep.equal({ ms: 0, inARow: 1 });
    expect(pauses.next("a", now + 20_001)).to.deep.equal({ ms: 0, inARow: 1 });
  });
});
