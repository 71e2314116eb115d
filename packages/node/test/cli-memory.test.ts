import {
  newDriverId,
  newNodeId,
  newWorkerId,
  objectIdOf,
  type ProcessId,
  type ProcessMemory,
  type StoredObject,
  type StoreListing,
} from "@stingray/protocol";
import { expect } from "chai";
import { reportOf, type MemoryReport } from "../src/cli/memory-report.js";
import { describeMemory, type TextOptions } from "../src/cli/memory-text.js";
import { describeStore, isBusyStore } from "../src/cli/store-line.js";
import type { NodeAnswer } from "../src/cli/store-listings.js";
import { showAge, showCount } from "../src/cli/values.js";
import { someFigures } from "./support/listings.js";
import { someView } from "./support/stand-ins.js";

const MiB = 1024 ** 2;
const [driver, worker, stuck, lost] = [newDriverId(), newWorkerId(), newWorkerId(), newWorkerId()];
const [first, second] = [newNodeId(), newNodeId()];
let sequence = 0;

function stored(owner: ProcessId, size: number, more: Partial<StoredObject> = {}): StoredObject {
  const object = objectIdOf(owner, ++sequence, 0);
  return { object, size, state: "memory", copy: false, pinned: false, ageMs: 5_000, ...more };
}

function answered(node: string, listing: Partial<StoreListing>): NodeAnswer {
  const nothing = { objects: [], more: 0, moreBytes: 0, processes: [], silent: [] };
  return {
    node: someView(node),
    kind: "answered",
    listing: { figures: someFigures(), ...nothing, ...listing },
  };
}

const mine = stored(driver, 4 * MiB, { origin: "main.ts:3:9", pinned: true });
const leaked = stored(driver, MiB, { state: "spilled" });
const theirs = stored(worker, 8 * MiB, { origin: "train.ts:7:1" });
const copy = { ...mine, copy: true };
const ofStuck = stored(stuck, 100);
const ofLost = stored(lost, 2 * MiB, { state: "disk", ageMs: 90_000 });

/** The driver is served by the first node, the workers by the second; what they own lies on both. */
const answers: NodeAnswer[] = [
  answered(first, {
    figures: someFigures({ used: 12 * MiB, leased: MiB, spilledTotal: MiB }),
    objects: [theirs, mine, ofLost, leaked],
    more: 3,
    moreBytes: 30,
    processes: [
      {
        process: driver,
        pid: 41,
        owned: 1,
        borrowed: 1,
        inlineBytes: 10,
        slabBytes: 2 * MiB,
        objects: [
          {
            object: mine.object,
            size: mine.size,
            state: "stored",
            owned: true,
            handles: 2,
            pins: 1,
            borrowers: 0,
          },
          {
            object: theirs.object,
            size: 0,
            state: "stored",
            owned: false,
            handles: 1,
            pins: 0,
            borrowers: 0,
          },
        ],
      },
    ],
  }),
  answered(second, {
    objects: [copy, ofStuck],
    processes: [
      // More than it names.
      { process: worker, pid: 42, owned: 5, borrowed: 0, inlineBytes: 0, slabBytes: 0, objects: [] },
    ],
    silent: [stuck],
  }),
];
const busy: ProcessMemory = {
  process: worker,
  pid: 42,
  owned: 5_000,
  borrowed: 0,
  inlineBytes: 0,
  slabBytes: 0,
  objects: Array.from({ length: 100 }, () => ({
    object: stored(worker, 1).object,
    size: 1,
    state: "inline",
    owned: true,
    handles: 1,
    pins: 0,
    borrowers: 0,
  })),
};
const found = { cluster: "default", servers: ["nats://127.0.0.1:4222"] };
const report = (focus = {}, of = answers): MemoryReport => reportOf(found, of, focus);
const text = (of: MemoryReport, o: Partial<TextOptions> = {}): string =>
  describeMemory(of, { groupBy: "node", limit: 50, statsOnly: false, ...o });
const lineWith = (shown: string, ...parts: string[]): string =>
  shown.split("\n").find((line) => parts.every((part) => line.includes(part))) ?? "";

