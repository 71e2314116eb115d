/**
 * Reads one mailbox in order, through everything that can happen to the broker: when a feed breaks, and after every
 * reconnect, a new one begins, and what was given already is left out.
 */
import { ConsumerFeed } from "@stingray/gcs-kv";
import type { BrokerLink } from "@stingray/gcs-kv";
import { toError, type ActorId } from "@stingray/protocol";
import type { KeptMessage, MailboxLog } from "./log.js";

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 2_000;
/** Messages and bytes that may be held for a receiver that has no room; beyond that reading pauses. */
const MOST_HELD = 2_000;
const MOST_HELD_BYTES = 8 << 20;
/** A feed is begun again when so little is held. */
const FEW_HELD = MOST_HELD / 4;

export interface ReaderHooks {
  /** The next message. False: there is no room for it now; `more()` says when there is. */
  take(message: KeptMessage): boolean;
  /** The stream lost its data and begins anew: what comes has lower revisions than what came before. */
  restarted(): void;
  /** It could not be read; it is tried again. */
  failed(error: Error): void;
}

/**
 * `waiting`: for the next feed. `reading`: one is there, or is being made. `full`: the receiver has no room. `stopped`: for
 * good. Each feed has a number; what a former one still says is not heard.
 */
type ReaderState =
  | { kind: "waiting"; timer: NodeJS.Timeout | undefined }
  | { kind: "reading" }
  | { kind: "full" }
  | { kind: "stopped" };

export class MailboxReader {
  private state: ReaderState = { kind: "waiting", timer: undefined };
  private turn = 0;
  private failures = 0;
  private feed: ConsumerFeed | undefined;
  private held: KeptMessage[] = [];
  private heldBytes = 0;
  /** The newest that came. */
  private last: number;
  private begun = false;
  private readonly forget: () => void;

  /**
   * @param after revision up to which all is done; what lies there still is removed
   */
  constructor(
    private readonly link: BrokerLink,
    private readonly log: MailboxLog,
    private readonly actor: ActorId,
    after: number,
    private readonly hooks: ReaderHooks,
  ) {
    this.last = after;
    this.done = after;
    this.forget = link.onReconnect(() => {
      if (this.begun) this.again(0);
    });
  }

  /** Up to here all is done. */
  private done: number;

  /** Nothing is read before. */
  begin(): void {
    if (this.state.kind === "stopped" || this.state.kind === "reading") return;
    this.state = { kind: "reading" };
    void this.run(++this.turn);
  }

  /** All up to `revision` is done: it is not given again, and removed where it still lies there. */
  finished(revision: number): void {
    this.done = Math.max(this.done, revision);
  }

  /** There is room again. */
  more(): void {
    let given = 0;
    for (const message of this.held) {
      if (!this.hooks.take(message)) break;
      this.heldBytes -= message.data.byteLength;
      given++;
    }
    if (given > 0) this.held.splice(0, given);
    if (this.state.kind === "full" && this.held.length <= FEW_HELD) this.begin();
  }

  stop(): void {
    this.leave();
    this.state = { kind: "stopped" };
    this.held = [];
    this.forget();
  }

  private async run(turn: number): Promise<void> {
    const current = (): boolean => turn === this.turn;
    try {
      if (this.begun && (await this.log.lastRevision()) < this.last && current()) {
        this.last = this.done = 0;
        this.hooks.restarted();
      }
      if (!current()) return;
      this.begun = true;
      const feed = await ConsumerFeed.start(
        this.link,
        this.log.source(this.actor),
        {
          message: ({ data }, revision) => (current() ? this.came({ data, revision }) : undefined),
          filled: () => (this.failures = 0),
          broken: () => (current() ? this.again(this.failures++) : undefined),
        },
        this.link.timeoutMs,
      );
      if (current()) this.feed = feed;
      else feed.stop();
    } catch (thrown) {
      if (!current()) return;
      this.hooks.failed(toError(thrown));
      this.again(++this.failures);
    }
  }

  private came(message: KeptMessage): void {
    if (message.revision <= this.last) {
      // Saved as done by an incarnation whose agent ended before it was removed.
      if (message.revision <= this.done)
        this.log.remove(message.revision).catch((error: unknown) => this.hooks.failed(toError(error)));
      return;
    }
    this.last = message.revision;
    if (this.held.length === 0 && this.hooks.take(message)) return;
    this.held.push(message);
    this.heldBytes += message.data.byteLength;
    if (this.held.length < MOST_HELD && this.heldBytes < MOST_HELD_BYTES) return;
    this.leave();
    this.state = { kind: "full" };
  }

  /** Starts over with a new feed, the later the more often it failed. */
  private again(failures: number): void {
    if (this.state.kind === "stopped" || this.state.kind === "full") return;
    this.leave();
    const ms = failures === 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** Math.min(failures, 10), LONGEST_PAUSE_MS);
    this.state = { kind: "waiting", timer: setTimeout(() => this.begin(), ms) };
  }

  private leave(): void {
    this.turn++;
    this.feed?.stop();
    this.feed = undefined;
    if (this.state.kind === "waiting") clearTimeout(this.state.timer);
  }
}
