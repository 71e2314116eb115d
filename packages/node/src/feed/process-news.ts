/** What agents tell each other of processes in trouble. Loss is allowed: what lasts is told again. */
import type { NatsConnection } from "@nats-io/nats-core";
import { processNews, type ProcessNews, type Subjects } from "@stingray/protocol";
import { decodeFeed, encodeFeed } from "./codec.js";
import { subscribe, type FeedHooks, type FeedSubscription } from "./feed.js";

const KIND = "process";

/** As a CBOR array `[version, "process", news]`. */
export function encodeProcessNews(news: ProcessNews): Uint8Array {
  return encodeFeed(KIND, [news]);
}

/** The inverse of {@link encodeProcessNews}. @throws ProtocolError for another version, kind or shape */
export function decodeProcessNews(data: Uint8Array): ProcessNews {
  return processNews(decodeFeed(KIND, data)[0], "process news");
}

/** A no-op on a connection that is closed or about to. */
export function publishProcessNews(nc: NatsConnection, subjects: Subjects, news: ProcessNews): void {
  if (nc.isClosed() || nc.isDraining()) return;
  nc.publish(subjects.event(KIND), encodeProcessNews(news));
}

/** Calls `handler` for what every node says, one's own included. Survives reconnects. */
export function subscribeProcessNews(
  nc: NatsConnection,
  subjects: Subjects,
  handler: (news: ProcessNews) => void,
  hooks: FeedHooks = {},
): FeedSubscription {
  return subscribe(nc, subjects.event(KIND), decodeProcessNews, handler, hooks);
}
