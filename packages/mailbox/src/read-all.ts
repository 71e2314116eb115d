/** What lies in a part of the stream now, oldest first. */
import { ConsumerFeed, type BrokerLink, type FeedSource } from "@stingray/gcs-kv";
import { ConnectionError } from "@stingray/protocol";
import type { KeptMessage } from "./log.js";

/** @throws ConnectionError after the link's `timeoutMs` */
export async function readAll(link: BrokerLink, source: FeedSource): Promise<KeptMessage[]> {
  const deadline = performance.now() + link.timeoutMs;
  for (;;) {
    const left = deadline - performance.now();
    if (left <= 0) throw new ConnectionError(`${source.label} could not be read within ${link.timeoutMs} ms`);
    const found = await pass(link, source, left);
    if (found !== undefined) return found;
  }
}

/** One try; nothing where the feed broke off or time is up. */
function pass(link: BrokerLink, source: FeedSource, timeoutMs: number): Promise<KeptMessage[] | undefined> {
  return new Promise((resolve, reject) => {
    const found: KeptMessage[] = [];
    let feed: ConsumerFeed | undefined;
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
      message: ({ data }: { data: Uint8Array }, revision: number) => void found.push({ revision, data }),
      filled: () => end(() => resolve(found)),
      broken: again,
    };
    ConsumerFeed.start(link, source, listener, timeoutMs).then(
      (started) => {
        if (ended) started.stop();
        else feed = started;
      },
      (error: Error) => end(() => reject(error)),
    );
  });
}
