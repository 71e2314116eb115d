/** One worker process that many actors live in. */
import type { ActorId, JobId, ProcessId, WireError } from "@stingray/protocol";

/**
 * - `starting`: its process is being started and prepared
 * - `up`: it takes actors
 * - `gone`: for good; `cause` is what became of those that lived there
 */
export type HostState =
  | { readonly kind: "starting" }
  | { readonly kind: "up"; readonly worker: ProcessId }
  | { readonly kind: "gone"; readonly worker: ProcessId | undefined; readonly cause: WireError };

export type HostEvent =
  | { readonly kind: "opened"; readonly worker: ProcessId }
  | { readonly kind: "ended"; readonly cause: WireError };

/** The one place that changes the state of a host. */
export function nextHostState(state: HostState, event: HostEvent): HostState {
  if (state.kind === "gone") return state;
  if (event.kind === "opened") return { kind: "up", worker: event.worker };
  return { kind: "gone", worker: state.kind === "up" ? state.worker : undefined, cause: event.cause };
}

export class HostProcess {
  private current: HostState = { kind: "starting" };
  /** The actors that live here, or are being made. */
  readonly actors = new Set<string>();
  /** Templates that it knows. */
  readonly templates = new Set<string>();
  /** Some of them outlive their job. */
  detached = 0;
  /** Some of them have an `onDeactivate`. */
  deactivates = false;
  /** Ends it when nobody has lived there for a while. */
  idle: NodeJS.Timeout | undefined;

  /** @param up resolves with its process; rejects where it could not be started */
  constructor(
    readonly id: ActorId,
    readonly job: JobId,
    /** Of its job and environment: equal for actors that may share it. */
    readonly key: string,
    readonly up: Promise<ProcessId>,
  ) {}

  get state(): HostState {
    return this.current;
  }
  get usable(): boolean {
    return this.current.kind !== "gone";
  }
  get worker(): ProcessId | undefined {
    return this.current.kind === "starting" ? undefined : this.current.worker;
  }

  step(event: HostEvent): void {
    this.current = nextHostState(this.current, event);
  }
}
