/** How long tasks take, as far as those that ended tell. */
import type { RemoteDefinition } from "../registry.js";

/** Work that should lie ready at a worker so that it never waits for the next message. Microseconds. */
const DEPTH_WORK_US = 2_000;
/** Most tasks in flight on one worker. */
const MAX_DEPTH = 1_000;

/** How long tasks of one function take: follows up at once and comes down slowly, since too deep a queue hurts more. */
export class RunTime {
  private meanUs: number | undefined;
  /** One that has not ended takes at least this long. */
  private runningUs = 0;

  observe(us: number): void {
    this.runningUs = 0;
    const mean = this.meanUs;
    this.meanUs = mean === undefined || us > mean * 4 ? us : mean + 0.1 * (us - mean);
  }

  /** One runs for so long already: counts until the next has ended. */
  observeRunning(us: number): void {
    this.runningUs = us;
  }

  /** Tasks that may be in flight on one worker. One, until the first has ended. */
  get depth(): number {
    const us = this.expectedUs;
    if (us === undefined) return 1;
    return Math.max(1, Math.min(MAX_DEPTH, Math.floor(DEPTH_WORK_US / Math.max(us, 0.5))));
  }

  /** Microseconds that `count` tasks will take; undefined while unknown. */
  estimate(count: number): number | undefined {
    const us = this.expectedUs;
    return us === undefined ? undefined : count * us;
  }

  private get expectedUs(): number | undefined {
    return this.meanUs === undefined ? undefined : Math.max(this.meanUs, this.runningUs);
  }
}

/** By function, of one queue. */
export class RunTimes {
  private readonly times = new Map<RemoteDefinition, RunTime>();

  of(definition: RemoteDefinition): RunTime {
    let time = this.times.get(definition);
    if (time === undefined) this.times.set(definition, (time = new RunTime()));
    return time;
  }
}
