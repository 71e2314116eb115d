/** How large the cases are. */
export interface ActorSizes {
  /** CPUs of the clusters: so many processes are started at a time. */
  cpus: number;
  /** Actors with processes of their own that are made at a time. */
  processes: number;
  /** Light ones that are made at a time, and whose memory is measured. */
  shared: number;
  /** Light ones on one node for the density. */
  density: number;
  /** Calls in flight. */
  calls: number;
  /** Calls of a durable mailbox in flight, of each caller. */
  durableCalls: number;
  /** Callers at the same time. */
  callers: number;
}

export function actorSizes(small: boolean): ActorSizes {
  return small
    ? { cpus: 2, processes: 2, shared: 50, density: 200, calls: 200, durableCalls: 50, callers: 2 }
    : {
        cpus: 4,
        processes: 8,
        shared: 1_000,
        density: 100_000,
        calls: 1_000,
        durableCalls: 1_000,
        callers: 4,
      };
}
