/** Lines about actors that wait for long: a process that many lived in may have ended, and then all of them wait. */

/** Lines in one {@link WINDOW_MS}; of the others it is said how many they are. */
const MOST = 20;
/** Milliseconds. */
const WINDOW_MS = 2_000;

export class WaitWarnings {
  private said = 0;
  private more = 0;
  private window: NodeJS.Timeout | undefined;

  constructor(
    private readonly warn: (line: string) => void,
    private readonly windowMs = WINDOW_MS,
  ) {}

  say(line: string): void {
    this.window ??= setTimeout(() => this.sum(), this.windowMs).unref();
    if (this.said === MOST) this.more++;
    else {
      this.said++;
      this.warn(line);
    }
  }

  private sum(): void {
    const { more } = this;
    this.window = undefined;
    this.said = this.more = 0;
    if (more === 0) return;
    const others = more === 1 ? "1 more actor waits" : `${more} more actors wait`;
    this.warn(`${others} like those above; "stingray status" counts them`);
  }
}
