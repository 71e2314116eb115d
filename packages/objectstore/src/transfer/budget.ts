/** Bytes that may be on their way to this process, over all its transfers. */
export class Budget {
  readonly #most: number;
  #taken = 0;
  readonly #waiting = new Set<() => void>();

  /** Bytes. */
  constructor(most: number) {
    this.#most = most;
  }

  get taken(): number {
    return this.#taken;
  }

  /** false: not now; `retry` is called once when there is room. One request always fits, however large it is. */
  take(bytes: number, retry: () => void): boolean {
    if (this.#taken > 0 && this.#taken + bytes > this.#most) {
      this.#waiting.add(retry);
      return false;
    }
    this.#taken += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#taken -= bytes;
    for (const retry of this.#waiting) {
      if (this.#taken >= this.#most) return;
      this.#waiting.delete(retry);
      retry();
      if (this.#waiting.has(retry)) return; // took what fits, and waits for more: behind the others
    }
  }

  forget(retry: () => void): void {
    this.#waiting.delete(retry);
  }
}
