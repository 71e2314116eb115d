/** Waiting demand as text for people. */
import { describeShape, startOptions, type PendingDemand } from "@stingray/protocol";
import { showAge } from "./values.js";

/** Demand of one shape, one job and one kind of wait, of however many processes. */
export interface DemandGroup extends PendingDemand {
  waitingMs: number;
}

/** What waits anywhere, by shape, job and whether it can ever be done; the longest wait first. Actors stand by themselves. */
export function groupDemand(pending: readonly PendingDemand[]): DemandGroup[] {
  const groups = new Map<string, DemandGroup>();
  for (const one of pending) {
    const { shape, labels = {}, job, infeasible = false, actor, reason } = one;
    const key = JSON.stringify([sorted(shape), sorted(labels), job, infeasible, actor]);
    const waitingMs = one.waitingMs ?? 0;
    const known = groups.get(key);
    if (known === undefined) groups.set(key, { ...one, waitingMs });
    else {
      known.count += one.count;
      if (waitingMs > known.waitingMs || known.reason === "") Object.assign(known, { waitingMs, reason });
    }
  }
  return [...groups.values()].toSorted((a, b) => b.waitingMs - a.waitingMs);
}

/** Two lines: how much of what, for how long, whose; and why. */
export function describeDemand(group: DemandGroup): string {
  const { shape: resources, labels, count, reason, waitingMs, job, infeasible, actor } = group;
  const shape = { resources, labels };
  const what =
    actor === undefined
      ? `${count} x ${describeShape(shape)}`
      : `${actor}, which asks for ${describeShape(shape)}`;
  const state =
    infeasible === true
      ? `INFEASIBLE: waits for a node that can (stingray start ${startOptions(shape)})`
      : waitingMs > 0
        ? "busy"
        : "under way";
  const since = waitingMs >= 1_000 ? `, for ${showAge(waitingMs)}` : "";
  const whose = job === undefined ? "" : `, job ${job}`;
  return `  ${what}${since}${whose}: ${state}${reason === "" ? "" : `\n      ${reason}`}`;
}

const sorted = (map: Record<string, unknown>): [string, unknown][] =>
  Object.entries(map).toSorted(([a], [b]) => (a < b ? -1 : 1));
