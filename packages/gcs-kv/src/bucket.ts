/**
 * One key-value bucket, as raw bytes. The layout is that of NATS key-value buckets (ADR-8), so `nats kv` and other
 * clients read it; the operations are our own, because they must take one round trip each and be repeatable.
 */
import { Empty } from "@nats-io/nats-core";
import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { InvalidArgumentError, ProtocolError, type TableName } from "@stingray/protocol";
import { fromSubject, toSubject } from "./keys.js";
import type { BrokerLink } from "./link.js";
import { OPERATION, type Write } from "./publisher.js";

/** The broker's code for "a stream of this name has another configuration". */
const STREAM_NAME_IN_USE = 10058;
const DESCRIPTION = /^stingray (\w+), schema (\d+)$/;

/** What is stored at a key. `marker`: it says that the key was deleted; `data` is then empty. */
export interface Entry {
  key: string;
  revision: number;
  data: Uint8Array;
  marker: boolean;
}
/** How a conditional publish ended. `tries`: attempts before the one that was answered. */
export type Published = { ok: true; revision: number } | { ok: false; tries: number };

export interface BucketOptions {
  table: TableName;
  /** Name of the bucket. */
  name: string;
  schema: number;
  storage: "file" | "memory";
  replicas: number;
}

export class Bucket {
  /** Name of the stream below the bucket. */
  readonly stream: string;
  /** The highest revision that this process has met. */
  latest = 0;
  readonly #link: BrokerLink;
  readonly #options: BucketOptions;
  readonly #root: string;
  #direct = false;
  /** Nobody answers a direct read of a stream that is gone; after a reconnect, and a silence, its API is asked, which does. */
  #there = true;