describe("stingray memory, what it makes of the answers", () => {
  it("finds the owner of an object on whatever node it is, and what it says of references", () => {
    const rows = new Map(report().nodes.flatMap(({ objects }) => objects.map((row) => [row.object, row])));
    expect(rows.get(mine.object)?.owner).to.deep.include({
      process: driver,
      kind: "driver",
      state: "there",
      pid: 41,
    });
    expect(rows.get(mine.object)?.references).to.deep.equal({ handles: 2, pins: 1, borrowers: 0 });
    expect(rows.get(leaked.object)?.references, "its owner names all it has, and not this").to.equal("none");
    expect(rows.get(theirs.object)?.owner).to.deep.include({ process: worker, node: second, pid: 42 });
    expect(rows.get(theirs.object)?.references, "its owner has more than it names").to.equal("unsent");
    expect(rows.get(ofStuck.object)?.owner).to.deep.include({ state: "silent", node: second });
    expect(rows.get(ofLost.object)?.owner.state).to.equal("gone");
  });

  it("does not guess where an owner may have left something out", () => {
    const of = answered(first, { objects: [theirs], processes: [busy] });
    expect(report({}, [of]).nodes[0]?.objects[0]?.references).to.equal(undefined);
  });

  it("calls no owner gone while a node does not answer, and says that", () => {
    const partial = report({}, [...answers, { node: someView(), kind: "failed", reason: "no way there" }]);
    const owners = partial.nodes.flatMap(({ objects }) => objects.map(({ owner }) => owner.state));
    expect(owners).to.include("unknown").and.not.to.include("gone");
    expect(text(partial)).to.match(/does not answer: no way there/);
  });

  it("adds up by owner and by place; copies are no second object", () => {
    const { byOwner, byOrigin } = report();
    expect(byOwner.map(({ process }) => process)).to.deep.equal([worker, driver, lost, stuck]);
    expect(byOwner[1]).to.deep.include({ objects: 2, bytes: 5 * MiB, copyBytes: 4 * MiB });
    expect(byOwner[1]?.memory).to.deep.include({ inlineBytes: 10, slabBytes: 2 * MiB, borrowed: 1 });
    expect(byOwner[3]).to.deep.include({ state: "silent", memory: undefined });
    expect(byOrigin.map(({ origin }) => origin)).to.deep.equal(["train.ts:7:1", "main.ts:3:9", ""]);
    expect(byOrigin[1]).to.deep.include({ objects: 1, bytes: 4 * MiB, copyBytes: 4 * MiB });
  });

  it("looks at one node or one owner", () => {
    const onSecond = report({ node: second });
    expect(onSecond.nodes.map(({ node }) => node)).to.deep.equal([second]);
    expect(onSecond.nodes[0]?.objects[0]?.owner.pid, "its owner is on the other").to.equal(41);
    expect(onSecond.byOwner.map(({ process }) => process)).to.have.members([driver, worker, stuck]);
    const ofDriver = report({ owner: driver });
    expect(ofDriver.nodes.flatMap(({ objects }) => objects).map(({ object }) => object)).to.deep.equal([
      mine.object,
      leaked.object,
      mine.object,
    ]);
    expect(ofDriver.byOwner).to.have.length(1);
  });

  it("shows one line per object, with all that is known", () => {
    const shown = text(report());
    expect(lineWith(shown, mine.object, "copy")).to.match(
      /4 MiB +memory, copy +yes +2 handles, 1 pin +5 s +main\.ts:3:9/,
    );
    expect(lineWith(shown, ofLost.object)).to.match(
      /\(owner gone\).*2 MiB +disk +no +\? +90 s +at an unknown place/,
    );
    expect(lineWith(shown, ofStuck.object)).to.match(/does not answer/);
    expect(lineWith(shown, leaked.object)).to.match(/spilled +no +none/);
    expect(shown).to.match(/12 MiB of 64 MiB used: 1 MiB leased/);
    expect(shown).to.match(/3 further objects of 30 B/);
  });

  it("groups, limits, or shows figures only", () => {
    const byOrigin = text(report(), { groupBy: "origin", limit: 1 });
    expect(byOrigin)
      .to.match(/Objects made train\.ts:7:1:/)
      .and.to.match(/and 1 more object of 4 MiB/);
    const byOwner = text(report(), { groupBy: "owner" });
    expect(byOwner.indexOf(`Objects of driver ${driver}`)).to.be.greaterThan(0);
    expect(byOwner).to.match(/OBJECT +NODE +OWNER/);
    expect(text(report(), { statsOnly: true })).not.to.include("OBJECT");
    expect(text(report({}, [answered(first, {})]))).to.match(/none/);
  });

  it("says of a store in a line what its fill does not show", () => {
    expect(isBusyStore(someFigures({ used: 10, leased: 5, warm: 9 }))).to.equal(false);
    const busy = someFigures({ onDisk: 2 * MiB, lingering: 1024, waiting: 1 });
    expect(isBusyStore(busy)).to.equal(true);
    expect(describeStore(busy)).to.equal(
      "2 MiB on disk, 1 KiB freed but still seen by processes, 1 object waits for room",
    );
  });

  it("writes ages and counts as people do", () => {
    const ages: [number, string][] = [
      [0, "0 ms"],
      [1_500, "1.5 s"],
      [120_000, "2 min"],
      [7_200_000, "2 h"],
      [10 * 86_400_000, "10 d"],
    ];
    for (const [ms, shown] of ages) expect(showAge(ms)).to.equal(shown);
    expect([showCount(1, "pin"), showCount(2, "pin")]).to.deep.equal(["1 pin", "2 pins"]);
  });
});
