/** Which leases to ask back when a node has less than is in use. Decides only. */
import type { ResourceAccount } from "./account.js";
import type { Lease } from "./lease-book.js";

/**
 * Those of tasks that hold some of what is overdrawn, or a GPU that is gone. What they run now goes on; a lease that was
 * not asked back would take the next task after it, for as long as there is work, and the node never come to rest. Actors
 * keep what they have.
 */
export function leasesToShed(leases: Iterable<Lease>, account: ResourceAccount): Lease[] {
  const { free } = account;
  const devices = account.total["GPU"] ?? 0;
  return [...leases].filter(({ ask, state, allocation }) => {
    if (ask.kind === "reserve" || state.name !== "held") return false;
    const overdrawn = [...ask.need.names()].some((name) => free.units(name) < 0);
    return overdrawn || allocation.gpus.some((device) => device >= devices);
  });
}
