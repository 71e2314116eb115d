/**
 * Messages that could not be understood, over all of an agent's subjects. Each was refused where it came in; here they
 * are counted and, now and then, said, so that a broken or foreign peer shows without filling the log.
 */
import type { MalformedInfo } from "@stingray/broker";
import type { FeedHooks } from "../feed/mod.js";
import type { Failed } from "./tokens.js";

/** Between two lines about it, in milliseconds. */
const SAY_EVERY_MS = 10_000;

export class Malformed {
  private count = 0;
  private said = 0;
  private last = "";
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly log: (line: string) => void,
    private readonly everyMs: number = SAY_EVERY_MS,
  ) {}

  /** So many since the agent started. */
  get total(): number {
    return this.count;
  }

  /** @param where it came in, for people */
  add(where: string, error: Error): void {
    this.count++;
    this.last = `${where}: ${error.message}`;
    if (this.timer === undefined) this.say();
  }

  /** Says what has not been said. */
  stop(): void {
    clearTimeout(this.timer);
    if (this.count > this.said) this.write();
    this.timer = undefined;
  }

  private say(): void {
    this.write();
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (this.count > this.said) this.say();
    }, this.everyMs).unref();
  }

  private write(): void {
    const more = this.said > 0 ? ` (${this.count - this.said} of them since it was said last)` : "";
    this.said = this.count;
    this.log(
      `${this.count} message(s) could not be understood and were refused${more}; the last one came to ${this.last}`,
    );
  }
}

/** Counts frames and messages that a transport refused, or that a peer refused of ours. */
export function refusedFrames(malformed: Malformed): (info: MalformedInfo) => void {
  return ({ from, to, link, ours, error }) =>
    malformed.add(
      ours
        ? `${from ?? "a peer"}, which refused it from us over ${link}`
        : `${to ?? "us"} from ${from ?? "somebody"} over ${link}`,
      error,
    );
}

/** The same for a feed; a handler that throws is a bug of ours and is reported as one. */
export function feedHooks(feed: string, malformed: Malformed, failed: Failed): FeedHooks {
  return {
    onMalformed: (error) => malformed.add(`the feed of ${feed}`, error),
    onHandlerError: (error) => failed(`take in a message of the feed of ${feed}`, error),
  };
}
