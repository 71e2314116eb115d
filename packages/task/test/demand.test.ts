/** What an agent is told of the workers that a queue could use. */
import { expect } from "chai";
import { eventually } from "@stingray/protocol/testing";
import { DemandLevel } from "../src/submit/demand.js";

describe("the level of a demand", () => {
  it("is said once more when leases have come, so that their agent does not ask again if their node is lost", async () => {
    const said: [want: number, got: number][] = [];
    let want = 2;
    const host = {
      want: () => want,
      say: (level: number, got: number) => void said.push([level, got]),
      waits: () => {},
    };
    const level = new DemandLevel(host, 0, 5);
    level.tell();
    want = 0;
    level.granted();
    level.granted();
    level.tell();
    expect(said).to.deep.equal([[2, 0]]);
    await eventually(() => (said.length === 2 ? true : undefined), "it is said again");
    expect(said[1]).to.deep.equal([0, 2]);
    level.stop();
  });
});
