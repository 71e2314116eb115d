/**
 * A table with the newest known row of each key: fed by the table's watch, and at once by this agent's own writes, so
 * that whoever listens here never waits for a write to come back from the broker.
 */
import type { Row, Table, TableCache } from "@stingray/gcs-kv";
import { StingrayError } from "@stingray/protocol";

/** Called with the newest row, or undefined where it was removed, and the one before. */
export type RowListener<R> = (key: string, now: Row<R> | undefined, before: Row<R> | undefined) => void;

/** What a row becomes by an event; undefined where the event makes no sense there (any more). */
export type Transition<R, E> = (row: R, event: E) => R | undefined;

/** Rounds of losing to another writer of the same row before the event counts as stale. */
const ROUNDS = 100;
/** Between tries while the broker is away, in milliseconds. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

export class RowBook<R, E> {
  private readonly newest = new Map<string, Row<R>>();
  private readonly listeners = new Set<RowListener<R>>();
  private stopped = false;

  protected constructor(
    private readonly table: Table<R>,
    private readonly cache: TableCache<R>,
    private readonly next: Transition<R, E>,
  ) {
    for (const row of cache.entries()) this.newest.set(row.key, this.complete(row));
    cache.onChange(({ key, row }) => (row === undefined ? this.forget(key) : this.learn(row)));
  }

  /** The newest row known here. */
  get(key: string): Row<R> | undefined {
    return this.newest.get(key);
  }
  entries(): IterableIterator<Row<R>> {
    return this.newest.values();
  }
  /** All rows that there were when it was asked. @throws TimeoutError, ConnectionError */
  async all(): Promise<Row<R>[]> {
    await this.cache.caughtUp(await this.table.revision());
    return [...this.newest.values()];
  }
  /** As the broker has it now. */
  async fetch(key: string): Promise<Row<R> | undefined> {
    const row = await this.table.get(key);
    if (row !== undefined) this.learn(row);
    return row;
  }

  /** Undefined where there is such a row already. */
  protected async createAt(key: string, value: R): Promise<Row<R> | undefined> {
    const written = await this.table.create(key, value);
    if (!written.ok) return undefined;
    const entry = { key, value, revision: written.revision };
    this.learn(entry);
    return entry;
  }

  /**
   * Applies the event to the row as long as it makes sense there, looking again when another write came between, and
   * trying until the broker is back when that is away.
   * @param revision only to the row with this revision
   * @returns the new row, or undefined where the event was stale
   */
  async apply(key: string, event: E, revision?: number): Promise<Row<R> | undefined> {
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        return await this.tryApply(key, event, revision);
      } catch (error) {
        // What happened has happened: a broker that is away only puts off that it is written down.
        if (this.stopped || !(error instanceof StingrayError) || !error.retryable) throw error;
        await new Promise((resolve) => setTimeout(resolve, pause).unref());
      }
    }
  }

  private async tryApply(key: string, event: E, revision: number | undefined): Promise<Row<R> | undefined> {
    let entry = this.newest.get(key) ?? (await this.fetch(key));
    for (let round = 0; entry !== undefined && round < ROUNDS; round++) {
      if (revision !== undefined && entry.revision !== revision) {
        if (entry.revision > revision) return undefined;
        entry = await this.fetch(key); // ours lagged behind the sender's
        continue;
      }
      const next = this.next(entry.value, event);
      if (next === undefined) return undefined;
      const written = await this.table.update(key, next, entry.revision);
      if (written.ok) {
        const won = { key, value: next, revision: written.revision };
        this.learn(won);
        return won;
      }
      entry = written.current;
      if (entry === undefined) this.forget(key);
      else this.learn(entry);
    }
    return undefined;
  }

  /** Removes the row if it is still this one. */
  async remove(entry: Row<R>): Promise<void> {
    const gone = await this.table.delete(entry.key, entry.revision);
    if (gone.ok) this.forget(entry.key);
  }

  onChange(listener: RowListener<R>): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  stop(): Promise<void> {
    this.stopped = true;
    this.listeners.clear();
    return this.cache.stop();
  }

  /** Puts in what follows from the revision. */
  protected complete(row: Row<R>): Row<R> {
    return row;
  }

  private learn(row: Row<R>): void {
    const before = this.newest.get(row.key);
    if (before !== undefined && before.revision >= row.revision) {
      // Our own write, back from the broker: what is known twice is kept once.
      if (before.revision === row.revision) row.value = before.value;
      return;
    }
    this.complete(row);
    this.newest.set(row.key, row);
    for (const listener of this.listeners) listener(row.key, row, before);
  }

  private forget(key: string): void {
    const before = this.newest.get(key);
    if (before === undefined) return;
    this.newest.delete(key);
    for (const listener of this.listeners) listener(key, undefined, before);
  }
}
