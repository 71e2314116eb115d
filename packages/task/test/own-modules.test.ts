/** Modules of this library have names of their own on the wire. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import {
  UTIL_MODULE,
  define,
  findDefinition,
  moduleOnWire,
  moduleUrl,
  ownModuleUrl,
} from "../src/internal.js";
import { findInstalled } from "../src/own-modules.js";

describe("modules of this library", () => {
  it("travel by a name, whatever the job's root is, and are found in this installation", async () => {
    expect(moduleOnWire(UTIL_MODULE, "/anywhere")).to.equal(UTIL_MODULE);
    expect(moduleUrl(UTIL_MODULE, "/elsewhere")).to.equal(UTIL_MODULE);
    expect(ownModuleUrl(UTIL_MODULE, "/nowhere")).to.match(/^file:.*\/util\/dist\/src\/mod\.js$/);
    const url = ownModuleUrl(UTIL_MODULE, "/nowhere");
    const { Queue } = (await import(url)) as { Queue: unknown };
    expect(Queue).to.be.a("function");
  });

  it("are found with the job's program where this installation has none", () => {
    const root = realpathSync(mkdtempSync(join(tmpdir(), "st-own-")));
    try {
      const place = join(root, "node_modules", "stingray");
      mkdirSync(place, { recursive: true });
      writeFileSync(
        join(place, "package.json"),
        JSON.stringify({ name: "stingray", type: "module", exports: { "./util": { default: "./util.js" } } }),
      );
      writeFileSync(join(place, "util.js"), "export {};");
      expect(findInstalled({ own: "@stingray/not-there", public: "stingray/util" }, root)).to.equal(
        pathToFileURL(join(place, "util.js")).href,
      );
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });

  it("may be loaded twice in a process, from two installations", async () => {
    const first = class Twice {};
    const second = class Twice {};
    const one = define("class", first, "stingray:test");
    expect(define("class", second, "stingray:test")).to.equal(one);
    expect((await findDefinition(one, "/anywhere")).target).to.equal(first);
  });
});
