/**
 * The stream of durable mailboxes: one for all actors of a cluster, a subject per actor. What has run is removed message
 * by message and not by purging the subject up to there: nats-server 2.9 may make consumers that lag skip messages then.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import type { BrokerLink, FeedSource } from "@stingray/gcs-kv";
import { ConnectionError, ProtocolError, type ActorId, type Subjects } from "@stingray/protocol";

/** The broker's code for "a stream of this name has another configuration". */
const STREAM_NAME_IN_USE = 10058;
/** The broker's code for "there is no such message". */
const NO_MESSAGE = 10037;
/** What a description begins with; then comes the version of what is kept. */
const DESCRIPTION = "stingray durable mailboxes, schema 1";
/** Room for the headers and the subject of a message. Bytes. */
const HEADER_BYTES = 4 * 1024;
/** Assumed where the broker does not say how much it takes. Bytes. */
const DEFAULT_MAX_PAYLOAD = 1024 * 1024;
/** Pauses between attempts after the link gave up, in milliseconds. */
const AGAIN_MS = 250;

export interface MailboxLogOptions {
  readonly link: BrokerLink;
  readonly subjects: Subjects;
  /** Where the broker keeps it if it does not exist yet. */
  readonly storage: "file" | "memory";
  /** Copies in a cluster of brokers, if it does not exist yet. */
  readonly replicas: number;
}

/** A kept message. `revision` is its sequence number in the stream. */
export interface KeptMessage {
  readonly revision: number;
  readonly data: Uint8Array;
}

export class MailboxLog {
  private readonly link: BrokerLink;
  private readonly stream: string;
  private made: Promise<void> | undefined;

  /** Asks nothing of the broker yet: the stream is made by the first who needs it. */
  constructor(private readonly options: MailboxLogOptions) {
    this.link = options.link;
    this.stream = options.subjects.mailboxStream();
  }

  /** The most bytes that one message may have. */
  get limit(): number {
    return (this.link.connection.info?.max_payload ?? DEFAULT_MAX_PAYLOAD) - HEADER_BYTES;
  }

  /**
   * Keeps a message of the actor's mailbox. Made again with the same `id` until the broker has it, or `wanted` says no.
   * Within the broker's window for duplicates (two minutes) the same id is kept once.
   * @returns its revision
   * @throws ConnectionError where it was not wanted any more; it may have been kept then
   */
  append(actor: ActorId, data: Uint8Array, id: string, wanted: () => boolean): Promise<number> {
    return this.publish(this.options.subjects.durableMailbox(actor), data, id, wanted);
  }

  /** The same among the calls of the actor that were set aside. */
  setAside(actor: ActorId, data: Uint8Array, id: string, wanted: () => boolean): Promise<number> {
    return this.publish(this.options.subjects.setAside(actor), data, id, wanted);
  }

  /** All of the mailbox that is kept, and what comes. */
  source(actor: ActorId): FeedSource {
    return this.sourceOf(this.options.subjects.durableMailbox(actor), `the mailbox of actor ${actor}`);
  }

  /** The calls of the actor that were set aside. */
  asideSource(actor: ActorId): FeedSource {
    return this.sourceOf(this.options.subjects.setAside(actor), `what was set aside of actor ${actor}`);
  }

  /** The revision of the newest message of the stream, removed or not; lower than one that was seen: it was made anew. */
  async lastRevision(): Promise<number> {
    await this.ensured();
    const info = await this.call("reading the state of the durable mailboxes", () =>
      this.link.jsm.streams.info(this.stream),
    );
    return info.state.last_seq;
  }

  /** The actors in whose mailboxes anything lies; of all of them, or of this one. */
  async occupied(actor: ActorId | "*" = "*"): Promise<Set<string>> {
    await this.ensured();
    const filter = this.options.subjects.durableMailbox(actor as ActorId);
    const info = await this.call("looking what lies in durable mailboxes", () =>
      this.link.jsm.streams.info(this.stream, { subjects_filter: filter }),
    );
    const subjects = Object.keys(info.state.subjects ?? {});
    return new Set(subjects.map((subject) => subject.slice(subject.lastIndexOf(".") + 1)));
  }

  /** Removes a message. One that is not there is no error. */
  async remove(revision: number): Promise<void> {
    await this.call("removing a call that has run", async () => {
      try {
        await this.link.jsm.streams.deleteMessage(this.stream, revision, false);
      } catch (error) {
        if (!(error instanceof JetStreamApiError) || error.status === 503) throw error;
      }
    });
  }

