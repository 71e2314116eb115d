/** Finds workers with more before them than they should have, while others could take it. */
import type { Lease } from "./lease.js";

/** What was to take some 2 ms has not moved for so long: an estimate was wrong, or the task waits. Milliseconds. */
const STALLED_MS = 10;
/** So much work on one worker is too much, when it is known by now how long it takes. Microseconds. */
const OVERFULL_US = 20_000;

export interface StallHost {
  /** What lies at the worker takes about so long, in microseconds; 0 where all of it was asked back. */
  workOf(lease: Lease): number;
  /** Nothing has ended for about so long, in microseconds. Called once per stall. */
  stalled(lease: Lease, us: number): void;
  /** Things move, but what lies there takes too long. */
  overfull(lease: Lease): void;
}

export class StallWatch {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly leases: ReadonlySet<Lease>,
    private readonly host: StallHost,
  ) {}

  /** A lease has several tasks in flight. Cheap, since it is called for each one that is sent. */
  watch(): void {
    // Answers that came while this process was busy are read before anybody is judged by their absence.
    this.timer ??= setTimeout(() => setImmediate(() => this.look()), STALLED_MS).unref();
  }

  private look(): void {
    if (this.timer === undefined) return;
    this.timer = undefined;
    let again = false;
    for (const lease of this.leases) {
      if (lease.inFlight.size < 2 || lease.stalled || lease.broken) {
        lease.endedBefore = -1;
        continue;
      }
      again = true;
      if (lease.endedBefore === lease.ended) {
        lease.endedBefore = -1;
        this.host.stalled(lease, STALLED_MS * 1000);
      } else {
        lease.endedBefore = lease.ended;
        if (this.host.workOf(lease) > OVERFULL_US) this.host.overfull(lease);
      }
    }
    if (again) this.watch();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
