/** One `map` of a pool: items in, results out, no more of either than its members and its reader keep up with. */

/** How a call ended. */
export type Settled<R> =
  { readonly ok: true; readonly value: R } | { readonly ok: false; readonly error: unknown };

interface Slot<R> {
  readonly result: Promise<Settled<R>>;
  done: boolean;
}

interface Source<I> {
  next(): Promise<IteratorResult<I, unknown>> | IteratorResult<I, unknown>;
  return?(): unknown;
}

/** Results that may wait for their reader, for each member. */
const AHEAD = 2;

export class PoolRun<I, R> implements AsyncIterableIterator<R, undefined> {
  /** Begun and not read, in the order of the items. */
  private readonly slots: Slot<R>[] = [];
  private working = 0;
  private source: Source<I> | undefined;
  private filling = false;
  /** No more items are taken. */
  private over = false;
  /**
   * The reader was told of an error: a `for await` ends at that, without a word. No items are taken until it asks again.
   */
  private paused = false;
  /** What the items' own iterator threw, until it was told. */
  private failure: { readonly error: unknown } | undefined;
  private changed: () => void = () => undefined;
  private reading: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly run: (item: I) => Promise<Settled<R>>,
    private readonly items: Iterable<I> | AsyncIterable<I>,
    private readonly members: () => number,
    private readonly ordered: boolean,
  ) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<R, undefined>> {
    const turn = this.reading.then(() => this.read());
    this.reading = turn.catch(() => undefined);
    return turn;
  }

  async return(): Promise<IteratorResult<R, undefined>> {
    const { source, over, filling } = this;
    this.over = true;
    this.slots.length = 0;
    this.changed();
    if (!over) {
      const closed = Promise.resolve(source?.return?.());
      // A generator that is waiting for its next item ends after that, however long it takes.
      if (filling) closed.catch(() => undefined);
      else await closed;
    }
    return { done: true, value: undefined };
  }

  private async read(): Promise<IteratorResult<R, undefined>> {
    this.paused = false;
    for (;;) {
      this.source ??= this.open();
      void this.fill();
      const slot = this.ordered ? this.slots[0] : this.slots.find(({ done }) => done);
      if (slot?.done === true) {
        this.slots.splice(this.slots.indexOf(slot), 1);
        const settled = await slot.result;
        if (!settled.ok) {
          this.paused = true;
          throw settled.error;
        }
        void this.fill();
        return { done: false, value: settled.value };
      }
      if (this.over && this.slots.length === 0) {
        const { failure } = this;
        this.failure = undefined;
        if (failure !== undefined) throw failure.error;
        return { done: true, value: undefined };
      }
      await new Promise<void>((resolve) => (this.changed = resolve));
    }
  }

  private open(): Source<I> {
    const { items } = this;
    return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  }

  /** Takes items while members are free for them. */
  private async fill(): Promise<void> {
    if (this.filling) return;
    this.filling = true;
    try {
      while (this.mayTake) {
        const taken = await this.source?.next();
        if (this.over) break;
        if (taken === undefined || taken.done === true) {
          this.over = true;
          this.changed();
        } else this.begin(taken.value);
      }
    } catch (error) {
      this.over = true;
      this.failure = { error };
      this.changed();
    } finally {
      this.filling = false;
    }
  }

  private get mayTake(): boolean {
    const members = Math.max(1, this.members());
    return !this.over && !this.paused && this.working < members && this.slots.length < members * AHEAD;
  }

  private begin(item: I): void {
    const slot: Slot<R> = { result: this.run(item), done: false };
    this.working++;
    this.slots.push(slot);
    void slot.result.then(() => {
      slot.done = true;
      this.working--;
      this.changed();
      void this.fill();
    });
  }
}
