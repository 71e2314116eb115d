/** The clock that reminders go by: that of the machine, or for tests one that stands still until it is told to go on. */

/** Ends what was asked for. */
export type Forget = () => void;

export interface ReminderClock {
  readonly virtual: boolean;
  /** Milliseconds since 1970. */
  now(): number;
  /** Virtual clocks: called, and waited for, before it goes on. */
  onMove?(prepare: () => Promise<void>): Forget;
  /** Calls `due` once when it is that time, or soon if it was. A promise that it gives is waited for by a virtual clock. */
  at(time: number, due: () => unknown): Forget;
}

/** A timer is looked at again after this: machines sleep, and their clocks are set. Milliseconds. */
const LOOK_MS = 60_000;

export class MachineClock implements ReminderClock {
  readonly virtual = false;

  now(): number {
    return Date.now();
  }

  at(time: number, due: () => unknown): Forget {
    let timer: NodeJS.Timeout;
    const wait = (): void => {
      const left = Math.max(0, Math.min(time - this.now(), LOOK_MS));
      timer = setTimeout(() => (this.now() >= time ? void due() : wait()), left).unref();
    };
    wait();
    return () => clearTimeout(timer);
  }
}

interface Waiting {
  readonly time: number;
  readonly due: () => unknown;
}

export class VirtualClock implements ReminderClock {
  readonly virtual = true;
  private readonly waiting = new Set<Waiting>();
  private readonly prepares = new Set<() => Promise<void>>();
  private moving: Promise<void> = Promise.resolve();

  /** @param time where it begins, in milliseconds since 1970 */
  constructor(private time: number) {}

  now(): number {
    return this.time;
  }

  at(time: number, due: () => unknown): Forget {
    const entry: Waiting = { time, due };
    this.waiting.add(entry);
    // What is due already comes in a later turn, as with any clock.
    if (time <= this.time) setImmediate(() => void this.call(entry));
    return () => this.waiting.delete(entry);
  }

  /** Goes on to this time, stopping at each time on the way until what was due there is done. Never goes back. */
  async advanceTo(time: number): Promise<void> {
    const moving = this.moving.then(() => this.move(time));
    this.moving = moving.catch(() => {});
    await moving;
  }

  onMove(prepare: () => Promise<void>): Forget {
    this.prepares.add(prepare);
    return () => this.prepares.delete(prepare);
  }

  private async move(to: number): Promise<void> {
    for (const prepare of this.prepares) await prepare();
    for (;;) {
      const first = [...this.waiting].filter(({ time }) => time <= to).sort((a, b) => a.time - b.time)[0];
      if (first === undefined) break;
      this.time = Math.max(this.time, first.time);
      await this.call(first);
    }
    this.time = Math.max(this.time, to);
  }

  private async call(entry: Waiting): Promise<void> {
    if (this.waiting.delete(entry)) await entry.due();
  }
}
