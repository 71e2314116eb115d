import { readdir, readFile } from "node:fs/promises";
import { expect } from "chai";
import { StingrayError, TimeoutError } from "@stingray/protocol";
import { checkStamp, randomData, readStamp, sizeName, stamp, stampOf } from "../src/data.js";
import { preparedSubject, rateSubject, sampledSubject } from "../src/measure.js";
import { Shared } from "../src/objects/case.js";
import { withDeadline } from "../src/suite.js";
import { CloneThread } from "../src/objects/clone.js";
import { bytesWrittenBy } from "../src/objects/nodes.js";
import { objectCaseNames } from "../src/objects/objects.js";
import { objectSizes } from "../src/objects/sizes.js";
import { TcpStream } from "../src/objects/tcp.js";
import { mean, median } from "../src/stats.js";

const KIB = 1024;
const idle = { async run() {}, async end() {} };

describe("the data that are moved", () => {
  it("show by a stamp whether they are the ones that were sent, and whole", () => {
    const data = randomData(256 * KIB);
    for (const seed of [1, 2, 300]) {
      stamp(data, seed);
      expect(readStamp(data)).to.equal(stampOf(data.length, seed));
      expect(readStamp(data)).not.to.equal(stampOf(data.length, seed + 1));
    }
    checkStamp(data, data.length, 300);
    expect(() => checkStamp(data.subarray(1), data.length, 300)).to.throw(StingrayError);
    data[data.length - 1]! ^= 1;
    expect(() => checkStamp(data, data.length, 300)).to.throw(StingrayError);
  });

  it("are random on every page", () => {
    const data = randomData(130 * 1024 * KIB);
    for (let at = 0; at + 4096 <= data.length; at += data.length >> 4)
      expect(new Set(data.subarray(at, at + 4096)).size).to.be.greaterThan(200);
  });

  it("have sizes with names", () => {
    expect([512, 64 * KIB, 1024 * KIB, 65_536 * KIB].map(sizeName)).to.deep.equal([
      "0.5 KiB",
      "64 KiB",
      "1 MiB",
      "64 MiB",
    ]);
  });
});

describe("figures of samples", () => {
  it("know the middle and the mean", () => {
    expect([median([]), median([3]), median([9, 1, 2]), median([4, 1, 2, 100])]).to.deep.equal([0, 3, 2, 3]);
    expect([mean([]), mean([1, 2, 6])]).to.deep.equal([0, 3]);
  });

  it("are made of the timed parts of a round, at least one", async () => {
    let next = 0;
    const sampling = { sample: async () => ++next, async end() {} };
    const subject = sampledSubject("ours", sampling, (samples) => samples.length * 1000 + (samples[0] ?? 0));
    expect(await subject.round(1e-9)).to.equal(1001);
    expect(await subject.round(1e-9)).to.equal(1002);
  });

  it("are those of a subject that its warm-up prepared, and none is left to end where that failed", async () => {
    const log: string[] = [];
    const good = preparedSubject("ours", async () => {
      log.push("prepared");
      return { ...rateSubject("ours", idle, 1), end: async () => void log.push("ended") };
    });
    expect(log).to.deep.equal([]);
    await good.warmUp(0.001);
    expect(await good.round(0.001)).to.be.greaterThan(0);
    await good.end();
    expect(log).to.deep.equal(["prepared", "ended"]);
    const bad = preparedSubject("ours", () => Promise.reject(new StingrayError("no cluster")));
    const failure = await bad.warmUp(1).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(StingrayError);
    await bad.end();
  });

  it("are given up where a step never ends", async () => {
    const stuck = { ...rateSubject("ours", idle, 1), round: () => new Promise<number>(() => {}) };
    const failure = await withDeadline(stuck, 10)
      .round(0.01)
      .catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(TimeoutError);
  });
});

describe("the suite of objects", () => {
  it("has a name of its own for every case, the same cases at every size", () => {
    const [full, small] = [objectCaseNames({ small: false }), objectCaseNames({ small: true })];
    expect(new Set(full).size).to.equal(full.length);
    expect(small).to.have.length(full.length);
    expect(full).to.include.members([
      "put 64 MiB",
      "get 512 MiB",
      "1 MiB to another process",
      "put small value",
    ]);
  });

  it("never holds more than 6 GiB in stores and sources together", () => {
    const sizes = objectSizes(false);
    const stores = [sizes.store, 2 * sizes.storeOfTwo, (sizes.targets + 1) * sizes.storeOfMany];
    // The source, the copy beside it, and the copies on both sides of a structured clone.
    expect(Math.max(...stores) + 4 * sizes.large).to.be.at.most(6 * 2 ** 30);
    expect((sizes.kept + 2) * sizes.middle).to.be.at.most(sizes.store);
  });

  it("shares a source until a subject drops it", () => {
    let made = 0;
    const shared = new Shared(() => ++made);
    expect([shared.get(), shared.get()]).to.deep.equal([1, 1]);
    shared.drop();
    expect(shared.get()).to.equal(2);
  });
});

describe("what stands beside ours", function () {
  this.timeout(20_000);

  it("is a thread that answers with what it read, or sends the bytes back", async () => {
    const data = randomData(64 * KIB);
    stamp(data, 7);
    const thread = CloneThread.start();
    try {
      expect(await thread.look(data)).to.equal(stampOf(data.length, 7));
      checkStamp(await thread.back(data, 8), data.length, 8);
      checkStamp(data, data.length, 7);
    } finally {
      await thread.stop();
    }
    const failure = await thread.look(data).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(StingrayError);
  });

  it("is a stream from a process that ends with it", async () => {
    const before = await children();
    const stream = await TcpStream.start(3 * 1024 * KIB + 1);
    try {
      for (let i = 0; i < 2; i++) expect(await stream.receive()).to.be.greaterThan(0);
    } finally {
      await stream.stop();
    }
    expect((await children()).filter((pid) => !before.includes(pid))).to.deep.equal([]);
    const failure = await stream.receive().catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(StingrayError);
  });

  it("knows what a process has written, and of none that there is none", async () => {
    const before = await bytesWrittenBy(process.pid);
    const stream = await TcpStream.start(1);
    try {
      await stream.receive();
    } finally {
      await stream.stop();
    }
    expect((await bytesWrittenBy(process.pid)) ?? 0).to.be.greaterThan(before ?? Infinity);
    expect(await bytesWrittenBy(2 ** 30)).to.equal(undefined);
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
