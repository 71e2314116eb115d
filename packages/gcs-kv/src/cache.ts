/** Rows in memory, fed by a watch: lookups, change callbacks and waits. Knows nothing of where rows come from. */
import { ConnectionError, TimeoutError, type StingrayError } from "@stingray/protocol";
import { isUnder } from "./keys.js";
import type { Change, Row, TableCache, WaitOptions } from "./table.js";

/** A wait that stands this long makes the cache read everything anew, in milliseconds; see `refresh`. */
const REFRESH_AFTER_MS = 1000;

/** What the feeder of a cache provides. */
export interface CacheSource {
  /** For error texts, for example `table actors`. */
  readonly label: string;
  /** Default deadline of waits, in milliseconds. */
  readonly timeoutMs: number;
  /** Reads everything anew: a revision that is waited for may have been removed before it was seen. */
  refresh(): void;
  /** Ends the feeding. */
  stop(): void;
  /** A callback threw: the cache goes on, this is where it is told. */
  report(error: unknown): void;
}

interface Waiter {
  /** Settles the wait if it can be; true when settled. */
  check(): boolean;
  fail(error: unknown): void;
}

export class RowCache<T> implements TableCache<T> {
  readonly #source: CacheSource;
  #rows = new Map<string, Row<T>>();
  readonly #listeners = new Set<(change: Change<T>) => void>();
  readonly #waiters = new Set<Waiter>();
  #revision = 0;
  #stale = true;
  #stopped: StingrayError | undefined;

  constructor(source: CacheSource) {
    this.#source = source;
  }

  get revision(): number {
    return this.#revision;
  }
  get stale(): boolean {
    return this.#stale;
  }
  get(key: string): Row<T> | undefined {
    return this.#rows.get(key);
  }
  *entries(prefix = ""): IterableIterator<Row<T>> {
    for (const row of this.#rows.values()) if (isUnder(row.key, prefix)) yield row;
  }

  onChange(callback: (change: Change<T>) => void): () => void {
    const own = (change: Change<T>): void => callback(change); // one callback may be registered twice
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  waitFor(key: string, predicate: (row: Row<T>) => boolean, options: WaitOptions = {}): Promise<Row<T>> {
    return this.#wait(`the row ${key}`, options, () => {
      const row = this.#rows.get(key);
      return row !== undefined && predicate(row) ? row : undefined;
    });
  }

  async caughtUp(revision: number, options: WaitOptions = {}): Promise<void> {
    if (this.#revision >= revision && this.#stopped === undefined) return;
    const timer = setInterval(() => this.#source.refresh(), REFRESH_AFTER_MS);
    try {
      await this.#wait(`revision ${revision}`, options, () =>
        this.#revision >= revision ? true : undefined,
      );
    } finally {
      clearInterval(timer);
    }
  }

  async stop(): Promise<void> {
    this.end(
      new ConnectionError(`the cache of ${this.#source.label} was stopped while something waited on it`),
    );
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Feeder: no more rows will come; every wait ends with `error`. */
  end(error: StingrayError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.#stale = true;
    this.#source.stop();
    this.#listeners.clear();
    for (const waiter of this.#waiters) waiter.fail(error);
  }

  /** Feeder: one change, in order. `row` is absent where the key was deleted (or holds nothing readable). */
  apply(key: string, row: Row<T> | undefined, revision: number): void {
    if (this.#stopped !== undefined) return;
    this.#revision = Math.max(this.#revision, revision);
    const before = this.#rows.get(key);
    if (before !== undefined && before.revision >= revision) return;
    if (row === undefined) this.#rows.delete(key);
    else this.#rows.set(key, row);
    if (row !== undefined || before !== undefined) this.#tell({ key, row });
    this.#settle();
  }

  /** Feeder: everything anew, as of `revision`. Differences to what was known are told as changes. */
  replace(rows: Map<string, Row<T>>, revision: number): void {
    if (this.#stopped !== undefined) return;
    const before = this.#rows;
    this.#rows = rows;
    this.#revision = revision; // not the higher of both: a broker that lost its data counts anew
    this.#stale = false;
    for (const key of before.keys()) if (!rows.has(key)) this.#tell({ key, row: undefined });
    const news = [...rows.values()].filter((row) => before.get(row.key)?.revision !== row.revision);
    news.sort((a, b) => a.revision - b.revision);
    for (const row of news) this.#tell({ key: row.key, row });
    this.#settle();
  }

  /** Feeder: what is here may lag until the next {@link replace}. */
  lag(): void {
    this.#stale = true;
  }

  #tell(change: Change<T>): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#source.report(error);
      }
    }
  }

  #settle(): void {
    for (const waiter of this.#waiters) if (waiter.check()) this.#waiters.delete(waiter);
  }

  #wait<R>(what: string, options: WaitOptions, find: () => R | undefined): Promise<R> {
    const timeoutMs = options.timeoutMs ?? this.#source.timeoutMs;
    const { signal } = options;
    return new Promise<R>((resolve, reject) => {
      if (this.#stopped !== undefined) return reject(this.#stopped);
      if (signal?.aborted === true) return reject(signal.reason as Error);
      let timer: NodeJS.Timeout | undefined;
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter = {
        check: () => {
          let found: R | undefined;
          try {
            found = find();
          } catch (error) {
            waiter.fail(error); // the caller's predicate threw: it is the caller's to know
            return true;
          }
          if (found === undefined) return false;
          end();
          resolve(found);
          return true;
        },
        fail: (error) => {
          end();
          reject(error);
        },
      };
      const onAbort = (): void => waiter.fail(signal?.reason);
      if (waiter.check()) return;
      this.#waiters.add(waiter);
      signal?.addEventListener("abort", onAbort);
      timer = setTimeout(() => {
        const lag = this.#stale ? "; the broker can't be reached" : "";
        waiter.fail(
          new TimeoutError(
            `${this.#source.label} did not show ${what} as wanted within ${timeoutMs} ms ` +
              `(it is at revision ${this.#revision}${lag}); wait again, or longer`,
            { detail: { timeoutMs, revision: this.#revision } },
          ),
        );
      }, timeoutMs);
    });
  }
}
