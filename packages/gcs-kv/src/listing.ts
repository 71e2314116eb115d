/** All of a bucket under a prefix, at one moment: one feed, read until it is filled. */
import { setTimeout as sleep } from "node:timers/promises";
import { ConnectionError } from "@stingray/protocol";
import type { Bucket, Entry } from "./bucket.js";
import { startFeed, type Feed } from "./feed.js";
import type { BrokerLink } from "./link.js";

const PAUSE_MS = 20;

/** The entries, markers among them, oldest first. @throws ConnectionError after the link's `timeoutMs` */
export async function listBucket(link: BrokerLink, bucket: Bucket, prefix: string): Promise<Entry[]> {
  const deadline = performance.now() + link.timeoutMs;
  for (;;) {
    const left = deadline - performance.now();
    if (left <= 0) {
      throw new ConnectionError(
        `listing bucket ${bucket.stream} under "${prefix}" took longer than ${link.timeoutMs} ms; ` +
          `check the connection to the broker, or raise the control store's timeoutMs`,
      );
    }
    const entries = await pass(link, bucket, prefix, left);
    if (entries !== undefined) return [...entries.values()].toSorted((a, b) => a.revision - b.revision);
    await sleep(PAUSE_MS);
  }
}

/** One try; nothing where the feed broke off or time is up. */
function pass(
  link: BrokerLink,
  bucket: Bucket,
  prefix: string,
  timeoutMs: number,
): Promise<Map<string, Entry> | undefined> {
  return new Promise((resolve, reject) => {
    const entries = new Map<string, Entry>();
    let feed: Feed | undefined;
    let ended = false;
    const end = (settle: () => void): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      for (const forget of forgets) forget();
      feed?.stop();
      settle();
    };
    const again = (): void => end(() => resolve(undefined));
    const timer = setTimeout(again, timeoutMs);
    const forgets = [link.onReconnect(again), link.onClose((error) => end(() => reject(error)))];
    const listener = {
      entry: (entry: Entry): void => void entries.set(entry.key, entry),
      filled: (): void => end(() => resolve(entries)),
      broken: again,
    };
    startFeed(link, bucket, prefix, listener, timeoutMs).then(
      (started) => {
        if (ended) started.stop();
        else feed = started;
      },
      (error: Error) => end(() => reject(error)),
    );
  });
}
