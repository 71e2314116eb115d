/**
 * Where large objects are, cluster-wide: the second source, for when an object's owner is dead or the copies that it
 * named can't be read. Agents tell each other over a feed, and write down in the control store what stays. Both may lag
 * behind, so who finds no copy where one was said to be says so and tries the next.
 */
import { parseObjectKey, type ObjectRow, type Table } from "@stingray/gcs-kv";
import type { NodeId, ProcessId } from "@stingray/protocol";
import type { ObjectNews } from "../../feed/mod.js";
import { LocationCache, type KnownCopies } from "./location-cache.js";
import { LocationLookup } from "./location-lookup.js";
import { LocationNews } from "./location-news.js";
import { LocationRows } from "./location-rows.js";
import { systemTimers, type Timers } from "../timers.js";

/** Smaller objects are not told of, in bytes: their owners alone know where they are. */
export const LARGE_OBJECT = 1024 * 1024;
/** Most copies on other nodes that are remembered. */
const REMEMBERED = 200_000;

export interface LocationHooks {
  /** Tells all other agents; must not throw. */
  publish(news: ObjectNews): void;
  /** The table of objects. Asked for when it is needed first, and again after it could not be had. */
  table(): Promise<Pick<Table<ObjectRow>, "put" | "delete" | "entries">>;
  /** Whether the node takes part in the cluster, as far as this one knows. */
  isAlive(node: string): boolean;
  /** Something went wrong that nobody waits for. */
  failed(what: string, error: unknown): void;
}

export class Locations {
  private readonly news: LocationNews;
  private readonly cache: LocationCache;
  private readonly rows: LocationRows;
  private readonly lookup: LocationLookup;
  private stopped = false;

  /** @param o `remembered`: most copies on other nodes that are kept in mind, default 200,000 */
  constructor(
    private readonly own: { node: NodeId; agent: ProcessId },
    private readonly hooks: LocationHooks,
    o: { timers?: Timers; remembered?: number } = {},
  ) {
    const timers = o.timers ?? systemTimers;
    this.news = new LocationNews(timers, (news) => hooks.publish({ ...own, ...news }));
    this.cache = new LocationCache(o.remembered ?? REMEMBERED);
    this.rows = new LocationRows(own, timers, hooks);
    this.lookup = new LocationLookup(timers, () => hooks.table());
  }

  /** Copies on other nodes that are remembered; those forgotten for want of room; rows that wait to be written. */
  get figures(): { remembered: number; dropped: number; rowsPending: number } {
    return { remembered: this.cache.size, dropped: this.cache.dropped, rowsPending: this.rows.pending };
  }

  /** This node has the object whole. Saying it again changes nothing. Of unknown jobs no row is written. */
  added(object: string, size: number, job: string | undefined): void {
    if (this.stopped) return;
    if (size < LARGE_OBJECT) {
      this.removed([object]); // made again, and smaller
      return;
    }
    this.news.added(object, size);
    if (job !== undefined) this.rows.added(object, size, job);
  }

  /** This node has them no longer. Unknown ones are no error. */
  removed(objects: readonly string[]): void {
    if (this.stopped) return;
    for (const object of objects) {
      this.news.removed(object);
      this.rows.removed(object);
    }
  }

  /** What a node has told; one's own word comes back, too, and is ignored. */
  received(news: ObjectNews): void {
    if (news.node !== this.own.node && !this.stopped) this.cache.apply(news);
  }

  /** Another node appeared that knows nothing yet: everything is told once more, at most once per second. */
  newcomer(node: string): void {
    if (node !== this.own.node) this.news.everything();
  }

  /** The connection was away, and what was told meanwhile is lost. */
  reconnected(): void {
    this.news.everything();
  }

  /** The control store lost its tables: the rows are written anew. */
  tablesLost(): void {
    this.rows.writeAgain();
  }

  nodeGone(node: string): void {
    this.cache.forgetNode(node);
  }

  /** The copy that was said to be on that node could not be read: it is not named again before the node says so anew. */
  unreadable(object: string, node: string): void {
    this.cache.forget(object, node);
  }

  /**
   * The live nodes that are said to have the object, this one first, from memory or, where nothing is known and the job
   * is given, from the control store within 3 s. Where nobody knows of a copy: size 0 and no copies.
   * @throws ConnectionError where the control store could not be read in time; there may be copies then
   */
  async locate(object: string, job: string | undefined): Promise<KnownCopies> {
    const known = this.known(object);
    if (known.copies.length > 0 || job === undefined) return known;
    const rows = await this.lookup.find(job, object);
    // Told meanwhile: fresher than any row.
    const told = this.known(object);
    if (told.copies.length > 0) return told;
    // What this node has it knows better than its rows.
    const others = rows
      .map(({ key, value }) => ({ node: parseObjectKey(key).node, ...value }))
      .filter(({ node }) => node !== this.own.node && this.hooks.isAlive(node));
    const size = others.at(-1)?.size ?? 0;
    // One of another size is of a value that was lost, and made again since.
    return {
      size,
      copies: others.filter((row) => row.size === size).map(({ node, agent }) => [node, agent]),
    };
  }

  /** The last word of this node is that it has nothing; its rows go with their jobs. Idempotent. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.news.stop();
    this.rows.stop();
    this.lookup.stop();
  }

  private known(object: string): KnownCopies {
    const here = this.news.size(object);
    const there = this.cache.find(object);
    const size = here ?? there?.size ?? 0;
    const copies = there?.size === size ? there.copies.filter(([node]) => this.hooks.isAlive(node)) : [];
    if (here !== undefined) copies.unshift([this.own.node, this.own.agent]);
    return copies.length === 0 ? { size: 0, copies } : { size, copies };
  }
}
