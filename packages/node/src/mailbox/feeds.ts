/**
 * Feeds the incarnations on this node from their mailboxes: each gets what is kept, in order, as fast as it takes it. What
 * it has saved as done is removed.
 */
import type { Channel } from "@stingray/broker";
import type { BrokerLink } from "@stingray/gcs-kv";
import { MailboxReader, type KeptMessage, type MailboxLog } from "@stingray/mailbox";
import { Op, type ActorId } from "@stingray/protocol";
import type { ActorBook, ActorEntry } from "../controller/actor-book.js";

/** Messages and bytes that may be with a worker that has not begun them. */
const MOST_MESSAGES = 64;
const MOST_BYTES = 4 << 20;

export interface FeedHooks {
  readonly link: BrokerLink;
  readonly log: MailboxLog;
  failed(what: string, error: unknown): void;
}

export class MailboxFeeds {
  private readonly feeds = new Map<string, IncarnationFeed>();

  constructor(
    private readonly book: ActorBook,
    private readonly hooks: FeedHooks,
  ) {
    book.onChange((actor, now) => this.rowChanged(actor, now));
  }

  /** A worker has room: the first time it says so its incarnation is fed from `done` on, as soon as it lives. */
  taken(actor: string, epoch: number, taken: number, done: number, channel: Channel): void {
    let feed = this.feeds.get(actor);
    if (feed !== undefined && feed.epoch > epoch) return;
    if (feed === undefined || feed.epoch < epoch || feed.channel !== channel) {
      feed?.stop();
      feed = new IncarnationFeed(actor as ActorId, epoch, channel, done, this.hooks);
      this.feeds.set(actor, feed);
      const fresh = feed;
      channel.onClose(() => this.end(actor, fresh));
      this.rowChanged(actor, this.book.get(actor));
      return;
    }
    feed.taken(taken, done);
  }

  /** Its incarnation ends in order: it gets nothing more, and what it still saves as done is removed. */
  stopFeeding(actor: string): void {
    this.feeds.get(actor)?.stop();
  }

  stop(): void {
    for (const [actor, feed] of this.feeds) this.end(actor, feed);
  }

  private rowChanged(actor: string, now: ActorEntry | undefined): void {
    const feed = this.feeds.get(actor);
    if (feed === undefined) return;
    if (now === undefined || now.value.state === "DEAD" || now.value.epoch > feed.epoch) {
      if (feed.open || now?.value.state === "DEAD" || (now?.value.epoch ?? 0) > feed.epoch)
        this.end(actor, feed);
    } else if (now.value.state === "ALIVE" && now.value.epoch === feed.epoch) feed.begin();
    else if (feed.open) this.end(actor, feed); // it lived, and is being made again
  }

  private end(actor: string, feed: IncarnationFeed): void {
    feed.stop();
    if (this.feeds.get(actor) === feed) this.feeds.delete(actor);
  }
}

class IncarnationFeed {
  /** It lives, and is fed. */
  open = false;
  private readonly reader: MailboxReader;
  /** Sent, and not saved as done, oldest first. */
  private sent: number[] = [];
  /** Of these, what the worker has not begun. */
  private untaken: { readonly revision: number; readonly bytes: number }[] = [];
  private untakenBytes = 0;

  constructor(
    private readonly actor: ActorId,
    readonly epoch: number,
    readonly channel: Channel,
    done: number,
    private readonly hooks: FeedHooks,
  ) {
    this.reader = new MailboxReader(hooks.link, hooks.log, actor, done, {
      take: (message) => this.take(message),
      restarted: () => {
        this.sent = [];
        this.untaken = [];
        this.untakenBytes = 0;
      },
      failed: (error) => hooks.failed(`read the mailbox of actor ${actor}`, error),
    });
  }

  begin(): void {
    if (this.open) return;
    this.open = true;
    this.reader.begin();
  }

  stop(): void {
    this.reader.stop();
  }

  taken(taken: number, done: number): void {
    this.untaken = this.untaken.filter(({ revision, bytes }) => {
      if (revision > taken) return true;
      this.untakenBytes -= bytes;
      return false;
    });
    const over = this.sent.findIndex((revision) => revision > done);
    const finished = this.sent.splice(0, over < 0 ? this.sent.length : over);
    this.reader.finished(done);
    for (const revision of finished)
      this.hooks.log
        .remove(revision)
        .catch((error: unknown) => this.hooks.failed(`remove what actor ${this.actor} has done`, error));
    this.reader.more();
  }

  private take({ revision, data }: KeptMessage): boolean {
    if (this.untaken.length >= MOST_MESSAGES || this.untakenBytes >= MOST_BYTES) return false;
    this.untakenBytes += data.byteLength;
    this.sent.push(revision);
    this.untaken.push({ revision, bytes: data.byteLength });
    this.channel.send([Op.MailboxFeed, this.actor, this.epoch, revision, data]);
    return true;
  }
}
