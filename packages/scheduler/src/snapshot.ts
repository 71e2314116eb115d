/** The scheduler's state as others may see it. */
import type { Ask } from "./ask.js";
import type { LeaseBook } from "./lease-book.js";
import type { LeaseSnapshot } from "./types.js";

/** A copy; changing it changes nothing. */
export function snapshotOf(
  draining: boolean,
  book: LeaseBook,
  asks: Iterable<Ask>,
  now: number,
): LeaseSnapshot {
  return {
    draining,
    leases: [...book.all()].map((lease) => ({
      lease: lease.id,
      kind: lease.ask.kind === "reserve" ? "reservation" : "task",
      job: lease.job,
      submitter: lease.ask.submitter,
      key: lease.ask.key,
      worker: lease.worker,
      state: lease.state.name,
      resources: lease.allocation.resources,
      gpus: [...lease.allocation.gpus],
    })),
    ending: book.ending.all(),
    demands: demandsOf(asks, now),
    workers: { ...book.workers.count(), starting: book.starting },
  };
}

/** What is not served in full. */
export function demandsOf(asks: Iterable<Ask>, now: number): LeaseSnapshot["demands"] {
  const demands: LeaseSnapshot["demands"] = [];
  for (const ask of asks) {
    if (ask.want === 0) continue;
    demands.push({
      submitter: ask.submitter,
      key: ask.key,
      job: ask.job,
      shape: ask.shape,
      want: ask.want,
      waitingMs: ask.waitingSince === undefined ? 0 : now - ask.waitingSince,
      reason: ask.waitingSince === undefined ? reasonUnderWay(ask) : ask.reason,
      waitsFor: ask.waitingSince === undefined ? undefined : ask.waitsFor,
      what: ask.what,
      trail: ask.trail.entries,
    });
  }
  return demands;
}

function reasonUnderWay(ask: Ask): string {
  if (ask.starting > 0) return `waits for ${ask.starting} workers to start`;
  return ask.offered > 0 ? "waits for the answer of another node" : "";
}
