/** Which of the leased workers takes the next task. */
import type { NodeId } from "@stingray/protocol";
import type { Lease } from "./lease.js";
import type { PendingTask } from "./task.js";

/** The least loaded lease that takes one more such task. */
export function leastLoaded(leases: Iterable<Lease>, task: PendingTask, depth: number): Lease | undefined {
  let best: Lease | undefined;
  for (const lease of leases) {
    if (lease.accepts(task, depth) && (best === undefined || lease.inFlight.size < best.inFlight.size))
      best = lease;
  }
  return best;
}

export interface SpreadState {
  /** Tasks that wait. */
  readonly waiting: number;
  /** Leases that were announced and are not there yet. */
  readonly coming: number;
  readonly depth: number;
}

/**
 * As `leastLoaded`, on the least loaded node. A worker that was there first does not take what is meant for those that
 * are about to come, else the first node would run it all; nor are tasks piled up on it while there may be others.
 */
export function leastLoadedNode(
  leases: ReadonlySet<Lease>,
  task: PendingTask,
  { waiting, coming, depth }: SpreadState,
): Lease | undefined {
  let awaited = coming;
  for (const lease of leases) if (lease.sent === 0 && lease.usable) awaited++;
  const kept = waiting <= awaited;
  const load = new Map<NodeId, number>();
  for (const { node, inFlight } of leases) load.set(node, (load.get(node) ?? 0) + inFlight.size);
  let best: Lease | undefined;
  let least: [node: number, lease: number] = [Infinity, Infinity];
  for (const lease of leases) {
    if (!lease.accepts(task, depth) || (kept && lease.sent > 0)) continue;
    const [node, own] = [load.get(lease.node) ?? 0, lease.inFlight.size];
    if (node > least[0] || (node === least[0] && own >= least[1])) continue;
    best = lease;
    least = [node, own];
  }
  return best;
}
