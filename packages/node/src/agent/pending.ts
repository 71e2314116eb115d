/** What waits at this agent, as heartbeats tell it. */
import type { LeaseSnapshot } from "@stingray/scheduler";
import type { PendingDemand } from "@stingray/protocol";
import { describe } from "../controller/actor-directory.js";
import type { ActorPlacer } from "../controller/actor-placer.js";

/** Demand beyond so many kinds is left out. */
const MAX_PENDING = 50;

/** What has waited longest comes first. An actor may be in the local queue as well; it is told of by its placer. */
export function pendingOf(
  demands: LeaseSnapshot["demands"],
  actors: ReturnType<ActorPlacer["waiting"]>,
): PendingDemand[] {
  if (demands.length === 0 && actors.length === 0) return [];
  const placed = new Set(actors.map(({ spec }) => describe(spec)));
  const all = demands
    .filter(({ what }) => what === undefined || !placed.has(what))
    .map(({ shape, want, reason, waitingMs, job, waitsFor }): PendingDemand => ({
      shape: shape.resources,
      ...(shape.labels === undefined ? {} : { labels: shape.labels }),
      count: want,
      reason,
      waitingMs: Math.round(waitingMs),
      job,
      ...(waitsFor === "never" ? { infeasible: true } : {}),
    }));
  for (const { spec, wait } of actors) {
    all.push({
      shape: spec.placement.resources,
      ...(spec.placement.labels === undefined ? {} : { labels: spec.placement.labels }),
      count: 1,
      reason: wait.why,
      waitingMs: Math.round(wait.ms),
      job: spec.job,
      actor: describe(spec),
      ...(wait.infeasible ? { infeasible: true } : {}),
    });
  }
  return all.sort((a, b) => (b.waitingMs ?? 0) - (a.waitingMs ?? 0)).slice(0, MAX_PENDING);
}
