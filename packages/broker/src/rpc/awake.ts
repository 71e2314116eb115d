/**
 * Keeps the event loop awake for a moment after a message: the answer to what it caused is then met by a loop that
 * polls instead of one that must be woken, which costs ten times the latency of the message. A chain of `setImmediate`
 * that ends by itself.
 */
export class Awake {
  private until = 0;
  private running = false;
  private readonly ms: number;

  /** @param microseconds how long after each message; 0 never */
  constructor(microseconds: number) {
    this.ms = microseconds / 1000;
  }

  /** A message came. */
  touch(): void {
    if (this.ms === 0) return;
    this.until = performance.now() + this.ms;
    if (this.running) return;
    this.running = true;
    setImmediate(this.turn);
  }

  private readonly turn = (): void => {
    if (performance.now() < this.until) setImmediate(this.turn);
    else this.running = false;
  };
}
