/** A leased worker: tasks of one shape are streamed to it, as deep as their run time allows. */
import type { ExitReport, NodeId, ProcessId } from "@stingray/protocol";
import type { Channel } from "@stingray/broker";
import type { PendingTask } from "./task.js";

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

export class Lease {
  readonly inFlight = new Set<PendingTask>();
  /** Nothing more is sent; returned when what was sent is done. */
  closing = false;
  /** Its worker can't be reached; waiting for the agent to say why. */
  broken = false;
  /** Its worker sent tasks back unasked. */
  refused = false;
  /** It sits on one task; what lay behind was asked back, and nothing more is sent until something ends. */
  stalled = false;
  /** Its worker is being ended for a task of this lease. */
  killing = false;
  /** How the worker ended, once known. */
  report: ExitReport | undefined;
  idleSince = 0;
  /** Tasks sent in all. */
  sent = 0;
  /** Tasks that ended, in all. */
  ended = 0;
  /** The same when the watch looked last; -1: nothing lay behind another then. */
  endedBefore = -1;

  constructor(
    readonly id: string,
    readonly worker: ProcessId,
    readonly node: NodeId,
    readonly agent: ProcessId,
    readonly channel: Channel,
  ) {}

  get usable(): boolean {
    return !this.closing && !this.broken;
  }

  /** Whether one more task may be sent. */
  accepts(task: PendingTask, depth: number): boolean {
    if (!this.usable) return false;
    if (this.inFlight.size === 0) return true;
    if (this.stalled) return false;
    if (task.settings.alone || this.inFlight.size >= depth) return false;
    const [first] = this.inFlight;
    return first === undefined || !first.settings.alone;
  }
}
