/**
 * Keeps the event loop awake for a moment after a message: the answer to what it caused is then met by a loop that
 * polls instead of one that must be woken, which on an idle machine costs ten times the latency of the message. A
 * chain of `setImmediate` that ends by itself.
 *
 * On a busy machine the same thing harms: the loop that polls holds the core that its peer needs for the answer. Which
 * of the two it is can't be known, but measured: both ways are tried in turn, the better one most of the time.
 */

/** Samples per trial of a way, and trials of the better way for one of the other. */
const BLOCK = 16;
const BLOCKS_PER_TRIAL = 32;
/** Weight of a new sample. */
const WEIGHT = 1 / 8;
/** Answers that take longer than this, in milliseconds, tell of work and not of waking up; they count as this much. */
const LONGEST_SAMPLE = 0.25;
/** Polling burns a core; it has to be better by this factor to be worth it. */
const WORTH = 0.8;

export class Awake {
  private until = 0;
  private running = false;
  private readonly ms: number;
  /** When something was sent that had no answer yet. */
  private sentAt = 0;
  private polling = true;
  private samples = 0;
  private blocks = 0;
  /** Mean time from a message out to the next one in, each way, in milliseconds; 0 while not known. */
  private withPolling = 0;
  private without = 0;

  /** @param microseconds how long after each message at most; 0 never */
  constructor(microseconds: number) {
    this.ms = microseconds / 1000;
  }

  /** Something was sent. */
  sent(): void {
    if (this.ms !== 0 && this.sentAt === 0) this.sentAt = performance.now();
  }

  /** A message came. */
  touch(): void {
    if (this.ms === 0) return;
    const now = performance.now();
    if (this.sentAt !== 0) {
      this.learn(Math.min(now - this.sentAt, LONGEST_SAMPLE));
      this.sentAt = 0;
    }
    if (!this.polling) return;
    this.until = now + this.ms;
    if (this.running) return;
    this.running = true;
    setImmediate(this.turn);
  }

  private readonly turn = (): void => {
    if (performance.now() < this.until) setImmediate(this.turn);
    else this.running = false;
  };

  private learn(took: number): void {
    const before = this.polling ? this.withPolling : this.without;
    const mean = before === 0 ? took : before + (took - before) * WEIGHT;
    if (this.polling) this.withPolling = mean;
    else this.without = mean;
    if (++this.samples < BLOCK) return;
    this.samples = 0;
    const better = this.without !== 0 && this.withPolling < this.without * WORTH;
    const trial = ++this.blocks % BLOCKS_PER_TRIAL === 0;
    this.polling = trial ? !better : better;
    if (!trial) return;
    // The machine may have changed since the last trial.
    if (this.polling) this.withPolling = 0;
    else this.without = 0;
  }
}
