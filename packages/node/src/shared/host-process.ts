/** One worker process that many actors live in. */
import type { ActorId, JobId, ProcessId, WireError } from "@stingray/protocol";

/**
 * - `starting`: its process is being started and prepared
 * - `up`: it takes actors
 * - `ending`: it was empty for a while and is told to end; it takes none any more
 * - `gone`: for good; `cause` is what became of those that lived there
 */
export type HostState =
  | { readonly kind: "starting" }
  | { readonly kind: "up"; readonly worker: ProcessId }
  | { readonly kind: "ending"; readonly worker: ProcessId }
  | { readonly kind: "gone"; readonly worker: ProcessId | undefined; readonly cause: WireError };

export type HostEvent =
  | { readonly kind: "opened"; readonly worker: ProcessId }
  | { readonly kind: "unused" }
  | { readonly kind: "ended"; readonly cause: WireError };

/** The one place that changes the state of a host. */
export function nextHostState(state: HostState, event: HostEvent): HostState {
  if (state.kind === "gone") return state;
  if (event.kind === "opened")
    return state.kind === "starting" ? { kind: "up", worker: event.worker } : state;
  if (event.kind === "unused") return state.kind === "up" ? { kind: "ending", worker: state.worker } : state;
  return { kind: "gone", worker: state.kind === "starting" ? undefined : state.worker, cause: event.cause };
}

export class HostProcess {
  private current: HostState = { kind: "starting" };
  /** The actors that live here, or are being made, with the epochs of their incarnations; 0: not known yet. */
  readonly actors = new Map<string, number>();
  /** Actors of which an earlier incarnation would not end here: the next one is to live elsewhere. */
  readonly stuck = new Set<string>();
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
  /** Whether actors may be made here. */
  get takes(): boolean {
    return this.current.kind === "starting" || this.current.kind === "up";
  }
  get worker(): ProcessId | undefined {
    return this.current.kind === "starting" ? undefined : this.current.worker;
  }

  step(event: HostEvent): void {
    this.current = nextHostState(this.current, event);
  }
}
