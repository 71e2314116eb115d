/** What a queue tells its agent of the workers that it could use: a level, told when it changes. */

/** A level that waits is said again so often: it could be lost with a channel, or with what its agent knew. Milliseconds. */
const REPEAT_MS = 5_000;

export class DemandLevel {
  private said = 0;
  /** Leases that came, since ever. */
  private got = 0;
  private due = false;
  private timer: NodeJS.Timeout | undefined;

  /**
   * @param want how many more workers would be of use now
   * @param say tells the agent, and how many have come so far: it may have granted more, which are on their way
   */
  constructor(
    private readonly want: () => number,
    private readonly say: (want: number, got: number) => void,
  ) {}

  /** Once per turn, after everything that this turn submits or answers. */
  later(): void {
    if (this.due) return;
    this.due = true;
    process.nextTick(() => {
      this.due = false;
      this.tell();
    });
  }

  tell(): void {
    const want = this.want();
    if (want === this.said) return;
    this.said = want;
    this.say(want, this.got);
    if (want > 0) this.repeatLater();
  }

  /** A worker came; the agent counts it off, too. */
  granted(): void {
    this.got++;
    if (this.said > 0) this.said--;
  }

  /** The agent knows nothing of it, or has dropped it. */
  forgotten(): void {
    this.said = 0;
  }

  private repeatLater(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      if (this.said === 0) return;
      this.said = 0;
      this.tell();
    }, REPEAT_MS).unref();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
