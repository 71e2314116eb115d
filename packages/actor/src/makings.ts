/** Which actors are being made in this process, and who waits for that. */

/** What is on its way to this process is here within this. Milliseconds. */
const ON_ITS_WAY_MS = 5_000;

export class Makings {
  private readonly making = new Map<string, number>();
  private readonly waiting = new Map<string, Set<() => void>>();

  /** Runs `make`, whose end those who wait hear of, one way or the other. */
  async during<T>(actor: string, make: () => Promise<T>): Promise<T> {
    this.making.set(actor, (this.making.get(actor) ?? 0) + 1);
    try {
      return await make();
    } finally {
      const left = (this.making.get(actor) ?? 1) - 1;
      if (left > 0) this.making.set(actor, left);
      else this.making.delete(actor);
      for (const done of this.waiting.get(actor) ?? []) done();
    }
  }

  /** Whether one is being made. */
  has(actor: string): boolean {
    return this.making.has(actor);
  }

  /** Resolves when it is there or has failed; after a while, if it is not even begun. */
  ended(actor: string): Promise<void> {
    return new Promise((resolve) => {
      const same = this.waiting.get(actor) ?? new Set();
      this.waiting.set(actor, same);
      const done = (): void => {
        clearTimeout(timer);
        same.delete(done);
        if (same.size === 0 && this.waiting.get(actor) === same) this.waiting.delete(actor);
        resolve();
      };
      const timer = setTimeout(() => {
        if (!this.making.has(actor)) done();
      }, ON_ITS_WAY_MS).unref();
      same.add(done);
    });
  }
}
