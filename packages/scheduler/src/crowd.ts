/** How many worker processes a node may have, and when a lease shares one instead. */
import type { ProcessId } from "@stingray/protocol";
import type { Ask } from "./ask.js";
import type { LeaseLimits } from "./types.js";
import { wantsAlone, type WorkerBook } from "./workers.js";

/** The processes of a node, as they are now. */
export interface Crowd {
  readonly workers: WorkerBook;
  /** Workers that leases wait for. */
  readonly coming: number;
  /** Processes without a lease that stay for objects that they own. */
  readonly kept: number;
  readonly limits: Pick<LeaseLimits, "maxWorkers" | "maxBlockedWorkers" | "joinAbove" | "joinAloneAbove">;
}

/** Why no worker may be added for this ask now; undefined if one may. */
export function crowded(ask: Ask, crowd: Crowd): string | undefined {
  if (ask.kind === "reserve" || joinable(ask, crowd) !== undefined) return undefined;
  const { busy, blocked } = crowd.workers.count();
  const { coming, kept } = crowd;
  const { maxWorkers, maxBlockedWorkers } = crowd.limits;
  if (busy + coming >= maxWorkers) return `all ${maxWorkers} workers that this node may have are busy`;
  if (busy + blocked + coming >= maxWorkers + maxBlockedWorkers) {
    return `${blocked} workers of this node wait for nested tasks, and it may have no more`;
  }
  // One that idles is used again, whatever it owns.
  if (busy + blocked + coming + kept >= maxWorkers + maxBlockedWorkers && !crowd.workers.hasIdle(ask.env)) {
    return (
      `${kept} worker processes of this node stay for objects that they own, and it may have no more: ` +
      `let go of references to what tasks have put, or return values instead`
    );
  }
  return undefined;
}

/**
 * The worker that a lease is to share. Where there are many processes, one with nothing to do because all it runs is
 * blocked is better than one more. What should have a process of its own gets one for longer; but a crash that takes
 * others along is a lesser evil than nesting that can't go on.
 */
export function joinable(ask: Ask, { workers, coming, limits }: Crowd): ProcessId | undefined {
  if (ask.kind === "reserve" || ask.need.units("GPU") > 0 || workers.hasIdle(ask.env)) return undefined;
  const { busy, blocked } = workers.count();
  const all = busy + blocked + coming;
  const many = all >= limits.joinAloneAbove;
  if (!many && (all < limits.joinAbove || wantsAlone(ask.shape))) return undefined;
  return workers.blockedCarrier(ask, many);
}
