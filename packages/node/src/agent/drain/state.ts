/**
 * The life of a node as far as draining goes, and the one function that changes it.
 *
 * - `alive`: takes part as any other
 * - `draining`: takes on nothing new; what is here ends or moves, until `deadline`
 * - `late`: the deadline has passed; what still runs is ended, and the rest gets a last moment
 * - `left`: nothing more is waited for; the agent ends
 */
export type DrainState =
  | { readonly kind: "alive" }
  | { readonly kind: "draining" | "late" | "left"; readonly reason: string; readonly deadline: number };

/** Times are milliseconds of a clock that never goes back. */
export type DrainEvent =
  | { readonly on: "drain"; readonly reason: string; readonly deadline: number }
  | { readonly on: "time"; readonly at: number }
  | { readonly on: "empty" };

/** The same state means that nothing changed. A deadline only ever comes closer; the first reason stays. */
export function nextDrainState(state: DrainState, event: DrainEvent): DrainState {
  switch (event.on) {
    case "drain":
      if (state.kind === "alive") return { kind: "draining", reason: event.reason, deadline: event.deadline };
      if (state.kind !== "draining" || event.deadline >= state.deadline) return state;
      return { ...state, deadline: event.deadline };
    case "time":
      return state.kind === "draining" && event.at >= state.deadline ? { ...state, kind: "late" } : state;
    case "empty":
      return state.kind === "draining" || state.kind === "late" ? { ...state, kind: "left" } : state;
  }
}
