/** The queue, entries of objects, definitions, and when collections are worth it. */
import { setImmediate as turn } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { Script } from "node:vm";
import { InvalidArgumentError, type NodeId, type ProcessId } from "@stingray/protocol";
import { expect } from "chai";
import { Fifo } from "../src/fifo.js";
import { Collector } from "../src/objects/collector.js";
import { ObjectEntry } from "../src/objects/entry.js";
import { callerModule, define, moduleOnWire, moduleUrl } from "../src/registry.js";

describe("Fifo", () => {
  it("is the array that it stands for, whatever is done to it", () => {
    const fifo = new Fifo<number>();
    const model: number[] = [];
    let seed = 7;
    const random = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
    for (let step = 0; step < 20_000; step++) {
      const growing = step % 8_000 < 4_000;
      const action = random(growing ? 12 : 20);
      if (action < 9) {
        fifo.push(step);
        model.push(step);
      } else if (action === 9) {
        fifo.unshift(step);
        model.unshift(step);
      } else if (action === 10 && model.length > 0) {
        const item = model[random(model.length)] ?? -1;
        expect(fifo.remove(item)).to.equal(true);
        model.splice(model.indexOf(item), 1);
      } else expect(fifo.shift()).to.equal(model.shift());
      expect([fifo.length, fifo.peek()]).to.deep.equal([model.length, model[0]]);
    }
    expect(fifo.remove(-1)).to.equal(false);
    expect(fifo.drain()).to.deep.equal(model);
    expect([fifo.length, fifo.shift(), fifo.peek()]).to.deep.equal([0, undefined, undefined]);
  });
});

describe("an object's entry", () => {
  const newEntry = (): ObjectEntry => new ObjectEntry("d1" as ProcessId, "n1" as NodeId, true, 3, 1);

  it("takes its value once, and calls back everybody who waits, in order", () => {
    const entry = newEntry();
    const calls: number[] = [];
    const second = (): void => void calls.push(2);
    const third = (): void => void calls.push(3);
    entry.whenReady(() => calls.push(1));
    entry.whenReady(second);
    entry.whenReady(third);
    entry.forget(second);
    expect(entry.settle({ kind: "inline", bytes: new Uint8Array([1]) })).to.equal(true);
    expect(entry.settle({ kind: "inline", bytes: new Uint8Array([2]) })).to.equal(false);
    entry.whenReady(() => calls.push(4));
    expect(calls).to.deep.equal([1, 3, 4]);
    expect(entry.state).to.deep.equal({ kind: "inline", bytes: new Uint8Array([1]) });
  });

  it("can be made pending again, and is held by handles, pins and borrowers", () => {
    const entry = newEntry();
    entry.settle({ kind: "error", bytes: new Uint8Array() });
    entry.reset();
    expect(entry.ready).to.equal(false);
    expect(entry.held).to.equal(false);
    for (const [hold, drop] of [
      [() => entry.handles++, () => entry.handles--],
      [() => entry.pins++, () => entry.pins--],
      [() => (entry.borrowers = new Map([["w1" as ProcessId, 1]])), () => entry.borrowers?.clear()],
    ] as const) {
      hold();
      expect(entry.held).to.equal(true);
      drop();
      expect(entry.held).to.equal(false);
    }
    expect(entry.id).to.equal("d1.3.1");
  });
});

describe("definitions", () => {
  const module = "file:///somewhere/module.js";

  it("have the function's name, the given one, or a position; a second one of a name gets a number", () => {
    const one = (): number => 1;
    expect(define("function", one, module).name).to.equal("one");
    expect(define("function", one, module)).to.equal(define("function", one, module));
    expect(define("function", { one: () => 2 }.one, module).name).to.equal("one~2");
    expect(define("function", { one: () => 3 }.one, module).name).to.equal("one~3");
    expect(define("function", one, module, "given").name).to.equal("given");
    expect(
      define(
        "function",
        (
          () => () =>
            1
        )(),
        module,
      ).name,
    ).to.equal("#0");
    expect(
      define(
        "function",
        (
          () => () =>
            2
        )(),
        module,
      ).name,
    ).to.equal("#1");
    expect(define("function", one, "file:///other.js").name).to.equal("one");
  });

  it("have the hash of their source", () => {
    const make = (): (() => number) => () => 1;
    const [a, b] = [define("function", make(), module), define("function", make(), module)];
    expect(a.hash).to.match(/^[0-9a-f]{16}$/);
    expect(b.hash).to.equal(a.hash);
    expect(define("function", () => 2, module).hash).not.to.equal(a.hash);
  });

  it("know the module that they were made in", () => {
    const here = (): string => callerModule(here);
    expect(here()).to.equal(import.meta.url);
  });

  it("refuse code that is in no file, since nobody else could find it", () => {
    const script = (filename?: string): (() => unknown) => {
      const run = new Script("(make) => make()", filename === undefined ? {} : { filename });
      const call = run.runInThisContext() as (make: () => string) => unknown;
      const make = (): string => callerModule(make);
      return () => call(make);
    };
    const here = pathToFileURL("/work/").href;
    for (const name of [undefined, "[eval]", "[stdin]", `${here}[eval1]`, "data:text/javascript,1", "REPL1"])
      expect(script(name), String(name)).to.throw(InvalidArgumentError, /in no module file.*move it/);
    expect(script("/work/[id].js")()).to.equal(pathToFileURL("/work/[id].js").href);
    expect(script(`${here}a.js?v=1#x`)()).to.equal(`${here}a.js`);
  });

  it("name modules below the job's root relative to it, others by their URL, and find both again", () => {
    for (const path of [
      "/work/job/a.js",
      "/work/job/deep/b.js",
      "/elsewhere/c.js",
      "/work/jobs/d.js",
      "/work/job/..e.js",
    ]) {
      const url = pathToFileURL(path).href;
      expect(moduleUrl(moduleOnWire(url, "/work/job"), "/work/job")).to.equal(url);
    }
    expect(moduleOnWire("file:///work/job/deep/b.js", "/work/job")).to.equal("deep/b.js");
    expect(moduleOnWire("file:///elsewhere/c.js", "/work/job")).to.equal("file:///elsewhere/c.js");
    expect(moduleOnWire("data:text/javascript,1", "/work/job")).to.equal("data:text/javascript,1");
  });
});

describe("collections for the sake of references", () => {
  const MIB = 1024 * 1024;
  /** Whether an object was collected that nothing refers to. */
  async function collectedBy(act: (collector: Collector) => void, atRest: boolean): Promise<boolean> {
    const collector = new Collector({ atRest, alive: () => 1 });
    const probe = new WeakRef(new (class Probe {})());
    await turn(); // a new WeakRef keeps its object for this turn
    act(collector);
    const deadline = performance.now() + (atRest ? 5_000 : 300);
    while (probe.deref() !== undefined && performance.now() < deadline) await turn();
    collector.stop();
    return probe.deref() === undefined;
  }

  it("happen when more than before hangs on them", async () => {
    expect(await collectedBy((c) => c.came(65 * MIB), false)).to.equal(true);
  });

  it("happen when a worker comes to rest", async () => {
    expect(await collectedBy((c) => c.made(), true)).to.equal(true);
  });
});
