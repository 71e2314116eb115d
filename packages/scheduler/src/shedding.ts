/** Which leases to ask back when a node has less than is in use. Decides only. */
import type { ResourceAccount } from "./account.js";
import type { Lease } from "./lease-book.js";

/**
 * The youngest leases of tasks, as few as make up for what is lacking; actors keep what they have. What they run now
 * goes on: a lease that is asked back ends with it, where it would else go on for as long as there is work.
 */
export function leasesToShed(leases: Iterable<Lease>, account: ResourceAccount): Lease[] {
  let free = account.free;
  const devices = account.total["GPU"] ?? 0;
  const held: { lease: Lease; since: number }[] = [];
  for (const lease of leases) {
    if (lease.ask.kind === "reserve") continue;
    if (lease.state.name === "revoking") free = free.add(lease.ask.need);
    else if (lease.state.name === "held") held.push({ lease, since: lease.state.since });
  }
  held.sort((a, b) => b.since - a.since);
  const chosen: Lease[] = [];
  for (const { lease } of held) {
    const { need } = lease.ask;
    const overdrawn = [...need.names()].some((name) => free.units(name) < 0);
    if (!overdrawn && !lease.allocation.gpus.some((device) => device >= devices)) continue;
    chosen.push(lease);
    free = free.add(need);
  }
  return chosen;
}
