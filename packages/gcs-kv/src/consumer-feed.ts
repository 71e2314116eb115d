/**
 * One consumer of a stream: first what lies there, then each message as it comes. It notices every gap (a lost message, a
 * consumer that is gone, silence) and then says so once and ends; who listens starts a new one.
 *
 * The client's own watch and ordered consumers are not used: after a broker was killed they notice only when two
 * of their heartbeats are missing (10 s, then 60 s), and go on from where they were, so that a deletion whose
 * marker has been removed meanwhile would be missed for good.
 */
import { performance } from "node:perf_hooks";
import { createInbox, nuid, type Msg, type Subscription } from "@nats-io/nats-core";
import { AckPolicy, type ConsumerConfig } from "@nats-io/jetstream";
import { toNanos, type BrokerLink } from "./link.js";

/** The broker says this often that it is there and has nothing new, in milliseconds. */
const HEARTBEAT_MS = 2000;
/** After this long without a word the feed counts as broken, in milliseconds. */
const SILENCE_MS = 7000;
/** The broker drops a consumer that nobody listens to after this time, in milliseconds. */
const INACTIVE_MS = 30_000;

/** What is read: which stream, and which of its messages. */
export interface FeedSource {
  readonly stream: string;
  /** For error texts, for example `bucket st_v1_default_actors`. */
  readonly label: string;
  readonly config: Pick<ConsumerConfig, "deliver_policy" | "filter_subject" | "opt_start_seq">;
  /** Makes the stream again where it is gone. */
  readonly revive: () => Promise<void>;
}

export interface MessageListener {
  /** `revision`: its sequence number in the stream. */
  message(message: Msg, revision: number): void;
  /** What lay in the stream when the feed began has been given; what follows came later. Called once. */
  filled(): void;
  /** The feed has missed something or can't go on. Called once; nothing follows. */
  broken(why: string): void;
}

export class ConsumerFeed {
  readonly #link: BrokerLink;
  readonly #source: FeedSource;
  readonly #listener: MessageListener;
  readonly #consumer = `st_${nuid.next()}`;
  #subscription: Subscription | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  #received = 0;
  /** How many messages the first part has; known once the consumer is made. */
  #total: number | undefined;
  #drained = false;
  #filled = false;
  #ended = false;
  #heardAt = performance.now();

  private constructor(link: BrokerLink, source: FeedSource, listener: MessageListener) {
    this.#link = link;
    this.#source = source;
    this.#listener = listener;
  }

  /** @throws ConnectionError where the consumer can't be made within `timeoutMs` */
  static async start(
    link: BrokerLink,
    source: FeedSource,
    listener: MessageListener,
    timeoutMs: number,
  ): Promise<ConsumerFeed> {
    const feed = new ConsumerFeed(link, source, listener);
    const inbox = createInbox(link.inboxPrefix);
    feed.#subscription = link.connection.subscribe(inbox, {
      callback: (error, message) => (error === null ? feed.#take(message) : feed.#break(error.message)),
    });
    try {
      await feed.#consume(inbox, timeoutMs);
    } catch (error) {
      feed.stop();
      throw error;
    }
    return feed;
  }

  /** Ends it without a word to the listener. */
  stop(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#watchdog);
    this.#subscription?.unsubscribe();
    // The broker would find out by itself, later.
    this.#link.jsm.consumers.delete(this.#source.stream, this.#consumer).catch(() => {});
  }

  async #consume(inbox: string, timeoutMs: number): Promise<void> {
    const info = await this.#link.call(
      `reading ${this.#source.label}`,
      () =>
        this.#link.jsm.consumers.add(this.#source.stream, {
          ...this.#source.config,
          name: this.#consumer,
          deliver_subject: inbox,
          ack_policy: AckPolicy.None,
          max_deliver: 1,
          flow_control: true,
          idle_heartbeat: toNanos(HEARTBEAT_MS),
          inactive_threshold: toNanos(INACTIVE_MS),
          mem_storage: true,
          num_replicas: 1,
        }),
      this.#source.revive,
      timeoutMs,
    );
    this.#heardAt = performance.now();
    this.#watchdog = setInterval(() => {
      if (performance.now() - this.#heardAt > SILENCE_MS) this.#break(`no word for ${SILENCE_MS} ms`);
    }, HEARTBEAT_MS).unref();
    // Some may have been delivered before the broker answered.
    this.#total = info.num_pending + info.delivered.consumer_seq;
    this.#checkFilled();
  }

  #take(message: Msg): void {
    if (this.#ended) return;
    this.#heardAt = performance.now();
    if (message.headers !== undefined && message.headers.code !== 0) return this.#control(message);
    const info = deliveryOf(message.reply ?? "");
    if (info === undefined) return this.#break("a message that the broker did not deliver");
    if (info.sequence !== this.#received + 1) {
      return this.#break(`message ${info.sequence} came after ${this.#received}`);
    }
    this.#received = info.sequence;
    this.#drained = info.pending === 0;
    this.#listener.message(message, info.revision);
    this.#checkFilled();
  }

  /** Messages of the broker itself: flow control wants an answer, heartbeats tell how far we should be. */
  #control(message: Msg): void {
    if (message.headers?.code !== 100)
      return this.#break(`status ${message.headers?.code ?? 0} of the broker`);
    if (message.reply !== undefined && message.reply !== "") {
      message.respond();
      return;
    }
    const stalled = message.headers.get("Nats-Consumer-Stalled");
    if (stalled !== "") {
      this.#link.connection.publish(stalled);
      return;
    }
    const last = message.headers.get("Nats-Last-Consumer");
    if (last === "") return;
    if (Number(last) > this.#received)
      return this.#break(`${Number(last) - this.#received} messages are missing`);
    this.#drained = true; // heartbeats are sent when there is nothing else to send
    this.#checkFilled();
  }

  #checkFilled(): void {
    if (this.#filled || this.#ended || this.#total === undefined) return;
    if (this.#received < this.#total && !this.#drained) return;
    this.#filled = true;
    this.#listener.filled();
  }

  #break(why: string): void {
    if (this.#ended) return;
    this.stop();
    this.#listener.broken(why);
  }
}

/**
 * What the broker says of a delivery in its reply subject:
 * `$JS.ACK.<stream>.<consumer>.<n>.<revision>.<sequence>.<time>.<pending>`, or with domain and account before the stream.
 */
function deliveryOf(reply: string): { revision: number; sequence: number; pending: number } | undefined {
  const tokens = reply.split(".");
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK" || (tokens.length !== 9 && tokens.length < 11))
    return undefined;
  const at = tokens.length === 9 ? 5 : 7;
  return {
    revision: Number(tokens[at]),
    sequence: Number(tokens[at + 1]),
    pending: Number(tokens[at + 3]),
  };
}