  /** A message that was set aside, by its revision. */
  async asideAt(actor: ActorId, revision: number): Promise<KeptMessage | undefined> {
    await this.ensured();
    return this.call("reading a call that was set aside", async () => {
      try {
        const message = await this.link.jsm.streams.getMessage(this.stream, { seq: revision });
        if (message === null || message.subject !== this.options.subjects.setAside(actor)) return undefined;
        return { revision: message.seq, data: message.data };
      } catch (error) {
        if (error instanceof JetStreamApiError && error.code === NO_MESSAGE) return undefined;
        throw error;
      }
    });
  }

  /**
   * Of the calls of the actor that were set aside only the newest stay.
   * @returns how many were removed
   */
  async thinAside(actor: ActorId, most: number): Promise<number> {
    await this.ensured();
    const subject = this.options.subjects.setAside(actor);
    return this.call("thinning out calls that were set aside", async () => {
      const { streams } = this.link.jsm;
      const info = await streams.info(this.stream, { subjects_filter: subject });
      const surplus = (info.state.subjects?.[subject] ?? 0) - most;
      let removed = 0;
      for (let seq = 1; removed < surplus; removed++) {
        const query = { seq, next_by_subj: subject };
        const oldest = await streams.getMessage(this.stream, query);
        if (oldest === null) break;
        await streams.deleteMessage(this.stream, oldest.seq, false);
        seq = oldest.seq + 1;
      }
      return removed;
    });
  }

  /** The actor is dead: nothing of its mailbox stays. */
  async drop(actor: ActorId): Promise<void> {
    const { subjects } = this.options;
    for (const filter of [subjects.durableMailbox(actor), subjects.setAside(actor)])
      await this.call(`clearing the mailbox of actor ${actor}`, () =>
        this.link.jsm.streams.purge(this.stream, { filter }),
      );
  }

  private async publish(
    subject: string,
    data: Uint8Array,
    msgID: string,
    wanted: () => boolean,
  ): Promise<number> {
    for (;;) {
      try {
        await this.ensured();
        const ack = await this.call("keeping calls of a durable mailbox", () =>
          this.link.js.publish(subject, data, { msgID }),
        );
        return ack.seq;
      } catch (error) {
        // The broker is away for long. What was accepted is not given up for that: its caller sees that it waits.
        if (!(error instanceof ConnectionError) || this.link.connection.isClosed() || !wanted()) throw error;
        await sleep(AGAIN_MS, undefined, { ref: false });
        if (!wanted()) throw error;
      }
    }
  }

  private sourceOf(subject: string, label: string): FeedSource {
    return {
      stream: this.stream,
      label,
      config: { deliver_policy: DeliverPolicy.All, filter_subject: subject },
      revive: () => this.make(),
    };
  }

  private call<R>(what: string, attempt: () => Promise<R>): Promise<R> {
    return this.link.call(what, attempt, () => this.make());
  }

  private ensured(): Promise<void> {
    if (this.made === undefined) {
      this.made = this.link.call("opening the durable mailboxes", () => this.make());
      this.made.catch(() => (this.made = undefined));
    }
    return this.made;
  }

  /** Makes the stream, or finds it made. */
  private async make(): Promise<void> {
    const { storage, replicas, subjects } = this.options;
    const config: Partial<StreamConfig> & { name: string } = {
      name: this.stream,
      description: DESCRIPTION,
      subjects: subjects.durableMailboxes(),
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      max_msgs: -1,
      max_bytes: -1,
      max_age: 0,
      storage: storage === "file" ? StorageType.File : StorageType.Memory,
      num_replicas: replicas,
      deny_delete: false,
      deny_purge: false,
    };
    let info;
    try {
      info = await this.link.jsm.streams.add(config);
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.code !== STREAM_NAME_IN_USE) throw error;
      info = await this.link.jsm.streams.info(this.stream);
    }
    const found = info.config.description ?? "";
    if (found === DESCRIPTION) return;
    throw new ProtocolError(
      `the stream ${this.stream} holds "${found}", this process needs "${DESCRIPTION}"; run one version of the library in a ` +
        "cluster, or choose another cluster name or delete the stream",
      { detail: { stream: this.stream, found } },
    );
  }
}
