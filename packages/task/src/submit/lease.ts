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

  observe(us: number): void {
    const mean = this.meanUs;
    this.meanUs = mean === undefined || us > mean * 4 ? us : mean + 0.1 * (us - mean);
  }

  /** Tasks that may be in flight on one worker. One, until the first has ended. */
  get depth(): number {
    if (this.meanUs === undefined) return 1;
    return Math.max(1, Math.min(MAX_DEPTH, Math.floor(DEPTH_WORK_US / Math.max(this.meanUs, 0.5))));
  }

  /** Microseconds that `count` tasks will take; undefined while unknown. */
  estimate(count: number): number | undefined {
    return this.meanUs === undefined ? undefined : count * this.meanUs;
  }
}

export class Lease {
  readonly inFlight = new Set<PendingTask>();
  /** Nothing more is sent; returned when what was sent is done. */
  closing = false;
  /** Its worker can't be reached; waiting for the agent to say why. */
  broken = false;
  /** Its worker is being ended for a task of this lease. */
  killing = false;
  /** How the worker ended, once known. */
  report: ExitReport | undefined;
  idleSince = 0;
  /** Tasks sent in all. */
  sent = 0;

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
    if (task.settings.alone || this.inFlight.size >= depth) return false;
    const [first] = this.inFlight;
    return first === undefined || !first.settings.alone;
  }
}
