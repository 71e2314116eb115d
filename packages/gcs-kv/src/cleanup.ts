/** What goes when a job has ended. */
import { TABLES, keepsState, type JobId, type TableName } from "@stingray/protocol";
import { removeRows } from "./remove-rows.js";
import type { ActorRow } from "./rows.js";
import { ActorStates } from "./states.js";
import type { Row, Tables } from "./table.js";

/** Tables whose keys begin with the job: its rows are removed at one stroke, and nobody watches them. */
export const BULK_TABLES: ReadonlySet<TableName> = new Set<TableName>(["objects", "lineage", "packages"]);

/**
 * @param purge removes all of a bulk table under a prefix and gives their number
 * @param known the rows of its actors; there may be a hundred thousand, so they are not read twice
 */
export async function cleanUpJob(
  tables: Pick<Tables, "table">,
  job: JobId,
  purge: (table: TableName, prefix: string) => Promise<number>,
  known?: readonly Row<ActorRow>[],
): Promise<Record<TableName, number>> {
  const removed = Object.fromEntries(TABLES.map((table) => [table, 0])) as Record<TableName, number>;
  const actors = await tables.table("actors");
  const staying = new Set<string>();
  /** Those that may have more rows than one. */
  const rich = new Set<string>();
  const rows: Row<ActorRow>[] = [];
  if (known === undefined) for await (const row of actors.entries()) rows.push(row);
  else for (const row of known) rows.push(row);
  for (const { value } of rows) {
    const { spec, state } = value;
    if (spec.job !== job) continue;
    if (spec.detached && state !== "DEAD") staying.add(spec.actor);
    else if (keepsState(spec)) rich.add(spec.actor);
  }
  // Before their own rows: whoever takes over from us must know of them.
  if (rich.size > 0) {
    const [states, reminders] = await Promise.all([tables.table("states"), tables.table("reminders")]);
    const saved = new ActorStates(states);
    for (const actor of rich) {
      removed.states += await saved.drop(actor);
      removed.reminders += await reminders.removeWhere(actor, () => true);
    }
  }
  /** Groups that stay; they need nothing else of the job. */
  const lasting = new Set<string>();
  const groups = await tables.table("groups");
  for await (const { value } of groups.entries()) {
    if (value.job === job && value.detached && value.state !== "REMOVED") lasting.add(value.group);
  }
  const ended = async <K extends TableName>(name: K, work: () => Promise<number>): Promise<void> => {
    removed[name] = await work();
  };
  await Promise.all([
    ended("actors", () =>
      removeRows(actors, rows, ({ value }) => value.spec.job === job && !staying.has(value.spec.actor)),
    ),
    ended("names", async () =>
      (await tables.table("names")).removeWhere(
        "",
        ({ value }) =>
          value.job === job && !staying.has(value.actor ?? "") && !lasting.has(value.group ?? ""),
      ),
    ),
    ended("groups", async () =>
      groups.removeWhere("", ({ value }) => value.job === job && !lasting.has(value.group)),
    ),
    // The code that a detached actor runs stays as long as the actor.
    ...[...BULK_TABLES]
      .filter((name) => name !== "packages" || staying.size === 0)
      .map((name) => ended(name, () => purge(name, job))),
  ]);
  // Last: while it is there, whoever takes over from us sees that there is something left to do.
  if (staying.size === 0) {
    const jobs = await tables.table("jobs");
    removed.jobs = await removeOne(jobs, job);
  }
  return removed;
}

async function removeOne(
  table: { get(key: string): Promise<unknown>; delete(key: string): Promise<unknown> },
  key: string,
): Promise<number> {
  if ((await table.get(key)) === undefined) return 0;
  await table.delete(key);
  return 1;
}
