/** The life of a lease: its states, and the one function that changes them. */

/**
 * - `queued`: resources are reserved, a worker may not be started yet
 * - `starting`: a worker is being found or started
 * - `held`: granted; its submitter streams tasks to the worker
 * - `blocked`: all its tasks await `get`; its CPUs are lent to others
 * - `revoking`: its submitter was asked to finish and return it
 * - `ended`: for good
 */
export type LeaseState =
  | { readonly name: "queued" }
  | { readonly name: "starting" }
  | { readonly name: "held"; readonly since: number }
  | { readonly name: "blocked"; readonly since: number; readonly revoked: boolean }
  | { readonly name: "revoking"; readonly since: number }
  | { readonly name: "ended"; readonly how: LeaseEnd };

/** `returned` by its holder; `lost` with its worker; `withdrawn` before it was granted; `failed` to get a worker; `gone` with its submitter or job. */
export type LeaseEnd = "returned" | "lost" | "withdrawn" | "failed" | "gone";

export type LeaseEvent =
  | { readonly on: "start" }
  /** The worker that came is dead already: try again. */
  | { readonly on: "requeue" }
  | { readonly on: "grant"; readonly at: number }
  | { readonly on: "block" }
  | { readonly on: "unblock" }
  | { readonly on: "revoke" }
  | { readonly on: "end"; readonly how: LeaseEnd };

/** The next state, or undefined where the event has no effect (a repeated or late message is no error). */
export function nextLeaseState(state: LeaseState, event: LeaseEvent): LeaseState | undefined {
  if (state.name === "ended") return undefined;
  switch (event.on) {
    case "start":
      return state.name === "queued" ? { name: "starting" } : undefined;
    case "requeue":
      return state.name === "starting" ? { name: "queued" } : undefined;
    case "grant":
      return state.name === "queued" || state.name === "starting"
        ? { name: "held", since: event.at }
        : undefined;
    case "block":
      return state.name === "held" || state.name === "revoking"
        ? { name: "blocked", since: state.since, revoked: state.name === "revoking" }
        : undefined;
    case "unblock":
      return state.name === "blocked"
        ? { name: state.revoked ? "revoking" : "held", since: state.since }
        : undefined;
    case "revoke":
      if (state.name === "held") return { name: "revoking", since: state.since };
      return state.name === "blocked" && !state.revoked ? { ...state, revoked: true } : undefined;
    case "end":
      return { name: "ended", how: event.how };
  }
}
