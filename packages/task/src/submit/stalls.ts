/** Finds workers that are busy with one task while others lie behind it. */
import type { Lease } from "./lease.js";

/** What was to take some 2 ms has not moved for so long: an estimate was wrong, or the task waits. Milliseconds. */
const STALLED_MS = 10;

export class StallWatch {
  private timer: NodeJS.Timeout | undefined;

  /** @param onStalled called once per stall, with about how long it lasts already, in microseconds. */
  constructor(
    private readonly leases: ReadonlySet<Lease>,
    private readonly onStalled: (lease: Lease, us: number) => void,
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
      if (lease.inFlight.size < 2 || lease.stalled || lease.broken) lease.endedBefore = -1;
      else if (lease.endedBefore === lease.ended) {
        lease.endedBefore = -1;
        this.onStalled(lease, STALLED_MS * 1000);
      } else {
        lease.endedBefore = lease.ended;
        again = true;
      }
    }
    if (again) this.watch();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
