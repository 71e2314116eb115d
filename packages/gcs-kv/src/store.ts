/** The control store of one cluster, on a broker: opens tables on first use and ends all that it began. */
import type { NatsConnection } from "@nats-io/nats-core";
import {
  ConnectionError,
  encodeToken,
  InvalidOptionError,
  toError,
  type Check,
  type JobId,
  type Subjects,
  type TableName,
} from "@stingray/protocol";
import { Bucket } from "./bucket.js";
import { BULK_TABLES, cleanUpJob } from "./cleanup.js";
import { KvTable } from "./kv-table.js";
import { Lease, leaseRow, type LeaseRow } from "./lease.js";
import { BrokerLink } from "./link.js";
import { ROW_CHECKS, ROW_SCHEMAS, type ActorRow, type Rows } from "./rows.js";
import type { Row, Table, Tables } from "./table.js";

/** Default of {@link ControlStoreOptions.timeoutMs}. */
export const DEFAULT_TIMEOUT_MS = 15_000;

export interface ControlStoreOptions {
  /** Stays the caller's: it is not closed with the store. It should reconnect for ever. */
  connection: NatsConnection;
  /** Name the buckets, and so the cluster. */
  subjects: Subjects;
  /** Where the broker keeps tables that do not exist yet. With `memory` they end with the broker. Default `file` */
  storage?: "file" | "memory";
  /** Copies of tables that do not exist yet, in a cluster of brokers: 1 to 5. Default 1 */
  replicas?: number;
  /** Deadline of each operation, over all its tries, in milliseconds; a cluster of brokers needs up to 9 s for a new leader. Default 15,000 */
  timeoutMs?: number;
  /** Told of rows that can't be read and of callbacks that threw; the store goes on. Default: a warning of the process */
  report?: (error: Error) => void;
}

export class ControlStore implements Tables {
  readonly #link: BrokerLink;
  readonly #options: Required<ControlStoreOptions>;
  readonly #buckets = new Map<TableName, Promise<Bucket>>();
  readonly #tables = new Map<TableName, Promise<Table<unknown>>>();
  readonly #closed = new AbortController();
  #leases: Promise<Table<LeaseRow>> | undefined;

  private constructor(link: BrokerLink, options: Required<ControlStoreOptions>) {
    this.#link = link;
    this.#options = options;
  }

  /** Asks nothing of the broker yet: tables are made or found on first use, in one round trip each. @throws InvalidOptionError */
  static async open(options: ControlStoreOptions): Promise<ControlStore> {
    const full: Required<ControlStoreOptions> = {
      connection: options.connection,
      subjects: options.subjects,
      storage: options.storage ?? "file",
      replicas: options.replicas ?? 1,
      timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      report: options.report ?? ((error) => process.emitWarning(error)),
    };
    const { storage, replicas, timeoutMs } = full;
    if (storage !== "file" && storage !== "memory") {
      throw new InvalidOptionError(`storage: "${String(storage)}" must be "file" or "memory"`);
    }
    if (!Number.isInteger(replicas) || replicas < 1 || replicas > 5) {
      throw new InvalidOptionError(`replicas: ${replicas} must be a whole number from 1 to 5`);
    }
    if (!(timeoutMs > 0) || timeoutMs > 2 ** 31 - 1) {
      throw new InvalidOptionError(`timeoutMs: ${timeoutMs} must be above 0 and below 2^31`);
    }
    return new ControlStore(await BrokerLink.create(full.connection, timeoutMs), full);
  }

  table<K extends TableName>(name: K): Promise<Table<Rows[K]>> {
    let table = this.#tables.get(name) as Promise<Table<Rows[K]>> | undefined;
    if (table === undefined) {
      table = this.#open(name);
      this.#tables.set(name, table);
      table.catch(() => this.#tables.delete(name)); // the next call tries again
    }
    return table;
  }

  /** The way to the broker, for what is kept there beside tables. It ends with the store. */
  get link(): BrokerLink {
    return this.#link;
  }

  lease(name: string, holder: string, options: { ttlMs: number }): Lease {
    this.#leases ??= this.#bucket("nodes").then(
      (bucket) =>
        new KvTable<LeaseRow>({
          name: "nodes",
          link: this.#link,
          bucket,
          check: leaseRow,
          reserved: true,
          report: this.#report,
        }),
    );
    this.#leases.catch(() => (this.#leases = undefined));
    return new Lease({
      name,
      holder,
      ttlMs: options.ttlMs,
      key: `_lease/${encodeToken(name)}`,
      table: this.#leases,
      closed: this.#closed.signal,
    });
  }

  cleanUpJob(job: JobId, actors?: readonly Row<ActorRow>[]): Promise<Record<TableName, number>> {
    return cleanUpJob(this, job, async (table, prefix) => (await this.#bucket(table)).purge(prefix), actors);
  }

  async close(): Promise<void> {
    const error = new ConnectionError("the control store is closed; open a new one");
    this.#closed.abort(error);
    this.#link.close(error);
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #open<K extends TableName>(name: K): Promise<Table<Rows[K]>> {
    const bucket = await this.#bucket(name);
    const check: Check<Rows[K]> = ROW_CHECKS[name];
    return new KvTable<Rows[K]>({
      name,
      link: this.#link,
      bucket,
      check,
      bulk: BULK_TABLES.has(name),
      report: this.#report,
    });
  }

  #bucket(name: TableName): Promise<Bucket> {
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      const { subjects, storage, replicas } = this.#options;
      bucket = Bucket.open(this.#link, {
        table: name,
        name: subjects.bucket(name),
        schema: ROW_SCHEMAS[name],
        storage,
        replicas,
      });
      this.#buckets.set(name, bucket);
      bucket.catch(() => this.#buckets.delete(name));
    }
    return bucket;
  }

  readonly #report = (error: unknown): void => this.#options.report(toError(error));
}
