/**
 * The actors table with the newest known row of each actor: fed by the table's watch, and at once by this agent's own
 * writes, so that whoever listens here never waits for a write to come back from the broker.
 */
import type { ActorRow, Row, Table, TableCache } from "@stingray/gcs-kv";
import { StingrayError, type ActorId } from "@stingray/protocol";
import { nextActorRow, type ActorEvent } from "./actor-machine.js";

export type ActorEntry = Row<ActorRow>;

/** Called with the newest row, or undefined where it was removed, and the one before. */
export type ActorListener = (
  actor: ActorId,
  now: ActorEntry | undefined,
  before: ActorEntry | undefined,
) => void;

/** Rounds of losing to another writer of the same row before the event counts as stale. */
const ROUNDS = 100;
/** Between tries while the broker is away, in milliseconds. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

export class ActorBook {
  private readonly newest = new Map<string, ActorEntry>();
  private readonly listeners = new Set<ActorListener>();
  private stopped = false;

  private constructor(
    private readonly table: Table<ActorRow>,
    private readonly cache: TableCache<ActorRow>,
  ) {}

  static async open(table: Table<ActorRow>): Promise<ActorBook> {
    const cache = await table.watch();
    const book = new ActorBook(table, cache);
    for (const row of cache.entries()) book.newest.set(row.key, row);
    cache.onChange(({ key, row }) => (row === undefined ? book.forget(key) : book.learn(row)));
    return book;
  }

  /** The newest row known here. */
  get(actor: string): ActorEntry | undefined {
    return this.newest.get(actor);
  }
  entries(): IterableIterator<ActorEntry> {
    return this.newest.values();
  }
  /** As the broker has it now. */
  async fetch(actor: string): Promise<ActorEntry | undefined> {
    const row = await this.table.get(actor);
    if (row !== undefined) this.learn(row);
    return row;
  }

  /** Undefined where there is such a row already. */
  async create(value: ActorRow): Promise<ActorEntry | undefined> {
    const written = await this.table.create(value.spec.actor, value);
    if (!written.ok) return undefined;
    const entry = { key: value.spec.actor, value, revision: written.revision };
    this.learn(entry);
    return entry;
  }

  /**
   * Applies the event to the row as long as it makes sense there, looking again when another write came between, and
   * trying until the broker is back when that is away.
   * @param revision only to the row with this revision
   * @returns the new row, or undefined where the event was stale
   */
  async apply(actor: string, event: ActorEvent, revision?: number): Promise<ActorEntry | undefined> {
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        return await this.tryApply(actor, event, revision);
      } catch (error) {
        // What happened has happened: a broker that is away only puts off that it is written down.
        if (this.stopped || !(error instanceof StingrayError) || !error.retryable) throw error;
        await new Promise((resolve) => setTimeout(resolve, pause).unref());
      }
    }
  }

  private async tryApply(
    actor: string,
    event: ActorEvent,
    revision: number | undefined,
  ): Promise<ActorEntry | undefined> {
    let entry = this.newest.get(actor) ?? (await this.fetch(actor));
    for (let round = 0; entry !== undefined && round < ROUNDS; round++) {
      if (revision !== undefined && entry.revision !== revision) {
        if (entry.revision > revision) return undefined;
        entry = await this.fetch(actor); // ours lagged behind the sender's
        continue;
      }
      const next = nextActorRow(entry.value, event);
      if (next === undefined) return undefined;
      const written = await this.table.update(actor, next, entry.revision);
      if (written.ok) {
        const won = { key: actor, value: next, revision: written.revision };
        this.learn(won);
        return won;
      }
      entry = written.current;
      if (entry === undefined) this.forget(actor);
      else this.learn(entry);
    }
    return undefined;
  }

  /** Removes the row if it is still this one. */
  async remove(entry: ActorEntry): Promise<void> {
    const gone = await this.table.delete(entry.key, entry.revision);
    if (gone.ok) this.forget(entry.key);
  }

  onChange(listener: ActorListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  stop(): Promise<void> {
    this.stopped = true;
    this.listeners.clear();
    return this.cache.stop();
  }

  private learn(row: ActorEntry): void {
    const before = this.newest.get(row.key);
    if (before !== undefined && before.revision >= row.revision) return;
    this.newest.set(row.key, row);
    for (const listener of this.listeners) listener(row.key as ActorId, row, before);
  }

  private forget(actor: string): void {
    const before = this.newest.get(actor);
    if (before === undefined) return;
    this.newest.delete(actor);
    for (const listener of this.listeners) listener(actor as ActorId, undefined, before);
  }
}
