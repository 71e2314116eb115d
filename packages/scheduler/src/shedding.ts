/** Which leases to ask back when a node has less of a resource than is in use. Decides only. */
import type { ResourceAccount } from "./account.js";
import type { Lease } from "./lease-book.js";

/**
 * Those of tasks that hold some of it, or a GPU that is gone, or are about to. What they run now goes on; a lease that
 * was not asked back would take the next task after it, for as long as there is work, and the node never come to rest.
 * Actors keep what they have, and so do placement groups.
 */
export function leasesToShed(leases: Iterable<Lease>, account: ResourceAccount, name: string): Lease[] {
  const overdrawn = account.free.units(name) < 0;
  const devices = account.total["GPU"] ?? 0;
  return [...leases].filter(({ ask, state, allocation }) => {
    if (ask.kind === "reserve" || state.name === "revoking" || allocation.account !== account) return false;
    if (name === "GPU") return allocation.gpus.some((device) => device >= devices);
    return overdrawn && ask.need.units(name) > 0;
  });
}
