import { expect } from "chai";
import { Floors } from "../src/floors/floors.js";
import { measureInTurns } from "../src/measure.js";

describe("the floors", () => {
  it("measure the bare broker and the bare socket, one call at a time and many in flight", async function () {
    this.timeout(30_000);
    const floors = await Floors.start();
    try {
      const turns = { rounds: 1, seconds: 0.1 };
      const sync = await measureInTurns(floors.subjects("sync"), turns);
      const inFlight = await measureInTurns(floors.subjects("async"), turns);
      expect([...sync.rounds.keys()]).to.deep.equal(["nats", "unix", "unixAwake"]);
      expect([...inFlight.rounds.keys()]).to.deep.equal(["nats", "unix"]);
      for (const [name, [rate]] of inFlight.rounds) {
        expect(rate, name).to.be.greaterThan(sync.rounds.get(name)?.[0] ?? Infinity);
      }
    } finally {
      await floors.stop();
    }
  });
});
