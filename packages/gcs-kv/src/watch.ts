/**
 * Keeps a cache fed from the broker, through everything that can happen to the feed: whenever it breaks, and after
 * every reconnect, all is read anew and the differences are applied. (Going on from the last revision would miss
 * deletions whose marker is gone, and everything where a broker came back without its data.)
 */
import { ConnectionError, toError } from "@stingray/protocol";
import { RowCache } from "./cache.js";
import type { Bucket, Entry } from "./bucket.js";
import { startFeed, type Feed } from "./feed.js";
import type { BrokerLink } from "./link.js";
import type { Row } from "./table.js";

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 2000;

export interface WatchOptions<T> {
  link: BrokerLink;
  bucket: Bucket;
  /** Default of the cache's waits, and limit of the first fill, in milliseconds. */
  timeoutMs: number;
  prefix: string;
  /** For error texts, for example `table actors`. */
  label: string;
  /** Whether a key belongs to the table at all. */
  includes(key: string): boolean;
  /** The row of an entry; nothing where it is deleted, or unreadable (and reported). */
  decode(entry: Entry): Row<T> | undefined;
  report: (error: unknown) => void;
}

/**
 * `waiting`: for the next feed. `filling`: the latest rows are coming in. `live`: changes are applied as they come.
 * `stopped`: for good. Each feed has a number; what a former one still says is not heard.
 */
type WatchState<T> =
  | { kind: "waiting"; timer: NodeJS.Timeout | undefined }
  | { kind: "filling"; rows: Map<string, Row<T>>; revision: number }
  | { kind: "live" }
  | { kind: "stopped" };

/** @throws ConnectionError where the rows could not be read within `timeoutMs` */
export function watch<T>(options: WatchOptions<T>): Promise<RowCache<T>> {
  return new Promise((resolve, reject) => {
    const first = (error?: Error): void => {
      clearTimeout(timer);
      if (error === undefined) return resolve(watcher.cache);
      void watcher.cache.stop();
      reject(error);
    };
    const watcher = new Watcher(options, first);
    const timer = setTimeout(() => {
      first(
        new ConnectionError(
          `${options.label} could not be read within ${options.timeoutMs} ms; check the connection to the broker`,
        ),
      );
    }, options.timeoutMs);
    watcher.begin();
  });
}

class Watcher<T> {
  readonly cache: RowCache<T>;
  readonly #options: WatchOptions<T>;
  readonly #forget: (() => void)[];
  /** Told how the first fill went, once. */
  #first: ((error?: Error) => void) | undefined;
  #state: WatchState<T> = { kind: "waiting", timer: undefined };
  #turn = 0;
  #failures = 0;
  #feed: Feed | undefined;

  constructor(options: WatchOptions<T>, first: (error?: Error) => void) {
    this.#options = options;
    this.#first = first;
    this.cache = new RowCache<T>({
      label: options.label,
      timeoutMs: options.timeoutMs,
      refresh: () => {
        if (this.#state.kind === "live") this.#again(0);
      },
      stop: () => this.#stop(),
      report: options.report,
    });
    this.#forget = [
      options.link.onReconnect(() => this.#again(0)),
      options.link.onClose((error) => this.cache.end(error)),
    ];
  }

  begin(): void {
    void this.#run(++this.#turn);
  }

  async #run(turn: number): Promise<void> {
    const { link, bucket, prefix, timeoutMs } = this.#options;
    const current = (): boolean => turn === this.#turn;
    try {
      // A revision may belong to a write that was removed since; once all is read, the cache is past it.
      const revision = this.#first === undefined ? await bucket.lastRevision() : 0;
      if (!current()) return;
      this.#state = { kind: "filling", rows: new Map(), revision };
      const listener = {
        entry: (entry: Entry): void => (current() ? this.#entry(entry) : undefined),
        filled: (): void => (current() ? this.#filled() : undefined),
        broken: (): void => (current() ? this.#again(this.#failures++) : undefined),
      };
      const feed = await startFeed(link, bucket, prefix, listener, timeoutMs);
      if (current()) this.#feed = feed;
      else feed.stop();
    } catch (error) {
      if (!current()) return;
      if (this.#first === undefined) this.#again(++this.#failures);
      else this.#first(toError(error));
    }
  }

  #entry(entry: Entry): void {
    const { key, revision } = entry;
    const row = this.#options.includes(key) ? this.#options.decode(entry) : undefined;
    if (this.#state.kind === "filling") {
      const { rows } = this.#state;
      if (row === undefined) rows.delete(key);
      else rows.set(key, row);
      this.#state.revision = Math.max(this.#state.revision, revision);
    } else if (this.#state.kind === "live") {
      this.cache.apply(key, row, revision);
    }
  }

  #filled(): void {
    if (this.#state.kind !== "filling") return;
    const { rows, revision } = this.#state;
    this.#state = { kind: "live" };
    this.#failures = 0;
    this.cache.replace(rows, revision);
    this.#first?.();
    this.#first = undefined;
  }

  /** Starts over with a new feed, the later the more often it failed. */
  #again(failures: number): void {
    if (this.#state.kind === "stopped") return;
    this.#leave();
    this.cache.lag();
    const ms = failures === 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** Math.min(failures, 10), LONGEST_PAUSE_MS);
    this.#state = { kind: "waiting", timer: setTimeout(() => this.begin(), ms) };
  }

  #stop(): void {
    this.#leave();
    this.#state = { kind: "stopped" };
    for (const forget of this.#forget) forget();
  }

  #leave(): void {
    this.#turn++;
    this.#feed?.stop();
    this.#feed = undefined;
    if (this.#state.kind === "waiting") clearTimeout(this.#state.timer);
  }
}
