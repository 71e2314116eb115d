/** Work where only the newest counts: one piece at a time; what comes meanwhile is merged and follows. */

interface Waiting<T> {
  work: T;
  readonly done: (() => void)[];
  readonly failed: ((error: unknown) => void)[];
}

export class Latest<T> {
  private waiting: Waiting<T> | undefined;
  private busy = false;

  /** @param merge what waits and what comes */
  constructor(
    private readonly merge: (older: T, newer: T) => T,
    private readonly run: (work: T) => Promise<void>,
  ) {}

  /** Resolves when this, or something newer, is done; rejects with what doing it threw. */
  put(work: T): Promise<void> {
    return new Promise((resolve, reject) => {
      const { waiting } = this;
      if (waiting === undefined) this.waiting = { work, done: [resolve], failed: [reject] };
      else {
        waiting.work = this.merge(waiting.work, work);
        waiting.done.push(resolve);
        waiting.failed.push(reject);
      }
      if (!this.busy) void this.drain();
    });
  }

  private async drain(): Promise<void> {
    this.busy = true;
    for (let next = this.waiting; next !== undefined; next = this.waiting) {
      this.waiting = undefined;
      try {
        await this.run(next.work);
        for (const done of next.done) done();
      } catch (error) {
        for (const failed of next.failed) failed(error);
      }
    }
    this.busy = false;
  }
}
