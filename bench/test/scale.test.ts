import { expect } from "chai";
import { readdir, readFile } from "node:fs/promises";
import { StingrayError } from "@stingray/protocol";
import { cpuMs, residentBytes } from "../src/scale-sim/load.js";
import { HeldBook } from "../src/scale-sim/held.js";
import { arrivals, KINDS, meanHolds, planNodes, UTILIZATION } from "../src/scale-sim/plan.js";
import { Requester } from "../src/scale-sim/requester.js";
import { quantile } from "../src/scale-sim/rows.js";
import { evennessOf, measureSize } from "../src/scale-sim/size.js";
import { scaleCaseNames } from "../src/scale-sim/suite.js";

const SMALL = { requests: 200, rate: 200, seed: 1 } as const;

describe("the simulated cluster", () => {
  it("has nodes of all kinds and programs at a few plain ones", () => {
    for (const count of [8, 12, 100, 1000]) {
      const nodes = planNodes(count);
      expect(nodes).to.have.length(count);
      expect(new Set(nodes.map(({ node }) => node)).size).to.equal(count);
      expect(new Set(nodes.map(({ kind }) => kind))).to.have.all.keys(
        count > 7 ? ["plain", "gpu", "special"] : [],
      );
      const drivers = nodes.filter(({ driver }) => driver !== undefined);
      expect(drivers.length).to.be.within(2, Math.max(2, 0.04 * count));
      expect(drivers.every(({ kind }) => kind === "plain")).to.equal(true);
    }
  });

  it("is asked the same for the same seed, by each kind its share", () => {
    const nodes = planNodes(100);
    const o = { nodes, requests: 5000, rate: 500 };
    const [one, same, other] = [1, 1, 2].map((seed) => [...arrivals({ ...o, seed })]);
    expect(one).to.deep.equal(same);
    expect(one).not.to.deep.equal(other);
    expect(one?.at(-1)?.at).to.be.within(9_000, 11_000);
    KINDS.forEach(({ share }, kind) => {
      const found = (one ?? []).filter((arrival) => arrival.kind === kind).length / 5000;
      expect(found).to.be.within(share * 0.7, share * 1.3);
    });
    expect(KINDS.reduce((sum, { share }) => sum + share, 0)).to.be.closeTo(1, 1e-9);
  });

  it("holds leases for so long that the wanted share of it is in use", () => {
    const nodes = planNodes(100);
    const holds = meanHolds(nodes, 500, Infinity);
    for (const pool of ["CPU", "GPU", "special"] as const) {
      const all = nodes.reduce((sum, { total }) => sum + (total[pool] ?? 0), 0);
      const used = KINDS.reduce(
        (sum, { share, shape }, kind) =>
          sum + (500 * share * (shape.resources[pool] ?? 0) * (holds[kind] ?? 0)) / 1000,
        0,
      );
      expect(used / all).to.be.closeTo(UTILIZATION[pool], 1e-9);
    }
  });
});

describe("what a node has lent", () => {
  it("shows grants beyond what there is, GPUs that two have, and what is not there at all", () => {
    const book = new HeldBook({ CPU: 2, GPU: 2 }, { zone: "a" });
    book.granted("1", { CPU: 1, GPU: 1 }, { zone: "a" }, [0]);
    book.granted("2", { CPU: 1, GPU: 1 }, {}, [1]);
    expect([book.overcommits, book.misplaced, book.share("CPU")]).to.deep.equal([0, 0, 1]);
    book.returned("2");
    book.returned("2");
    book.granted("3", { GPU: 1 }, {}, [0]);
    expect(book.overcommits).to.equal(1);
    book.granted("4", { CPU: 2 }, {}, []);
    expect(book.overcommits).to.equal(2);
    book.granted("5", { special: 1 }, { zone: "b" }, []);
    expect([book.overcommits, book.misplaced, book.size]).to.deep.equal([3, 2, 4]);
  });
});

