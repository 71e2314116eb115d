/** Groups that are written down, named and planned although the broker is slow at the wrong moment. */
import { MemoryControlStore, type GroupRow, type NameRow, type Table } from "@stingray/gcs-kv";
import {
  ConnectionError,
  TimeoutError,
  newAgentId,
  newGroupId,
  newJobId,
  type GroupSpec,
} from "@stingray/protocol";
import { eventually, rejection } from "@stingray/protocol/testing";
import { expect } from "chai";
import { GroupBook } from "../../src/groups/group-book.js";
import { GroupDirectory } from "../../src/groups/group-directory.js";
import { GroupKeeper } from "../../src/groups/group-keeper.js";
import { GroupNames } from "../../src/groups/group-names.js";

/** The table, but `create` fails so many times. */
function slow<R>(table: Table<R>, failures: { left: number }): Table<R> {
  return new Proxy(table, {
    get: (target, key) => {
      if (key === "create" && failures.left > 0) {
        return () => {
          failures.left--;
          return Promise.reject(new ConnectionError("the broker did not answer"));
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

describe("placement groups: whom nobody plans", () => {
  const agent = newAgentId();
  let store: MemoryControlStore;
  let book: GroupBook;
  let names: GroupNames;
  let keeper: GroupKeeper;
  let directory: GroupDirectory;
  let planned: string[];
  let rows: { left: number };
  let named: { left: number };
  let failed: string[];

  beforeEach(async () => {
    store = new MemoryControlStore();
    rows = { left: 0 };
    named = { left: 0 };
    planned = [];
    failed = [];
    book = await GroupBook.open(slow<GroupRow>(await store.table("groups"), rows));
    names = new GroupNames(slow<NameRow>(await store.table("names"), named), book);
    const hooks = {
      agent,
      claimMs: 150,
      jobRuns: () => Promise.resolve(true),
      isPlanning: (group: string) => planned.includes(group),
      plan: ({ key }: { key: string }) => void planned.push(key),
      remove: (group: string, reason: string) => directory.remove(group, reason),
      failed: (what: string) => void failed.push(what),
    };
    directory = new GroupDirectory(book, names, hooks);
    keeper = new GroupKeeper(book, names, hooks);
  });
  afterEach(async () => {
    await book.stop();
    await store.close();
  });

  const spec = (): GroupSpec => ({
    group: newGroupId(),
    job: newJobId(),
    detached: false,
    namespace: "test",
    strategy: "PACK",
    bundles: [{ CPU: 1 }],
    name: "one",
  });
  const written = (o: Partial<GroupRow> = {}): GroupRow => ({
    ...spec(),
    state: "PENDING",
    nodes: [""],
    agent,
    ...o,
  });

  it("are written down, and named, at the next try", async () => {
    rows.left = 1;
    const made = spec();
    const asked = [directory.create(made), directory.create(made)];
    expect(book.placement(made.group).kind).to.equal("pending");
    await Promise.all(asked);
    expect(planned).to.deep.equal([made.group]);
  });

  it("are refused where they can't be, and removed should they turn up", async () => {
    named.left = Infinity;
    const made = spec();
    expect(await rejection(directory.create(made))).to.be.instanceOf(TimeoutError);
    await eventually(() => book.get(made.group)?.value.state === "REMOVED", "its row is removed");
    rows.left = Infinity;
    const other = spec();
    expect(await rejection(directory.create(other))).to.be.instanceOf(TimeoutError);
    expect(book.placement(other.group)).to.deep.include({ kind: "removed" });
    // The write got through after all.
    await (await store.table("groups")).create(other.group, written(other));
    await eventually(() => book.get(other.group), "its row is known");
    await keeper.look();
    await keeper.look();
    expect(book.get(other.group)?.value.state).to.equal("REMOVED");
    expect(planned).to.deep.equal([]);
  });

  it("are planned by the agent that their row names, and no others", async () => {
    const [mine, ours] = [written(), written({ agent: newAgentId(), name: "two" })];
    for (const row of [mine, ours]) await book.create(row);
    await keeper.look();
    expect(planned).to.deep.equal([]);
    await keeper.look();
    expect(planned).to.deep.equal([mine.group]);
  });

  it("stay while their name can't be asked for, and go only when another has it", async () => {
    const claimed = written();
    const entry = await book.create(claimed);
    if (entry === undefined) throw new Error("it is there already");
    named.left = 2;
    await keeper.adopt(entry);
    await keeper.look();
    await keeper.look();
    expect(failed).to.have.length(2);
    expect(book.get(claimed.group)?.value.state).to.equal("PENDING");
    await keeper.look();
    expect(planned).to.deep.equal([claimed.group]);
    const late = await book.create(written());
    if (late === undefined) throw new Error("it is there already");
    await keeper.adopt(late);
    expect(book.get(late.key)?.value.state).to.equal("REMOVED");
  });
});
