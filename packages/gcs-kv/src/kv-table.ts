/** A table on a bucket: rows for bytes, and compare-and-set whose outcome is certain although answers can be lost. */
import { ConnectionError, InvalidArgumentError, type Check, type TableName } from "@stingray/protocol";
import type { Bucket, Entry, Published } from "./bucket.js";
import { decodeRow, encodeRow, newWriteId, type Decoded } from "./codec.js";
import { checkKey, checkPrefix, RESERVED } from "./keys.js";
import type { BrokerLink } from "./link.js";
import { listBucket } from "./listing.js";
import { MarkerSweeper } from "./markers.js";
import type { Row, Table, TableCache, Written } from "./table.js";
import { OwnWrites } from "./own-writes.js";
import { removeRows } from "./remove-rows.js";
import { watch } from "./watch.js";

/** Conditional writes that lose to markers over and over end after this many turns. */
const MAX_TURNS = 100;
/** Rows that are decoded in one turn of the event loop. */
const ROWS_PER_TURN = 200;

export interface KvTableOptions<T> {
  name: TableName;
  link: BrokerLink;
  bucket: Bucket;
  check: Check<T>;
  /** The keys that begin with {@link RESERVED}, and no others. */
  reserved?: boolean;
  /** Rows are removed by prefix, unseen by watchers, so it can't be watched. */
  bulk?: boolean;
  report: (error: unknown) => void;
}

interface Found<T> {
  entry: Entry | undefined;
  row: (Row<T> & Decoded<T>) | undefined;
}

export class KvTable<T> implements Table<T> {
  readonly name: TableName;
  readonly #options: KvTableOptions<T>;
  readonly #markers: MarkerSweeper;
  /** While the table is watched. Rows are never changed, so that a value may be in several places. */
  #own: OwnWrites<T> | undefined;

