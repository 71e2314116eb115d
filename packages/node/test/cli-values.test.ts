import { InvalidOptionError } from "@stingray/protocol";
import { expect } from "chai";
import { brokerOptionsOf, withoutCredentials } from "../src/cli/connection-options.js";
import { runCommand } from "../src/cli/main.js";
import { table } from "../src/cli/output.js";
import {
  parseBytes,
  parseLabels,
  parseResources,
  parseUrls,
  showBytes,
  showResources,
} from "../src/cli/values.js";

describe("command line, values", () => {
  it("reads amounts of memory", () => {
    const good: [string, number][] = [
      ["1024", 1024],
      ["2GiB", 2 * 1024 ** 3],
      ["512 mib", 512 * 1024 ** 2],
      ["1.5k", 1500],
    ];
    for (const [text, bytes] of good) expect(parseBytes(text), text).to.equal(bytes);
    for (const text of ["", "x", "-1", "2GiBs", "1e3"])
      expect(() => parseBytes(text), text).to.throw(/for example/);
  });

  it("reads resources and labels", () => {
    expect(parseResources(`{"special": 2}`)).to.deep.equal({ special: 2 });
    for (const text of ["", "[1]", `{"a": -1}`, `{"a": "1"}`])
      expect(() => parseResources(text), text).to.throw();
    expect(parseLabels("zone=b, disk=ssd")).to.deep.equal({ zone: "b", disk: "ssd" });
    expect(() => parseLabels("zone")).to.throw(/zone=b/);
  });

  it("reads addresses, one or many", () => {
    expect(parseUrls("nats://a:1, b:2")).to.deep.equal(["nats://a:1", "b:2"]);
    expect(parseUrls("c", ["b"])).to.deep.equal(["b", "c"]);
    expect(() => parseUrls("nats://a b:c:d")).to.throw(/no URL/);
  });

  it("refuses credentials that exclude or need each other", () => {
    const address = ["nats://a"];
    expect(brokerOptionsOf({})).to.equal(undefined);
    expect(brokerOptionsOf({ address, token: "t" })?.auth).to.deep.equal({ token: "t" });
    expect(() => brokerOptionsOf({ address, token: "t", creds: "f" })).to.throw(
      InvalidOptionError,
      /exclude/,
    );
    expect(() => brokerOptionsOf({ address, user: "u" })).to.throw(InvalidOptionError, /together/);
    expect(() => brokerOptionsOf({ address, tlsCert: "f" })).to.throw(InvalidOptionError, /together/);
    expect(() => brokerOptionsOf({ address, creds: "/none" })).to.throw(InvalidOptionError, /can't be read/);
  });

  it("shows amounts, and no credentials", () => {
    expect(showBytes(6.4 * 1024 ** 3)).to.equal("6.4 GiB");
    expect(showBytes(10)).to.equal("10 B");
    expect(showResources({ CPU: 1, memory: 1024 }, { CPU: 2, memory: 2048 })).to.equal(
      "1/2 CPU, 1 KiB/2 KiB memory",
    );
    expect(withoutCredentials("nats://user:pa@ss@host:4222")).to.equal("nats://host:4222");
    expect(withoutCredentials("host:4222")).to.equal("host:4222");
    expect(
      table([
        ["a", "bb"],
        ["ccc", ""],
      ]),
    ).to.equal("a    bb\nccc");
  });

  it("exits with 2 for wrong usage and 0 for help", async () => {
    let shown = "";
    const add = (text: string): void => void (shown += text);
    const out = { say: add, note: add };
    const codes: number[] = [];
    for (const line of ["--version", "start --help", "start --cpus x", "nonsense", "start -x"]) {
      codes.push(await runCommand(line.split(" "), out));
    }
    codes.push(await runCommand(["start", "-a", "nats://x", "--token", "t", "--creds", "f"], out));
    expect(codes).to.deep.equal([0, 0, 2, 2, 2, 2]);
    expect(shown)
      .to.match(/0\.1\.0/)
      .and.to.match(/"x" is no number from 0/);
  });
});
