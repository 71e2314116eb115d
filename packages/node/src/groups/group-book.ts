/** The groups table as this agent knows it, and what the scheduler asks of it. */
import type { GroupRow, Row, Table } from "@stingray/gcs-kv";
import type { GroupPlacement } from "@stingray/scheduler";
import { RowBook } from "../controller/row-book.js";
import { nextGroupRow, type GroupEvent } from "./group-machine.js";

export type GroupEntry = Row<GroupRow>;

export class GroupBook extends RowBook<GroupRow, GroupEvent> {
  /** Asked for here and not written down yet, or refused: why. */
  private readonly coming = new Map<string, string | undefined>();

  static async open(table: Table<GroupRow>): Promise<GroupBook> {
    return new GroupBook(table, await table.watch(), nextGroupRow);
  }

  /** Undefined where there is such a row already. */
  create(value: GroupRow): Promise<GroupEntry | undefined> {
    return this.createAt(value.group, value);
  }

  /** A group is about to be written: who asks for it has to wait for that. `refused`: it never will be. */
  expect(group: string, refused?: string): void {
    this.coming.set(group, refused);
    if (this.coming.size <= REMEMBERED) return;
    const [oldest] = this.coming.keys();
    if (oldest !== undefined) this.coming.delete(oldest);
  }

  /** Why a group that was asked for here will never be made; undefined where that was not decided. */
  refusal(group: string): string | undefined {
    return this.coming.get(group);
  }

  /** For the scheduler: where the bundles are. */
  placement(group: string): GroupPlacement {
    const row = this.get(group)?.value;
    if (row === undefined) {
      if (!this.coming.has(group)) return { kind: "unknown" };
      const refused = this.coming.get(group);
      return refused === undefined
        ? { kind: "pending", reason: "it is being written down" }
        : { kind: "removed", reason: `was never made: ${refused}` };
    }
    if (this.coming.get(group) === undefined) this.coming.delete(group);
    switch (row.state) {
      case "PENDING":
        return { kind: "pending", reason: row.cause?.message ?? "its bundles are being reserved" };
      case "REMOVED":
        return { kind: "removed", reason: `was removed: ${row.cause?.message ?? "no reason given"}` };
      case "CREATED":
      case "RESCHEDULING":
        return { kind: "placed", nodes: row.nodes, bundles: row.bundles };
    }
  }
}

/** Groups that were asked for and never became a row. */
const REMEMBERED = 1_000;
