/** The actors table as this agent knows it. */
import type { ActorRow, Row, Table } from "@stingray/gcs-kv";
import { nextActorRow, type ActorEvent } from "./actor-machine.js";
import { RowBook } from "./row-book.js";

export type ActorEntry = Row<ActorRow>;

export class ActorBook extends RowBook<ActorRow, ActorEvent> {
  static async open(table: Table<ActorRow>): Promise<ActorBook> {
    return new ActorBook(table, await table.watch(), nextActorRow);
  }

  /** One that was made where it lives with others, by a single write: that is the claim, too, and so gives the epoch. */
  protected override complete(row: ActorEntry): ActorEntry {
    const { value } = row;
    if (value.epoch === 0 && value.state === "ALIVE") value.epoch = row.revision;
    return row;
  }

  /** Undefined where there is such a row already. */
  create(value: ActorRow): Promise<ActorEntry | undefined> {
    return this.createAt(value.spec.actor, value);
  }
}
