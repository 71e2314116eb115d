import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { InvalidArgumentError, InvalidOptionError } from "@stingray/protocol";
import { rejection } from "@stingray/protocol/testing";
import { NodeStore, defaultStoreDir, storeRoot, sweepDeadStores } from "../../src/mod.js";
import { Beside, SPILL_NAME } from "../helpers/node.js";
import { place, type Place } from "../helpers/place.js";

const MiB = 1024 * 1024;

describe("the directories of a node's store", function () {
  this.timeout(20_000);

  let at: Place;
  let disk: string;
  beforeEach(() => {
    at = place();
    disk = join(at.path, "disk");
  });
  afterEach(() => {
    rmSync(disk, { recursive: true, force: true });
    at.leave();
  });

  /** A store of a process that was killed; `check`: while it lives. */
  async function killed(dir: string, check?: () => Promise<void>): Promise<void> {
    const other = Beside.fork();
    try {
      expect(await other.tell({ type: "open", dir, disk })).to.equal("open");
      await check?.();
    } finally {
      await other.kill();
    }
  }

  it("close removes both, twice is once", async () => {
    const store = await NodeStore.open({ dir: join(at.path, "node"), capacity: MiB, spill: { dir: disk } });
    expect(existsSync(disk), "not before it is needed").to.equal(false);
    await store.create({ object: "obj.1.0", size: 2 * MiB, client: "a", role: "primary" });
    await store.create({ object: "obj.2.0", size: 100_000, client: "a", role: "primary" });
    expect(readdirSync(join(disk, SPILL_NAME))).to.deep.equal(["node"]);
    await store.close();
    await store.close();
    expect([existsSync(store.dir), readdirSync(disk)]).to.deep.equal([false, []]);
    expect(await rejection(store.lease("a", 5))).to.be.instanceOf(InvalidArgumentError);
  });

  it("close ends what waits", async () => {
    const store = await NodeStore.open({ dir: join(at.path, "node"), capacity: MiB });
    await store.create({ object: "obj.1.0", size: 700_000, client: "a", role: "primary" });
    const waiting = rejection(
      store.create({ object: "obj.2.0", size: 700_000, client: "a", role: "primary" }),
    );
    await store.close();
    expect(await waiting).to.be.instanceOf(Error);
  });

  it("a directory in use, or with other things in it, is refused, and so is a bad capacity", async () => {
    await using store = await NodeStore.open({ dir: join(at.path, "node"), capacity: MiB });
    const again = await rejection(NodeStore.open({ dir: store.dir, capacity: MiB }));
    expect(again).to.be.instanceOf(InvalidOptionError);
    const other = join(at.path, "other");
    mkdirSync(join(other, "important"), { recursive: true });
    expect(await rejection(NodeStore.open({ dir: other, capacity: MiB }))).to.be.instanceOf(
      InvalidOptionError,
    );
    expect(await sweepDeadStores(at.path)).to.deep.equal([]);
    expect(existsSync(join(other, "important"))).to.equal(true);
    rmSync(other, { recursive: true });
    for (const options of [{ capacity: -1 }, { capacity: MiB, spill: { dir: disk, limit: -1 } }]) {
      const refused = await rejection(NodeStore.open({ dir: join(at.path, "x"), ...options }));
      expect(refused).to.be.instanceOf(InvalidOptionError);
    }
  });

  it("what a killed process left is swept, in memory and on disk; a living one's is not", async () => {
    const dir = join(at.path, "killed");
    await killed(dir, async () => {
      expect(await sweepDeadStores(at.path)).to.deep.equal([]);
      expect([existsSync(dir), readdirSync(join(disk, SPILL_NAME))]).to.deep.equal([true, ["killed"]]);
    });
    expect([existsSync(dir), readdirSync(join(disk, SPILL_NAME))]).to.deep.equal([true, ["killed"]]);
    await using store = await NodeStore.open({
      dir: join(at.path, "new"),
      capacity: MiB,
      spill: { dir: disk },
    });
    expect([existsSync(dir), readdirSync(join(disk, SPILL_NAME)), store.used]).to.deep.equal([false, [], 0]);
  });

  it("what a process of another machine has is left alone, and so is what does not say whose it is", async () => {
    const dir = join(at.path, "killed");
    await killed(dir);
    const file = join(dir, ".owner");
    const { host, ...rest } = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    expect(host).to.be.a("string").that.contains(hostname());
    // Another machine was booted another time.
    for (const owner of [{ ...rest, host: `${String(host)}x`, boot: "another" }, rest]) {
      writeFileSync(file, JSON.stringify(owner));
      expect(await sweepDeadStores(at.path)).to.deep.equal([]);
      const taken = await rejection(NodeStore.open({ dir, capacity: MiB, sweep: false }));
      expect(taken).to.be.instanceOf(InvalidOptionError);
    }
    writeFileSync(file, JSON.stringify({ ...rest, host, boot: "before the last boot" }));
    expect(await sweepDeadStores(at.path)).to.deep.equal([dir]);
  });

  it("a dead process's directories can be taken over", async () => {
    const dir = join(at.path, "killed");
    await killed(dir);
    await using over = await NodeStore.open({ dir, capacity: MiB, spill: { dir: disk }, sweep: false });
    expect(readdirSync(over.dir)).to.deep.equal([".owner"]);
    await over.create({ object: "obj.1.0", size: 2 * MiB, client: "a", role: "primary" });
    expect(readdirSync(join(disk, SPILL_NAME, "killed")).sort()).to.deep.equal([".obj.1.0", ".owner"]);
  });

  it("places: shared memory if there is room, else files with a warning", () => {
    const small = storeRoot({ least: Number.MAX_SAFE_INTEGER });
    expect(small.warning).to.contain("objects are kept in files");
    expect(defaultStoreDir("n1", { least: Number.MAX_SAFE_INTEGER }).path).to.equal(join(small.path, "n1"));
    if (process.platform !== "linux") return;
    expect(storeRoot({ least: 1 })).to.deep.equal({ path: `/dev/shm/stingray-${process.getuid?.() ?? 0}` });
  });
});
