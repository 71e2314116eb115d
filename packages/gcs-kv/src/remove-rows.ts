/** Deletes many rows, a few at a time. */
import type { Row, Table } from "./table.js";

/** Deletes under way at once. */
const AT_ONCE = 256;

/** Deletes those that the predicate accepts, judging again any that has changed meanwhile. Gives their number. */
export async function removeRows<T>(
  table: Pick<Table<T>, "delete">,
  rows: Iterable<Row<T>>,
  predicate: (row: Row<T>) => boolean,
): Promise<number> {
  const left = [...rows].filter(predicate);
  let removed = 0;
  const remove = async (row: Row<T>): Promise<void> => {
    for (let current: Row<T> | undefined = row; current !== undefined;) {
      const done = await table.delete(current.key, current.revision);
      if (done.ok) {
        removed++;
        return;
      }
      current = done.current !== undefined && predicate(done.current) ? done.current : undefined;
    }
  };
  const next = async (): Promise<void> => {
    for (let row = left.pop(); row !== undefined; row = left.pop()) await remove(row);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, left.length) }, next));
  return removed;
}
