/**
 * Publishing and reading the feeds over a plain NATS connection. Nothing here waits for anything: a feed is
 * published and forgotten, and what can't be read is counted and dropped.
 */
import type { NatsConnection, Subscription } from "@nats-io/nats-core";
import { ProtocolError, toError, type NodeId, type Subjects } from "@stingray/protocol";
import { decodeDeath, encodeDeath, type Death } from "./death.js";
import { decodeHeartbeat, encodeHeartbeat, type Heartbeat } from "./heartbeat.js";
import { decodeObjectNews, encodeObjectNews, type ObjectNews } from "./locations.js";

/** Publishes a heartbeat of its node. A no-op on a closed connection. */
export function publishHeartbeat(nc: NatsConnection, subjects: Subjects, heartbeat: Heartbeat): void {
  if (nc.isClosed()) return;
  nc.publish(subjects.heartbeat(heartbeat.node), encodeHeartbeat(heartbeat));
}

/** Tells the cluster of a death. A no-op on a closed connection. */
export function publishDeath(nc: NatsConnection, subjects: Subjects, death: Death): void {
  if (nc.isClosed()) return;
  nc.publish(subjects.deaths(), encodeDeath(death));
}

/**
 * Tells the cluster which large objects a node has got, or has no longer, in as many messages as it takes. A no-op on
 * a connection that is closed or about to.
 */
export function publishObjectNews(nc: NatsConnection, subjects: Subjects, news: ObjectNews): void {
  if (nc.isClosed() || nc.isDraining()) return;
  const subject = subjects.objects(news.node);
  for (const message of encodeObjectNews(news, nc.info?.max_payload)) nc.publish(subject, message);
}

/** A running subscription to a feed. */
export interface FeedSubscription {
  /** Messages that were no valid message of this feed, and were dropped. */
  readonly malformed: number;
  /** Messages whose handler threw: a bug of the subscriber's. */
  readonly failed: number;
  stop(): void;
}

export interface FeedHooks {
  /** For each message that could not be read. It is dropped and counted in any case. */
  onMalformed?: (error: ProtocolError) => void;
  /** For each message whose handler threw. */
  onHandlerError?: (error: Error) => void;
}

/** Calls `handler` for the heartbeats of every node, one's own included. Survives reconnects. */
export function subscribeHeartbeats(
  nc: NatsConnection,
  subjects: Subjects,
  handler: (heartbeat: Heartbeat) => void,
  hooks: FeedHooks = {},
): FeedSubscription {
  return subscribe(nc, subjects.heartbeats(), decodeHeartbeat, handler, hooks);
}

/** As {@link subscribeHeartbeats} for one node. */
export function subscribeHeartbeatOf(
  nc: NatsConnection,
  subjects: Subjects,
  node: NodeId,
  handler: (heartbeat: Heartbeat) => void,
  hooks: FeedHooks = {},
): FeedSubscription {
  return subscribe(nc, subjects.heartbeat(node), decodeHeartbeat, handler, hooks);
}

/** Calls `handler` for every death that is told, one's own messages included. Survives reconnects. */
export function subscribeDeaths(
  nc: NatsConnection,
  subjects: Subjects,
  handler: (death: Death) => void,
  hooks: FeedHooks = {},
): FeedSubscription {
  return subscribe(nc, subjects.deaths(), decodeDeath, handler, hooks);
}

/** Calls `handler` for what every node says of its large objects, one's own included. Survives reconnects. */
export function subscribeObjectNews(
  nc: NatsConnection,
  subjects: Subjects,
  handler: (news: ObjectNews) => void,
  hooks: FeedHooks = {},
): FeedSubscription {
  return subscribe(nc, subjects.allObjects(), decodeObjectNews, handler, hooks);
}

/** Reads a feed: what can't be read is counted and dropped. */
export function subscribe<T>(
  nc: NatsConnection,
  subject: string,
  decode: (data: Uint8Array) => T,
  handler: (message: T) => void,
  hooks: FeedHooks,
): FeedSubscription {
  const counts = { malformed: 0, failed: 0 };
  const subscription: Subscription = nc.subscribe(subject, {
    callback: (error, message) => {
      if (error) return; // a permission error: the connection's watcher reports it
      let decoded: T;
      try {
        decoded = decode(message.data);
      } catch (thrown) {
        counts.malformed++;
        hooks.onMalformed?.(asProtocolError(thrown));
        return;
      }
      try {
        handler(decoded);
      } catch (thrown) {
        counts.failed++;
        hooks.onHandlerError?.(toError(thrown));
      }
    },
  });
  return {
    get malformed() {
      return counts.malformed;
    },
    get failed() {
      return counts.failed;
    },
    stop: () => {
      if (!subscription.isClosed()) subscription.unsubscribe();
    },
  };
}

function asProtocolError(thrown: unknown): ProtocolError {
  return thrown instanceof ProtocolError
    ? thrown
    : new ProtocolError("a feed message could not be read; it is dropped", { cause: thrown });
}
