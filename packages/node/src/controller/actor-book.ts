/** The actors table as this agent knows it. */
import type { ActorRow, Row, Table } from "@stingray/gcs-kv";
import { nextActorRow, type ActorEvent } from "./actor-machine.js";
import { RowBook } from "./row-book.js";

export type ActorEntry = Row<ActorRow>;

export class ActorBook extends RowBook<ActorRow, ActorEvent> {
  static async open(table: Table<ActorRow>): Promise<ActorBook> {
    return new ActorBook(table, await table.watch(), nextActorRow);
  }

  /** Undefined where there is such a row already. */
  create(value: ActorRow): Promise<ActorEntry | undefined> {
    return this.createAt(value.spec.actor, value);
  }
}