describe("a program that asks for leases", () => {
  it("says its level when it changes, gives back what it holds, and at once what nobody wants", () => {
    const log: string[] = [];
    const requester = new Requester("n1", {
      demand: (kind, want, got) => log.push(`demand ${kind} ${want} ${got}`),
      giveBack: (lease, node) => log.push(`back ${lease} ${node}`),
      placed: (kind, _ms, remote) => log.push(`placed ${kind} ${remote}`),
    });
    const arrival = { at: 0, driver: 0, kind: 2, holdMs: 60_000 };
    requester.request(arrival, performance.now());
    requester.request(arrival, performance.now());
    expect(requester.open).to.equal(2);
    requester.granted(2, "l1", "n1");
    requester.granted(2, "l2", "n2");
    requester.granted(2, "l3", "n2");
    requester.end();
    expect(log).to.deep.equal([
      "demand 2 1 0",
      "demand 2 2 0",
      "placed 2 false",
      "placed 2 true",
      "back l3 n2",
      "back l1 n1",
      "back l2 n2",
    ]);
    expect([requester.open, requester.surplus]).to.deep.equal([0, 1]);
  });
});

describe("figures of a simulated cluster", () => {
  it("are those that a share of the values does not exceed", () => {
    const values = Array.from({ length: 200 }, (_, i) => i + 1);
    expect([0.5, 0.99, 1].map((share) => quantile(values, share))).to.deep.equal([100, 198, 200]);
    expect([quantile([], 0.5), quantile([7], 0.99)]).to.deep.equal([0, 7]);
  });

  it("say how even the load is, at each moment by itself", () => {
    expect(evennessOf([])).to.deep.equal({ mean: 0, variation: 0, maxToMean: 0 });
    expect(evennessOf([[0.5, 0.5]])).to.deep.equal({ mean: 0.5, variation: 0, maxToMean: 1 });
    const { variation, maxToMean } = evennessOf([
      [0.2, 0.6],
      [0.6, 0.2],
    ]);
    expect([variation, maxToMean].map((value) => Number(value.toFixed(6)))).to.deep.equal([0.5, 1.5]);
  });

  it("have names of their own", () => {
    const names = scaleCaseNames({ nodes: [100, 1000] });
    expect(new Set(names).size).to.equal(names.length);
    expect(names).to.include.members(["1000 nodes: time to place, p99", "100 nodes: requests forgotten"]);
  });

  it("come from the kernel, and of no process there are none", async () => {
    expect(await cpuMs(process.pid)).to.be.greaterThan(0);
    expect(await residentBytes(process.pid)).to.be.greaterThan(2 ** 20);
    const failure = await cpuMs(2 ** 30).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(StingrayError);
  });
});

describe("twelve schedulers on one broker", function () {
  this.timeout(90_000);
  const quiet = { status: () => undefined, line: () => undefined };

  it("forget nothing, lend nothing twice, get everything back, and leave no process", async () => {
    const before = await children();
    const result = await measureSize({ nodes: 12, ...SMALL, idleSeconds: 0.2 }, quiet);
    expect(result.reasons.join("; ")).to.equal("");
    expect([result.placed, result.forgotten]).to.deep.equal([SMALL.requests, 0]);
    const { overcommits, misplaced, failed, malformed } = result.end.figures;
    expect([overcommits, misplaced, failed, malformed]).to.deep.equal([0, 0, 0, 0]);
    expect(result.end.leaks).to.deep.equal([]);
    expect(result.remote).to.be.within(1, SMALL.requests);
    expect((await children()).filter((pid) => !before.includes(pid))).to.deep.equal([]);
  });

  it("end when they are told to", async () => {
    const before = await children();
    const stop = new AbortController();
    const running = measureSize(
      { nodes: 12, ...SMALL, requests: 100_000, idleSeconds: 0.2 },
      {
        ...quiet,
        status: (text) => void (text.includes("placed") && stop.abort(new StingrayError("enough"))),
      },
      stop.signal,
    );
    const failure = await running.catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(StingrayError).with.property("message", "enough");
    expect((await children()).filter((pid) => !before.includes(pid))).to.deep.equal([]);
  });
});

/** Processes whose parent is this one. */
async function children(): Promise<string[]> {
  const tasks = await readdir("/proc/self/task");
  const lists = await Promise.all(
    tasks.map((task) => readFile(`/proc/self/task/${task}/children`, "utf8").catch(() => "")),
  );
  return lists.join(" ").split(" ").filter(Boolean);
}
