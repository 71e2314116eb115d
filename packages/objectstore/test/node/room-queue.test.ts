import { expect } from "chai";
import { eventually } from "@stingray/protocol/testing";
import { RoomQueue, type Request } from "../../src/node/room-queue.js";
import { KiB, MiB, Node, refused } from "../helpers/node.js";

describe("creations that wait for room", function () {
  this.timeout(20_000);

  /** Lacks bytes until `free` has given them. */
  function request(bytes: number, disk: boolean): Request<string> & { free(bytes: number): void } {
    let missing = bytes;
    return {
      attempt: () => (missing <= 0 ? Promise.resolve("memory") : undefined),
      missing: () => missing,
      giveUp: disk ? () => Promise.resolve("disk") : undefined,
      full: () => new Error("full"),
      concerns: () => false,
      free: (bytes) => void (missing -= bytes),
    };
  }

  it("go to disk at their deadline even if room is being made all the time; without a disk they fail", async () => {
    const queue = new RoomQueue({ waitMs: 50, deadlineMs: 200, busy: () => true });
    const start = Date.now();
    const ends = [true, false, true].map((disk) =>
      queue.add(request(MiB, disk), undefined).catch((thrown: Error) => thrown.message),
    );
    expect(await Promise.all(ends)).to.deep.equal(["disk", "full", "disk"]);
    expect(Date.now() - start).to.be.within(190, 1500);
    expect(queue.length).to.equal(0);
  });

  it("wait on while what comes free is worth it, and not for crumbs", async () => {
    const queue = new RoomQueue({ waitMs: 150, deadlineMs: 20_000, busy: () => false });
    for (const [crumb, end] of [
      [200, "memory"],
      [5, "disk"],
    ] as const) {
      const wanted = request(1000, true);
      const settled: string[] = [];
      void queue.add(wanted, undefined).then((how) => settled.push(how));
      const falling = setInterval(() => {
        wanted.free(crumb);
        queue.moved();
      }, 60);
      try {
        await eventually(() => settled.length > 0, "it has got its room");
      } finally {
        clearInterval(falling);
      }
      expect(settled).to.deep.equal([end]);
    }
  });

  it("do not wait for small values that are given back one by one", async () => {
    const node = await Node.open({ capacity: 8 * MiB, waitMs: 150, deadlineMs: 15_000 });
    const { store } = node;
    await node.put("held.0", 6 * MiB);
    store.hold("held.0", "reader");
    const leases: number[] = [];
    for (let i = 0; i < 200; i++) leases.push((await store.lease("a", 4 * KiB)).file);
    const files: number[] = [];
    void node.put("obj.1.0", 5 * MiB, { fill: 4 }).then((file) => files.push(file));
    const giving = setInterval(() => store.giveBack("a", leases.splice(0, 1)), 30);
    try {
      await eventually(() => files.length > 0, "it is made");
    } finally {
      clearInterval(giving);
    }
    expect([files, leases.length > 100]).to.deep.equal([[0], true]);
    expect(await node.get("obj.1.0")).to.equal(4);
    store.clientDied("a");
    await node.close();
  });

  it("without a disk, say so at their deadline", async () => {
    const node = await Node.open({ capacity: 8 * MiB, deadlineMs: 200 }, false);
    await node.put("held.0", 6 * MiB);
    expect((await refused(node.put("obj.1.0", 5 * MiB))).detail["used"]).to.equal(node.store.used);
    await node.close();
  });
});
