/**
 * The life of a worker process, as its agent sees it.
 *
 * - `starting`: spawned, has not said `worker.ready` yet
 * - `unbound`: up, belongs to no job
 * - `binding`: was told its job and environment, has not answered yet
 * - `bound`: of a job; `since` is when it was last given back (ms, monotonic), undefined while it is in use
 * - `ending`: asked to end or killed; `reason` is why
 * - `exited`: gone
 */
import type { ExitReport } from "@stingray/protocol";

export type WorkerState =
  | { kind: "starting" }
  | { kind: "unbound" }
  | { kind: "binding" }
  | { kind: "bound"; since: number | undefined }
  | { kind: "ending"; reason: string }
  | { kind: "exited"; report: ExitReport };

export type WorkerEvent =
  | { kind: "ready" }
  | { kind: "bind" }
  | { kind: "bindDone" }
  | { kind: "taken" }
  | { kind: "givenBack"; at: number }
  | { kind: "end"; reason: string }
  | { kind: "exit"; report: ExitReport };

/** The one transition function. What makes no sense in a state (a late answer, a second end) changes nothing. */
export function nextWorkerState(state: WorkerState, event: WorkerEvent): WorkerState {
  if (state.kind === "exited") return state;
  switch (event.kind) {
    case "exit":
      return { kind: "exited", report: event.report };
    case "end":
      return state.kind === "ending" ? state : { kind: "ending", reason: event.reason };
    case "ready":
      return state.kind === "starting" ? { kind: "unbound" } : state;
    case "bind":
      return state.kind === "unbound" ? { kind: "binding" } : state;
    case "bindDone":
      return state.kind === "binding" ? { kind: "bound", since: undefined } : state;
    case "taken":
      return state.kind === "bound" ? { kind: "bound", since: undefined } : state;
    case "givenBack":
      return state.kind === "bound" ? { kind: "bound", since: event.at } : state;
  }
}
