/** The states of one contender for a lease, and the one function that moves between them. No clocks, no I/O. */

/**
 * `idle`: knows nothing yet. `observing`: somebody else has it; `since` is when we last saw the row change, on our
 * own monotonic clock. `held`: ours until `until` on our own monotonic clock, unless renewed. `lost`: was ours, and
 * may be somebody else's. `released`: given back.
 */
export type LeaseState =
  | { kind: "idle" }
  | { kind: "observing"; holder: string; revision: number; since: number; ttlMs: number }
  | { kind: "held"; epoch: number; revision: number; until: number }
  | { kind: "lost"; epoch: number; why: "taken" | "expired" }
  | { kind: "released"; epoch: number };

/** What happened. `at`: monotonic milliseconds. */
export type LeaseEvent =
  /** The row names another holder. */
  | { kind: "seen"; holder: string; revision: number; ttlMs: number; at: number }
  /** Our claim was written; `sentAt` is from before it was sent. */
  | { kind: "claimed"; epoch: number; sentAt: number; ttlMs: number }
  | { kind: "renewed"; revision: number; sentAt: number; ttlMs: number }
  /** Somebody else's claim stands where ours stood. */
  | { kind: "taken" }
  | { kind: "time"; at: number }
  | { kind: "released" };

/** The part of its term after which a holder stops, so that it has stopped before anybody may take over. */
const TRUSTED = 0.9;

export function nextLeaseState(state: LeaseState, event: LeaseEvent): LeaseState {
  switch (event.kind) {
    case "seen": {
      if (state.kind === "held") return { kind: "lost", epoch: state.epoch, why: "taken" };
      const { holder, revision, ttlMs, at } = event;
      const unchanged = state.kind === "observing" && state.revision === revision;
      return { kind: "observing", holder, revision, ttlMs, since: unchanged ? state.since : at };
    }
    case "claimed":
      return {
        kind: "held",
        epoch: event.epoch,
        revision: event.epoch,
        until: event.sentAt + event.ttlMs * TRUSTED,
      };
    case "renewed":
      if (state.kind !== "held") return state; // too late: it has been given up meanwhile
      return { ...state, revision: event.revision, until: event.sentAt + event.ttlMs * TRUSTED };
    case "taken":
      return state.kind === "held" ? { kind: "lost", epoch: state.epoch, why: "taken" } : state;
    case "time":
      return state.kind === "held" && event.at >= state.until
        ? { kind: "lost", epoch: state.epoch, why: "expired" }
        : state;
    case "released":
      return state.kind === "held" ? { kind: "released", epoch: state.epoch } : state;
    default:
      return event satisfies never;
  }
}
