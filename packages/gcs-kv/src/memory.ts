/** The control store in this process's memory: for unit tests of what is built on it. Held to the same tests. */
import {
  ConnectionError,
  encodeToken,
  InvalidArgumentError,
  type Check,
  type JobId,
  type TableName,
} from "@stingray/protocol";
import { RowCache } from "./cache.js";
import { BULK_TABLES, cleanUpJob } from "./cleanup.js";
import { decodeRow, encodeRow } from "./codec.js";
import { checkKey, checkPrefix, isUnder, RESERVED } from "./keys.js";
import { Lease, leaseRow, type LeaseRow } from "./lease.js";
import { ROW_CHECKS, type ActorRow, type Rows } from "./rows.js";
import type { Row, Table, TableCache, Tables, Written } from "./table.js";

export interface MemoryTableOptions<T> {
  name: TableName;
  check: Check<T>;
  /** Default deadline of waits, in milliseconds. Default 10,000 */
  timeoutMs?: number;
  /** @see KvTable */
  reserved?: boolean;
  bulk?: boolean;
  /** Where a callback that threw is told. Default: a warning of the process */
  report?: (error: unknown) => void;
}

/** A table in memory. Rows are kept encoded, so that what would not survive a broker does not survive here either. */
export class MemoryTable<T> implements Table<T> {
  readonly name: TableName;
  readonly #options: MemoryTableOptions<T>;
  readonly #rows = new Map<string, { data: Uint8Array; revision: number }>();
  readonly #caches = new Map<RowCache<T>, string>();
  #revision = 0;
  #closed: ConnectionError | undefined;

  constructor(options: MemoryTableOptions<T>) {
    this.name = options.name;
    this.#options = options;
  }

  async get(key: string): Promise<Row<T> | undefined> {
    this.#check(key);
    return this.#read(key);
  }

