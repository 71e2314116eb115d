/** A task between `.remote()` and its end, as its submitter sees it. */
import type { RetryOn, Shape, TaskRunOptions } from "@stingray/protocol";
import type { ObjectEntry } from "../objects/entry.js";
import type { EncodedArgs } from "../objects/args.js";
import type { RemoteDefinition } from "../registry.js";
import type { StreamState } from "../stream.js";
import type { Lease } from "./lease.js";
import type { ShapeQueue } from "./shape-queue.js";

/**
 * - `waiting`: for the values of its arguments
 * - `queued`: for a place on a leased worker
 * - `sent`: on a worker, started or not
 * - `backoff`: between two attempts
 * - `ended`: its results are known
 */
export type TaskPhase = "waiting" | "queued" | "sent" | "backoff" | "ended";

const NEXT: Readonly<Record<TaskPhase, readonly TaskPhase[]>> = {
  waiting: ["queued", "ended"],
  queued: ["sent", "ended"],
  sent: ["queued", "backoff", "waiting", "ended"], // waiting: an argument was lost, and nothing was sent after all
  backoff: ["queued", "ended"],
  ended: ["waiting"], // its result was lost and is made again
};

export interface TaskSettings {
  readonly definition: RemoteDefinition;
  readonly shape: Shape;
  readonly shapeKey: string;
  /** Number of results, or -1 for a stream. */
  readonly returns: number;
  readonly maxRetries: number;
  readonly retryOn: RetryOn;
  readonly run: TaskRunOptions | undefined;
  /** Only one such task on a worker at a time: it has a time limit, or may not be sent twice. */
  readonly alone: boolean;
}

/** Failed attempts that are remembered. */
const MOST_FAILURES = 5;
/** And characters of each. */
const MOST_TEXT = 1_000;

export class PendingTask {
  phase: TaskPhase = "waiting";
  /** When it came into this phase, by `performance.now()`. */
  since = performance.now();
  attempt = 0;
  /** How earlier attempts ended, the last ones. */
  failures: { readonly at: number; readonly message: string }[] | undefined;
  /** When the next attempt begins, by `performance.now()`. */
  nextAt: number | undefined;
  lease: Lease | undefined;
  /** Where it waits, or waited last. */
  queue: ShapeQueue | undefined;
  cancelled = false;
  /** Its worker was asked to send it back if it has not begun. */
  askedBack = false;
  /** How many workers in a row sent it back unasked. */
  refusals = 0;
  /** Its time limit has passed and its worker is being ended for it. */
  timedOut = false;
  /** File that tells the worker of its cancellation, if there is one. */
  mark: string | undefined;
  /** Where its deadline is kept, if it has one. */
  timer: NodeJS.Timeout | undefined;

  constructor(
    readonly sequence: number,
    readonly settings: TaskSettings,
    readonly args: EncodedArgs,
    readonly results: readonly ObjectEntry[],
    readonly stream: StreamState | undefined,
    /** The task or call in which it was submitted, for recursive cancellation. */
    readonly parent: string | undefined,
  ) {}

  /** The one place that changes the phase. False, and no change, where the step is not allowed. */
  to(phase: TaskPhase): boolean {
    if (!NEXT[this.phase].includes(phase)) return false;
    this.phase = phase;
    this.since = performance.now();
    return true;
  }

  /** Remembers how an attempt ended. */
  failed(message: string): void {
    const known = this.failures ?? [];
    this.failures = [
      ...known.slice(1 - MOST_FAILURES),
      { at: performance.now(), message: message.slice(0, MOST_TEXT) },
    ];
  }

  get retriesLeft(): boolean {
    return this.attempt < this.settings.maxRetries;
  }
}
