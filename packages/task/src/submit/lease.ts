/** A leased worker: tasks of one shape are streamed to it, as deep as their run time allows. */
import type { ExitReport, NodeId, ProcessId } from "@stingray/protocol";
import type { Channel } from "@stingray/broker";
import type { PendingTask } from "./task.js";

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