  async create(key: string, value: T): Promise<Written<T>> {
    this.#check(key);
    const data = this.#encode(key, value);
    return this.#rows.has(key)
      ? { ok: false, current: this.#read(key) }
      : { ok: true, revision: this.#write(key, data) };
  }

  async update(key: string, value: T, revision: number): Promise<Written<T>> {
    this.#check(key, revision);
    const data = this.#encode(key, value);
    return this.#rows.get(key)?.revision === revision
      ? { ok: true, revision: this.#write(key, data) }
      : { ok: false, current: this.#read(key) };
  }

  async put(key: string, value: T): Promise<number> {
    this.#check(key);
    return this.#write(key, this.#encode(key, value));
  }

  async delete(key: string, revision?: number): Promise<Written<T>> {
    this.#check(key, revision);
    if (revision !== undefined && this.#rows.get(key)?.revision !== revision) {
      return { ok: false, current: this.#read(key) };
    }
    return { ok: true, revision: this.#write(key, undefined) };
  }

  async *entries(prefix = ""): AsyncIterable<Row<T>> {
    this.#open();
    for (const row of this.#list(prefix)) yield row;
  }

  async watch(prefix = ""): Promise<TableCache<T>> {
    this.#open();
    if (this.#options.bulk === true) throw new InvalidArgumentError(`table ${this.name} can't be watched`);
    const cache: RowCache<T> = new RowCache<T>({
      label: `table ${this.name}`,
      timeoutMs: this.#options.timeoutMs ?? 10_000,
      refresh: () => {},
      stop: () => void this.#caches.delete(cache),
      report: this.#options.report ?? ((error) => process.emitWarning(error as Error)),
    });
    cache.replace(new Map(this.#list(prefix).map((row) => [row.key, row])), this.#revision);
    this.#caches.set(cache, prefix);
    return cache;
  }

  async removeWhere(prefix: string, predicate: (row: Row<T>) => boolean): Promise<number> {
    this.#open();
    const rows = this.#list(prefix).filter(predicate);
    for (const { key } of rows) this.#write(key, undefined);
    return rows.length;
  }

  async revision(): Promise<number> {
    this.#open();
    return this.#revision;
  }

  /** As a broker does it: all under the prefix at one stroke, unseen by watchers. */
  purge(prefix: string): number {
    const keys = [...this.#rows.keys()].filter((key) => isUnder(key, prefix));
    for (const key of keys) this.#rows.delete(key);
    return keys.length;
  }

  /** Ends all watches; every later operation fails. */
  close(error: ConnectionError): void {
    this.#closed = error;
    for (const cache of this.#caches.keys()) cache.end(error);
  }

  #write(key: string, data: Uint8Array | undefined): number {
    const revision = ++this.#revision;
    if (data === undefined) this.#rows.delete(key);
    else this.#rows.set(key, { data, revision });
    for (const [cache, prefix] of this.#caches) {
      if (!isUnder(key, prefix)) continue;
      const row = this.#read(key);
      queueMicrotask(() => cache.apply(key, row, revision)); // later, as from a broker
    }
    return revision;
  }

  #read(key: string): Row<T> | undefined {
    const stored = this.#rows.get(key);
    if (stored === undefined) return undefined;
    const { value } = decodeRow(stored.data, this.#options.check, `${this.name}/${key}`);
    return { key, value, revision: stored.revision };
  }

  #list(prefix: string): Row<T>[] {
    checkPrefix(prefix);
    const keys = [...this.#rows.keys()].filter((key) => isUnder(key, prefix) && this.#includes(key));
    const rows = keys.map((key) => this.#read(key)).filter((row) => row !== undefined);
    return rows.toSorted((a, b) => a.revision - b.revision);
  }

  #encode(key: string, value: T): Uint8Array {
    return encodeRow(value, "memory", this.#options.check, `${this.name}/${key}`);
  }
  #includes(key: string): boolean {
    return key.startsWith(RESERVED) === (this.#options.reserved === true);
  }
  #open(): void {
    if (this.#closed !== undefined) throw this.#closed;
  }
  #check(key: string, revision?: number): void {
    this.#open();
    checkKey(key, this.#options.reserved === true);
    if (revision === undefined || (Number.isSafeInteger(revision) && revision > 0)) return;
    throw new InvalidArgumentError(`revision ${revision} must be that of a row, a whole number from 1`);
  }
}

/** All tables in memory; several parts of one test share one store as they would share a broker. */
export class MemoryControlStore implements Tables {
  readonly #tables = new Map<TableName, MemoryTable<unknown>>();
  readonly #leases = new MemoryTable<LeaseRow>({ name: "nodes", check: leaseRow, reserved: true });
  readonly #closed = new AbortController();

  async table<K extends TableName>(name: K): Promise<Table<Rows[K]>> {
    return this.#table(name);
  }

  lease(name: string, holder: string, options: { ttlMs: number }): Lease {
    return new Lease({
      name,
      holder,
      ttlMs: options.ttlMs,
      key: `_lease/${encodeToken(name)}`,
      table: Promise.resolve(this.#leases),
      closed: this.#closed.signal,
    });
  }

  cleanUpJob(job: JobId, actors?: readonly Row<ActorRow>[]): Promise<Record<TableName, number>> {
    return cleanUpJob(this, job, async (table, prefix) => this.#table(table).purge(prefix), actors);
  }

  async close(): Promise<void> {
    const error = new ConnectionError("the control store is closed; open a new one");
    this.#closed.abort(error);
    for (const table of [...this.#tables.values(), this.#leases]) table.close(error);
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #table<K extends TableName>(name: K): MemoryTable<Rows[K]> {
    const found = this.#tables.get(name) as MemoryTable<Rows[K]> | undefined;
    if (found !== undefined) return found;
    const check: Check<Rows[K]> = ROW_CHECKS[name];
    const table = new MemoryTable<Rows[K]>({ name, check, bulk: BULK_TABLES.has(name) });
    this.#tables.set(name, table as MemoryTable<unknown>);
    if (this.#closed.signal.aborted) table.close(this.#closed.signal.reason as ConnectionError);
    return table;
  }
}
