/** The control store as its users see it; what is behind it is a broker or, in unit tests, this process's memory. */
import type { JobId, TableName } from "@stingray/protocol";
import type { Lease } from "./lease.js";
import type { ActorRow, Rows } from "./rows.js";

/** A row with its key and revision. Revisions grow over all writes to a table; one is never given twice. */
export interface Row<T> {
  key: string;
  value: T;
  revision: number;
}

/** How a conditional write ended. Losing a race is a value, not an exception: `current` is what won. */
export type Written<T> = { ok: true; revision: number } | { ok: false; current: Row<T> | undefined };

/** How long a wait may take, and what else ends it. */
export interface WaitOptions {
  /** Milliseconds. Default: the store's `timeoutMs` */
  timeoutMs?: number;
  /** Ends the wait with its reason. */
  signal?: AbortSignal;
}

/** A typed table. All methods reject with ConnectionError when the broker does not answer within `timeoutMs`. */
export interface Table<T> {
  readonly name: TableName;
  /** The row, or nothing. A row that can't be decoded is reported, and is nothing. */
  get(key: string): Promise<Row<T> | undefined>;
  /** Writes only where there is no row. A deleted key may be created again. */
  create(key: string, value: T): Promise<Written<T>>;
  /** Writes only where the row still has this revision. */
  update(key: string, value: T, revision: number): Promise<Written<T>>;
  /** Writes whatever there is. Gives the new revision. */
  put(key: string, value: T): Promise<number>;
  /** Deletes; with `revision` only where the row still has it. Deleting what is not there is no error without it. */
  delete(key: string, revision?: number): Promise<Written<T>>;
  /** The rows under `prefix` (whole tokens; default all) at one moment, oldest first. Read before the first is given. */
  entries(prefix?: string): AsyncIterable<Row<T>>;
  /** A cache of the rows under `prefix`, kept up to date; filled when the promise resolves. Stop it when done. */
  watch(prefix?: string): Promise<TableCache<T>>;
  /** Deletes the rows under `prefix` that the predicate accepts, judging again any that changes meanwhile. Gives their number. */
  removeWhere(prefix: string, predicate: (row: Row<T>) => boolean): Promise<number>;
  /** Of the last write to the table: a cache that has {@link TableCache.caughtUp} with it knows all rows. */
  revision(): Promise<number>;
}

/** One change of a key: its new row, or none where it was deleted. */
export interface Change<T> {
  key: string;
  row: Row<T> | undefined;
}

/** Rows of a table under a prefix, in memory, as of a moment ago. */
export interface TableCache<T> extends AsyncDisposable {
  get(key: string): Row<T> | undefined;
  /** Those under `prefix` (default all), in no promised order. */
  entries(prefix?: string): IterableIterator<Row<T>>;
  /** The latest revision seen. */
  readonly revision: number;
  /** True while the cache knows that it may lag (the broker is gone, or it is reading everything anew). */
  readonly stale: boolean;
  /** Calls back after each change, in the order of the table. Gives a function that ends it. */
  onChange(callback: (change: Change<T>) => void): () => void;
  /**
   * The row at `key` as soon as there is one that the predicate accepts, at once if it is there.
   * @throws TimeoutError; the signal's reason; ConnectionError where the cache is stopped meanwhile
   */
  waitFor(key: string, predicate: (row: Row<T>) => boolean, options?: WaitOptions): Promise<Row<T>>;
  /** Resolves once the cache reflects this revision (a write of one's own, say). @throws as {@link waitFor} */
  caughtUp(revision: number, options?: WaitOptions): Promise<void>;
  /** Ends the watch; what waits on it rejects. Stopping twice is no error. */
  stop(): Promise<void>;
}

/** The tables of one cluster. `ControlStore` is on a broker, `MemoryControlStore` in memory. */
export interface Tables extends AsyncDisposable {
  /** Opens a table, making its bucket on first use. @throws ProtocolError where the bucket has another schema */
  table<K extends TableName>(name: K): Promise<Table<Rows[K]>>;
  /** A lease that any number of holders may compete for. Nothing is written before it is acquired. */
  lease(name: string, holder: string, options: { ttlMs: number }): Lease;
  /**
   * Deletes every row of a job that ended, and says how many in each table. Live detached actors stay, with
   * their names and the job's own row, from which their workers are made; call it again when the last is gone.
   * @param actors the rows of its actors, by one who knows them; default: they are read
   */
  cleanUpJob(job: JobId, actors?: readonly Row<ActorRow>[]): Promise<Record<TableName, number>>;
  /** Stops watches, leases and waits. The connection stays open: it is the caller's. */
  close(): Promise<void>;
}
