/** What a node keeps of placement groups, by their rows, whatever messages come, do not come, or come late. */
import { MemoryControlStore, type GroupRow } from "@stingray/gcs-kv";
import { StingrayError, encodeError, newAgentId, newGroupId, newJobId, newNodeId } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { BundleBook, ResourceAccount } from "@stingray/scheduler";
import { expect } from "chai";
import { BundleHost } from "../../src/groups/bundle-host.js";
import { GroupBook, type GroupEntry } from "../../src/groups/group-book.js";

describe("placement groups: bundles of a node", () => {
  const node = newNodeId();
  const agent = newAgentId();
  let store: MemoryControlStore;
  let book: GroupBook;
  let account: ResourceAccount;
  let bundles: BundleBook;
  let host: BundleHost;
  let planned: GroupEntry[];

  beforeEach(async () => {
    store = new MemoryControlStore();
    book = await GroupBook.open(await store.table("groups"));
    account = new ResourceAccount({ CPU: 4 });
    bundles = new BundleBook(account);
    planned = [];
    host = new BundleHost(bundles, book, {
      agent,
      node,
      close: (concerns) => {
        bundles.close(concerns);
        bundles.settle();
        return [];
      },
      killWorker: () => undefined,
      worksFor: () => false,
      plan: (entry) => void planned.push(entry),
      changed: () => undefined,
      isOver: () => false,
      isDraining: () => false,
      failed: (what, error) => {
        throw new Error(what, { cause: error });
      },
    });
    book.onChange((group, now) => host.rowChanged(group, now));
  });
  afterEach(async () => {
    host.stop();
    await book.stop();
    await store.close();
  });

  const row = (nodes: string[], o: Partial<GroupRow> = {}): GroupRow => ({
    group: newGroupId(),
    job: newJobId(),
    detached: false,
    namespace: "test",
    strategy: "PACK",
    bundles: nodes.map(() => ({ CPU: 1 })),
    state: "CREATED",
    nodes,
    agent,
    ...o,
  });
  const prepare = ({ group, job, bundles: all }: GroupRow, deadlineMs = 60_000): string | undefined =>
    host.prepare({
      group,
      job,
      detached: false,
      attempt: "1",
      bundles: all.map((resources, index) => ({ index, resources })),
      deadlineMs,
    });
  const free = (): number => account.available["CPU"] ?? 0;

  it("are kept when the row names the node, although nobody says so", async () => {
    const made = row([node, node]);
    prepare(made);
    await (await store.table("groups")).put(made.group, made);
    await eventually(
      () => bundles.of(made.group).every(({ state }) => state === "committed"),
      "both are committed",
    );
    host.cancel(made.group, "1");
    expect(free()).to.equal(2);
    await book.apply(made.group, { kind: "removed", cause: encodeError(new StingrayError("test")) });
    expect(free()).to.equal(4);
  });

  it("are given back at their deadline when no row names the node", async () => {
    const elsewhere = row([newNodeId()]);
    prepare(elsewhere, 10);
    await book.create(elsewhere);
    expect(free()).to.equal(3);
    await eventually(() => free() === 4, "it is given back");
  });

  it("are reserved again when a row names them too late, and reported as lost when that can't be", async () => {
    const late = row([node, node]);
    await book.create(late);
    expect(bundles.of(late.group).map(({ state }) => state)).to.deep.equal(["committed", "committed"]);
    const tooLarge = row([node, newNodeId()], { bundles: [{ CPU: 3 }, { CPU: 1 }] });
    await book.create(tooLarge);
    const entry = await eventually(() => planned[0], "it is planned anew");
    expect(entry.value).to.include({ state: "RESCHEDULING", agent });
    expect(entry.value.nodes).to.deep.equal(["", tooLarge.nodes[1]]);
    expect(free()).to.equal(2);
  });

  it("do not come back for a message about a row that has changed since", async () => {
    const made = row([node]);
    prepare(made);
    await book.create(made);
    const looking = host.commit(made.group);
    await book.apply(made.group, { kind: "removed", cause: encodeError(new StingrayError("test")) });
    await looking;
    host.rowChanged(made.group, book.get(made.group));
    expect(free()).to.equal(4);
    expect(bundles.all()).to.have.length(0);
  });

  it("are looked up before work for them is judged, while they are only prepared", async () => {
    const made = row([node]);
    prepare(made);
    const scheduling = { kind: "group", group: made.group, bundle: 0, capture: false } as const;
    await host.beforeUse(scheduling);
    expect(bundles.accountsFor(scheduling)).to.have.length(0);
    const other = await GroupBook.open(await store.table("groups"));
    await other.create(made);
    await host.beforeUse(scheduling);
    expect(bundles.accountsFor(scheduling)).to.have.length(1);
    expect(host.beforeUse(scheduling)).to.equal(undefined);
    await other.stop();
  });

  it("go with their job, but for those of detached groups", () => {
    const made = row([node]);
    prepare(made);
    host.prepare({
      group: newGroupId(),
      job: made.job,
      detached: true,
      attempt: "1",
      bundles: [{ index: 0, resources: { CPU: 1 } }],
      deadlineMs: 60_000,
    });
    host.endJob(made.job);
    expect(free()).to.equal(3);
  });
});
