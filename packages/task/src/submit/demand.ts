/** What a queue tells its agent of the workers that it could use: a level, told when it changes. */

/** A level that waits is said again so often: it could be lost with a channel, or with what its agent knew. Milliseconds. */
const REPEAT_MS = 5_000;

/** Demand that was not served for so long waits for something. Milliseconds. */
const WAITS_MS = 20;

export interface DemandHost {
  /** How many more workers would be of use now. */
  want(): number;
  /** Tells the agent, and how many have come so far: it may have granted more, which are on their way. */
  say(want: number, got: number): void;
  /** It was told a while ago, and nothing has come. */
  waits(): void;
}

export class DemandLevel {
  /** Undefined: what the agent has is not known, and the level is told whatever it is. */
  private said: number | undefined = 0;
  /** What it was told of the leases that have come. One that does not know of them asks again when their node is lost. */
  private gotSaid: number;
  private due = false;
  private timer: NodeJS.Timeout | undefined;
  private waitTimer: NodeJS.Timeout | undefined;

  /**
   * @param got leases that came, or were lost on their way, before, for whatever: a queue that was dropped and is there again then says more than
   *   it ever said, so its agent takes nothing for being on its way that has long come
   */
  constructor(
    private readonly host: DemandHost,
    private got = 0,
    private readonly repeatMs = REPEAT_MS,
  ) {
    this.gotSaid = got;
  }

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
    const want = this.host.want();
    if (want === this.said) return;
    this.said = want;
    this.gotSaid = this.got;
    this.host.say(want, this.got);
    if (want === 0) return;
    this.repeatLater();
    this.waitTimer ??= setTimeout(() => {
      this.waitTimer = undefined;
      if (this.said !== undefined && this.said > 0) this.host.waits();
    }, WAITS_MS).unref();
  }

  /** The agent was told that none is wanted. */
  get isZero(): boolean {
    return this.said === 0 && !this.due;
  }

  /** A worker came; the agent counts it off, too. */
  granted(): void {
    this.got++;
    if (this.said === undefined || (this.said > 0 && --this.said > 0)) return;
    clearTimeout(this.waitTimer);
    this.waitTimer = undefined;
  }

  /** The agent knows nothing of it. */
  forgotten(): void {
    this.said = 0;
  }

  /** The agent may have dropped it, or not: another node that was to serve a part of it speaks for that part only. */
  unsure(): void {
    this.said = undefined;
    this.later();
  }

  /** So many that the agent takes for being on their way will not come. */
  lost(count: number): void {
    this.got += count;
    this.unsure();
  }

  private repeatLater(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      if (this.said === 0 && this.got === this.gotSaid) return;
      this.said = undefined;
      this.tell();
    }, this.repeatMs).unref();
  }

  stop(): void {
    clearTimeout(this.timer);
    clearTimeout(this.waitTimer);
    this.timer = this.waitTimer = undefined;
  }
}