  private constructor(link: BrokerLink, options: BucketOptions) {
    this.#link = link;
    this.#options = options;
    this.stream = `KV_${options.name}`;
    this.#root = `$KV.${options.name}.`;
    link.onReconnect(() => (this.#there = false));
  }

  /** Makes the bucket, or finds it made. @throws ProtocolError where it holds another schema */
  static async open(link: BrokerLink, options: BucketOptions): Promise<Bucket> {
    const bucket = new Bucket(link, options);
    await link.call(`opening table ${options.table}`, () => bucket.#ensure());
    return bucket;
  }

  /** Subject filter of all keys under a prefix; of all keys where it is empty. */
  filter(prefix: string): string {
    return prefix === "" ? `${this.#root}>` : `${this.#root}${toSubject(prefix)}.>`;
  }

  /** The key that a message on `subject` is about. */
  keyOf(subject: string): string {
    return fromSubject(subject.slice(this.#root.length));
  }

  async get(key: string): Promise<Entry | undefined> {
    const query = { last_by_subj: this.#subject(key) };
    const message = await this.#call(`reading ${this.#at(key)}`, (tries) =>
      this.#direct && this.#there && tries === 0
        ? this.#link.jsm.direct.getMessage(this.stream, query)
        : this.#link.jsm.streams.getMessage(this.stream, query),
    );
    this.#there = true;
    if (message === null) return undefined;
    this.latest = Math.max(this.latest, message.seq);
    return {
      key,
      revision: message.seq,
      data: message.data,
      marker: message.header?.has(OPERATION) ?? false,
    };
  }

  /**
   * @param write id of this write, by which the broker knows a resend: its first answer comes again, also where
   *   others wrote over it since
   * @param expected revision that the key must have; 0 none ever; undefined any
   */
  publish(key: string, data: Uint8Array, write: string, expected: number | undefined): Promise<Published> {
    const limit = this.#link.connection.info?.max_payload;
    if (limit !== undefined && data.length > limit - 1024) {
      throw new InvalidArgumentError(
        `the row at ${this.#at(key)} has ${data.length} bytes, the broker takes ${limit}; split it, or raise max_payload of nats-server`,
        { detail: { size: data.length, limit } },
      );
    }
    return this.#write(key, { data, id: write, expected });
  }

  /**
   * Replaces the row by a marker, which tells watchers that it is gone. It is the plain marker, not the one that purges
   * (there is nothing else to purge, one message per key is kept): nats-server 2.9 makes consumers that lag a little
   * skip messages of other keys when one key is purged.
   */
  mark(key: string, write: string, expected: number | undefined): Promise<Published> {
    return this.#write(key, { data: Empty, id: write, expected, operation: "DEL" });
  }

  /** Removes a marker, by its revision, if it is still there. Watchers are not told. */
  async removeMarker(revision: number): Promise<void> {
    await this.#call(`removing a deletion marker of table ${this.#options.table}`, async () => {
      // Looked at first: where a broker lost its data, the revision may be that of a row by now.
      const message = await this.#link.jsm.streams.getMessage(this.stream, { seq: revision });
      if (message?.header?.has(OPERATION) !== true) return;
      try {
        await this.#link.jsm.streams.deleteMessage(this.stream, revision, false);
      } catch (error) {
        // Gone in this moment: overwritten, or another process was quicker.
        if (!(error instanceof JetStreamApiError) || error.status === 503) throw error;
      }
    });
  }

  /** Removes all under a prefix at one stroke, and says how many. Watchers are not told. */
  async purge(prefix: string): Promise<number> {
    const result = await this.#call(`clearing ${this.#options.table} under "${prefix}"`, () =>
      this.#link.jsm.streams.purge(this.stream, { filter: this.filter(prefix) }),
    );
    return result.purged;
  }

  /** The revision of the last write to the bucket, also of one that was removed since. */
  async lastRevision(): Promise<number> {
    const info = await this.#call(`reading the state of table ${this.#options.table}`, () =>
      this.#link.jsm.streams.info(this.stream),
    );
    return info.state.last_seq;
  }

  /** Makes the bucket again where it is gone (a broker with memory storage was restarted). */
  readonly revive = (): Promise<void> => this.#ensure();

  async #write(key: string, write: Omit<Write, "subject">): Promise<Published> {
    const subject = this.#subject(key);
    let forget = (): void => {};
    try {
      return await this.#call(`writing ${this.#at(key)}`, async (tries): Promise<Published> => {
        try {
          forget();
          const sent = this.#link.publisher.publish({ ...write, subject });
          ({ forget } = sent);
          const revision = await sent.stored;
          this.latest = Math.max(this.latest, revision);
          return { ok: true, revision };
        } catch (error) {
          if (isConflict(error)) return { ok: false, tries };
          throw error;
        }
      });
    } finally {
      forget();
    }
  }

  #call<R>(what: string, attempt: (tries: number) => Promise<R>): Promise<R> {
    return this.#link.call(what, attempt, this.revive);
  }

  async #ensure(): Promise<void> {
    const { table, name, schema, storage, replicas } = this.#options;
    const config: Partial<StreamConfig> & { name: string } = {
      name: this.stream,
      description: `stingray ${table}, schema ${schema}`,
      subjects: [`$KV.${name}.>`],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      max_msgs_per_subject: 1,
      max_msgs: -1,
      max_bytes: -1,
      max_age: 0,
      storage: storage === "file" ? StorageType.File : StorageType.Memory,
      num_replicas: replicas,
      allow_rollup_hdrs: true,
      deny_delete: false,
      allow_direct: true,
    };
    let info;
    try {
      info = await this.#link.jsm.streams.add(config);
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.code !== STREAM_NAME_IN_USE) throw error;
      info = await this.#link.jsm.streams.info(this.stream); // made with other settings, or by another version
    }
    const found = DESCRIPTION.exec(info.config.description ?? "");
    if (found === null || found[1] !== table || Number(found[2]) !== schema) {
      throw new ProtocolError(
        `the bucket ${name} holds "${info.config.description ?? ""}", this process needs "stingray ${table}, schema ${schema}"; ` +
          `run one version of the library in a cluster, or choose another cluster name or delete the bucket`,
        { detail: { bucket: name, wanted: schema, found: found === null ? -1 : Number(found[2]) } },
      );
    }
    this.latest = Math.max(this.latest, info.state.last_seq);
    // Any replica may answer a direct read, also one that lags: only a lone one always knows the last write.
    this.#direct = info.config.allow_direct && info.config.num_replicas === 1;
  }

  #subject(key: string): string {
    return this.#root + toSubject(key);
  }
  #at(key: string): string {
    return `${this.#options.table}/${key}`;
  }
}

const isConflict = (error: unknown): boolean =>
  error instanceof JetStreamApiError &&
  (error.code === JetStreamApiCodes.StreamWrongLastSequence ||
    error.code === JetStreamApiCodes.StreamWrongLastSequenceUnknown);
