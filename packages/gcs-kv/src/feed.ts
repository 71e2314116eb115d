/** One pass over a bucket: first the latest entry of every key, then each change as it comes. See {@link ConsumerFeed}. */
import { DeliverPolicy } from "@nats-io/jetstream";
import type { Bucket, Entry } from "./bucket.js";
import { ConsumerFeed, type MessageListener } from "./consumer-feed.js";
import type { BrokerLink } from "./link.js";

export interface FeedListener extends Omit<MessageListener, "message"> {
  entry(entry: Entry): void;
}

export type Feed = Pick<ConsumerFeed, "stop">;

/** @throws ConnectionError where the consumer can't be made within `timeoutMs` */
export function startFeed(
  link: BrokerLink,
  bucket: Bucket,
  prefix: string,
  listener: FeedListener,
  timeoutMs: number,
): Promise<Feed> {
  return ConsumerFeed.start(
    link,
    {
      stream: bucket.stream,
      label: `bucket ${bucket.stream}`,
      config: { deliver_policy: DeliverPolicy.LastPerSubject, filter_subject: bucket.filter(prefix) },
      revive: bucket.revive,
    },
    {
      message: (message, revision) => {
        bucket.latest = Math.max(bucket.latest, revision);
        listener.entry({
          key: bucket.keyOf(message.subject),
          revision,
          data: message.data,
          marker:
            message.headers?.has("KV-Operation") === true ||
            message.headers?.has("Nats-Marker-Reason") === true,
        });
      },
      filled: () => listener.filled(),
      broken: (why) => listener.broken(why),
    },
    timeoutMs,
  );
}
