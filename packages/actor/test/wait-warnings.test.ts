import { expect } from "chai";
import { WaitWarnings } from "../src/wait-warnings.js";

describe("warnings of actors that wait", () => {
  it("are given for the first, and counted for the others", async () => {
    const lines: string[] = [];
    let told = (): void => {};
    const summed = new Promise<void>((done) => (told = done));
    const warnings = new WaitWarnings((line) => {
      lines.push(line);
      if (line.includes("more actors wait")) told();
    }, 10);
    for (let i = 0; i < 1_020; i++) warnings.say(`actor ${i}`);
    expect(lines).to.deep.equal(Array.from({ length: 20 }, (_, i) => `actor ${i}`));
    const alive = setInterval(() => {}, 1_000);
    await summed;
    clearInterval(alive);
    expect(lines[20]).to.match(/^1000 more actors wait/);
    warnings.say("later");
    expect(lines.at(-1)).to.equal("later");
  });
});
