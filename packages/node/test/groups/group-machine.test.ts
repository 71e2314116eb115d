import type { GroupRow } from "@stingray/gcs-kv";
import {
  StingrayError,
  encodeError,
  newAgentId,
  newGroupId,
  newJobId,
  newNodeId,
  type GroupStrategy,
} from "@stingray/protocol";
import { expect } from "chai";
import { nextGroupRow } from "../../src/groups/group-machine.js";

const cause = encodeError(new StingrayError("because"));
const [here, there] = [newAgentId(), newAgentId()];
const [a, b, c] = [newNodeId(), newNodeId(), newNodeId()];
const row = (o: Partial<GroupRow> = {}): GroupRow => ({
  group: newGroupId(),
  job: newJobId(),
  detached: false,
  namespace: "test",
  strategy: "SPREAD",
  bundles: [{ CPU: 1 }, { CPU: 1 }],
  state: "PENDING",
  nodes: ["", ""],
  agent: here,
  ...o,
});
const placed = (nodes: Record<number, string>, agent = here) =>
  ({
    kind: "placed",
    agent,
    nodes: new Map(Object.entries(nodes).map(([i, n]) => [Number(i), n])),
  }) as const;
const lost = (node: string) =>
  ({ kind: "lost", agent: there, isLost: (at: string) => at === node, cause }) as const;

describe("placement groups: states of a row", () => {
  it("is created whole, by the agent that claims it, and not twice", () => {
    const pending = row({ cause });
    expect(nextGroupRow(pending, placed({ 0: a }))).to.equal(undefined);
    expect(nextGroupRow(pending, placed({ 0: a, 1: b }, there))).to.equal(undefined);
    const created = nextGroupRow(pending, placed({ 0: a, 1: b }));
    expect(created).to.include({ state: "CREATED" }).and.not.have.property("cause");
    expect(created?.nodes).to.deep.equal([a, b]);
    expect(nextGroupRow(created as GroupRow, placed({ 0: b, 1: a }))).to.equal(undefined);
    expect(nextGroupRow(created as GroupRow, { kind: "claimed", agent: there })).to.equal(undefined);
    expect(nextGroupRow(pending, { kind: "claimed", agent: there })).to.include({ agent: there });
  });

  it("loses what was on a node, all of it where it must be on one, and gets back what is missing then", () => {
    const created = (strategy: GroupStrategy, nodes: string[]): GroupRow =>
      row({ strategy, state: "CREATED", nodes });
    const half = nextGroupRow(created("SPREAD", [a, b]), lost(a)) as GroupRow;
    expect(half).to.include({ state: "RESCHEDULING", agent: there });
    expect(half.nodes).to.deep.equal(["", b]);
    // The other one is lost while the first is being placed: what was reserved counts, and it goes on.
    const none = nextGroupRow(half, lost(b)) as GroupRow;
    const again = nextGroupRow(none, placed({ 0: c }, there)) as GroupRow;
    expect(again).to.include({ state: "RESCHEDULING" });
    expect(again.nodes).to.deep.equal([c, ""]);
    expect(nextGroupRow(again, placed({ 1: a }, there))).to.deep.include({ state: "CREATED", nodes: [c, a] });
    expect(nextGroupRow(created("STRICT_PACK", [a, a]), lost(a))?.nodes).to.deep.equal(["", ""]);
    expect(nextGroupRow(created("SPREAD", [a, b]), lost(c))).to.equal(undefined);
  });

  it("says what it waits for, once for each reason, and nothing changes what is removed", () => {
    const waits = { kind: "waits", agent: here, cause } as const;
    const told = nextGroupRow(row(), waits) as GroupRow;
    expect(told.cause).to.deep.equal(cause);
    expect(nextGroupRow(told, waits)).to.equal(undefined);
    const removed = nextGroupRow(row({ state: "CREATED", nodes: [a, b] }), {
      kind: "removed",
      cause,
    }) as GroupRow;
    expect(removed).to.deep.include({ state: "REMOVED", nodes: ["", ""] });
    for (const event of [placed({ 0: a, 1: b }), lost(a), waits, { kind: "removed", cause } as const]) {
      expect(nextGroupRow(removed, event)).to.equal(undefined);
    }
  });
});