  constructor(options: KvTableOptions<T>) {
    this.name = options.name;
    this.#options = options;
    this.#markers = new MarkerSweeper(options.bucket);
    options.link.onClose(() => this.#markers.stop());
  }

  async get(key: string): Promise<Row<T> | undefined> {
    this.#checkKey(key);
    return plain((await this.#find(key)).row);
  }

  async create(key: string, value: T): Promise<Written<T>> {
    const [write, data] = this.#encode(key, value);
    this.#own?.note(write, value);
    let expected = 0;
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      const done = await this.#options.bucket.publish(key, data, write, expected);
      if (done.ok) return done;
      this.#own?.drop(write);
      const { entry, row } = await this.#find(key);
      if (row?.write === write) return { ok: true, revision: row.revision }; // our own, its answer was lost
      if (entry !== undefined && !entry.marker) return { ok: false, current: plain(row) };
      expected = entry?.revision ?? 0; // deleted before: the marker is what has to be unchanged
    }
    throw new ConnectionError(
      `creating ${this.name}/${key}: it was created and deleted by others ${MAX_TURNS} times meanwhile; try again`,
    );
  }

  async update(key: string, value: T, revision: number): Promise<Written<T>> {
    const [write, data] = this.#encode(key, value);
    checkRevision(revision);
    this.#own?.note(write, value);
    const done = await this.#options.bucket.publish(key, data, write, revision);
    if (done.ok) return done;
    this.#own?.drop(write);
    const { row } = await this.#find(key);
    if (row?.write === write) return { ok: true, revision: row.revision };
    return { ok: false, current: plain(row) };
  }

  async put(key: string, value: T): Promise<number> {
    const [write, data] = this.#encode(key, value);
    const done = await this.#options.bucket.publish(key, data, write, undefined);
    if (done.ok) return done.revision;
    throw new ConnectionError(`writing ${this.name}/${key}: the broker refused a write without a condition`);
  }

  async delete(key: string, revision?: number): Promise<Written<T>> {
    this.#checkKey(key);
    if (revision !== undefined) checkRevision(revision);
    const done: Published = await this.#options.bucket.mark(key, newWriteId(), revision);
    if (done.ok) {
      this.#markers.note(done.revision);
      return done;
    }
    const { entry, row } = await this.#find(key);
    // A marker is there although we expected the row: our own where an earlier try was not answered.
    if (done.tries > 0 && entry?.marker === true) return { ok: true, revision: entry.revision };
    return { ok: false, current: plain(row) };
  }

  async *entries(prefix = ""): AsyncIterable<Row<T>> {
    for (const row of await this.#list(prefix)) yield row;
  }

  async watch(prefix = ""): Promise<TableCache<T>> {
    checkPrefix(prefix);
    const { link, bucket, bulk, report } = this.#options;
    if (bulk === true) {
      throw new InvalidArgumentError(
        `table ${this.name} can't be watched: the rows of a job are removed at one stroke, which watchers can't see; use get or entries`,
      );
    }
    this.#own ??= new OwnWrites();
    return watch<T>({
      link,
      bucket,
      timeoutMs: link.timeoutMs,
      prefix,
      label: `table ${this.name}`,
      includes: (key) => this.#includes(key),
      decode: (entry) => {
        const value = entry.marker ? undefined : this.#own?.take(entry.data);
        if (value === undefined) return plain(this.#decode(entry));
        return { key: entry.key, value, revision: entry.revision };
      },
      report,
    });
  }

  async removeWhere(prefix: string, predicate: (row: Row<T>) => boolean): Promise<number> {
    return removeRows(this, await this.#list(prefix), predicate);
  }

  revision(): Promise<number> {
    return this.#options.bucket.lastRevision();
  }

  /** The rows under a prefix. Markers met on the way are noted: their writer may have ended before their time. */
  async #list(prefix: string): Promise<Row<T>[]> {
    checkPrefix(prefix);
    const rows: Row<T>[] = [];
    let read = 0;
    for (const entry of await listBucket(this.#options.link, this.#options.bucket, prefix)) {
      if (!this.#includes(entry.key)) continue;
      const row = plain(this.#decode(entry));
      if (row !== undefined) rows.push(row);
      else if (entry.marker) this.#markers.note(entry.revision);
      // There can be a hundred thousand: others have their turns in between.
      if (++read % ROWS_PER_TURN === 0) await new Promise((turn) => setImmediate(turn));
    }
    return rows;
  }

  async #find(key: string): Promise<Found<T>> {
    const entry = await this.#options.bucket.get(key);
    return { entry, row: entry === undefined ? undefined : this.#decode(entry) };
  }

  #decode(entry: Entry): Found<T>["row"] {
    if (entry.marker) return undefined;
    try {
      const decoded = decodeRow(entry.data, this.#options.check, `${this.name}/${entry.key}`);
      return { key: entry.key, revision: entry.revision, ...decoded };
    } catch (error) {
      this.#options.report(error);
      return undefined;
    }
  }

  #encode(key: string, value: T): [write: string, data: Uint8Array] {
    this.#checkKey(key);
    const write = newWriteId();
    return [write, encodeRow(value, write, this.#options.check, `${this.name}/${key}`)];
  }

  #includes(key: string): boolean {
    return key.startsWith(RESERVED) === (this.#options.reserved === true);
  }

  #checkKey(key: string): void {
    checkKey(key, this.#options.reserved === true);
  }
}

/** The row without the id of its write, which is nobody else's business. */
function plain<T>(row: (Row<T> & Decoded<T>) | undefined): Row<T> | undefined {
  return row && { key: row.key, value: row.value, revision: row.revision };
}

/** 0 is what the broker takes for "none ever", which is what `create` is for. */
function checkRevision(revision: number): void {
  if (Number.isSafeInteger(revision) && revision > 0) return;
  throw new InvalidArgumentError(`revision ${revision} must be that of a row, a whole number from 1`);
}
