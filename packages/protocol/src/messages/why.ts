/** Why something has not ended: what processes answer to `stingray why`. Times are ages, in milliseconds. */
import { bool, list, number, oneOf, optional, record, text, uint } from "../check.js";
import { actorId, nodeId, objectId, processId, taskId } from "./id-checks.js";
import { shapeSpec, type Shape } from "./leases.js";

/**
 * - `waiting`: for the values of its arguments
 * - `queued`: for a worker, or for its actor
 * - `sent`: to a worker or an actor, begun or not
 * - `backoff`: between two attempts
 * - `ended`: its result is known
 */
export const TASK_PHASES = ["waiting", "queued", "sent", "backoff", "ended"] as const;
export type TaskPhaseName = (typeof TASK_PHASES)[number];

/** An argument that has no value yet. */
export interface MissingArgument {
  object: string;
  owner: string;
  /** Where the asked process makes it itself: by what, and how far that is. */
  name?: string | undefined;
  phase?: TaskPhaseName | undefined;
}
const missingArgument = record<MissingArgument>({
  object: objectId,
  owner: processId,
  name: optional(text),
  phase: optional(oneOf(...TASK_PHASES)),
});

/** A task, a call of an actor, or a value that was put, as the process that owns it sees it. */
export interface TaskWhy {
  task: string;
  /** Of the function, `Class.method`, or empty where that is not known any more. */
  name: string;
  phase: TaskPhaseName;
  /** How long it has been in this phase; 0 where that is not known. */
  phaseMs: number;
  /** It was to come to its actor so many milliseconds after it was made. */
  delayMs?: number | undefined;
  /** The attempt that is under way, from 1, and how many there may be (negative: without end). */
  attempt: number;
  attempts: number;
  /** How earlier attempts ended, the last ones. */
  failures: { agoMs: number; message: string }[];
  /** The first of those that are waited for. */
  missing?: MissingArgument[] | undefined;
  /** `queued`, a task: what for, and behind how many others. */
  queue?:
    | {
        key: string;
        shape: Shape;
        /** Tasks of this shape before it, and in all. */
        ahead: number;
        length: number;
        /** Workers leased for this shape now. */
        leases: number;
        /** As the agent said last. */
        reason?: string | undefined;
        infeasible?: boolean | undefined;
      }
    | undefined;
  /** `sent`: where to, and how many calls of the same process lie there before it. */
  at?: { process: string; node: string; ahead: number } | undefined;
  /** `backoff`: when it goes on. */
  nextMs?: number | undefined;
  /** `ended`: with what. */
  outcome?: string | undefined;
  /** A call: its actor, as the caller knows it. */
  actor?: { actor: string; className: string; state: string; reason?: string | undefined } | undefined;
}
export const taskWhy = record<TaskWhy>({
  task: taskId,
  name: text,
  phase: oneOf(...TASK_PHASES),
  phaseMs: number,
  delayMs: optional(number),
  attempt: number,
  attempts: number,
  failures: list(record<{ agoMs: number; message: string }>({ agoMs: number, message: text }), 100),
  missing: optional(list(missingArgument, 1_000)),
  queue: optional(
    record<NonNullable<TaskWhy["queue"]>>({
      key: text,
      shape: shapeSpec,
      ahead: uint,
      length: uint,
      leases: uint,
      reason: optional(text),
      infeasible: optional(bool),
    }),
  ),
  at: optional(
    record<{ process: string; node: string; ahead: number }>({
      process: processId,
      node: nodeId,
      ahead: uint,
    }),
  ),
  nextMs: optional(number),
  outcome: optional(text),
  actor: optional(
    record<NonNullable<TaskWhy["actor"]>>({
      actor: actorId,
      className: text,
      state: text,
      reason: optional(text),
    }),
  ),
});

/** A call in the process that runs it. */
export interface RunningWhy {
  /** `arguments`: these are fetched, or its module is loaded; `waiting`: it awaits values, and others may run meanwhile. */
  state: "queued" | "arguments" | "running" | "waiting";
  /** `queued`: behind how many others that have not begun. */
  ahead: number;
  /** Since it began; 0 for one that has not. */
  ms: number;
  /** `waiting`: a task or call that it awaits, if it is one, and that has not ended as far as is known. */
  awaits?: string | undefined;
  /** `queued`, a call of an actor: one of those that have the turn. */
  behind?: string | undefined;
}
export const runningWhy = record<RunningWhy>({
  state: oneOf("queued", "arguments", "running", "waiting"),
  ahead: uint,
  ms: number,
  awaits: optional(taskId),
  behind: optional(taskId),
});

/** The answer of a process about one task. Neither field: it knows nothing of it. */
export interface ProcessWhy {
  /** It is its owner. */
  task?: TaskWhy | undefined;
  /** It runs it. */
  running?: RunningWhy | undefined;
}
export const processWhy = record<ProcessWhy>({ task: optional(taskWhy), running: optional(runningWhy) });

/** Tasks of one process that wait for the same. */
export interface WaitingTasks {
  phase: TaskPhaseName;
  count: number;
  /** Of the functions, some of them. */
  names: string[];
  /** The one that has waited longest. */
  example: string;
  /** How long that has been. */
  ms: number;
  /** `queued`: the demand. */
  key?: string | undefined;
  shape?: Shape | undefined;
  reason?: string | undefined;
  infeasible?: boolean | undefined;
}
export const waitingTasks = record<WaitingTasks>({
  phase: oneOf(...TASK_PHASES),
  count: uint,
  names: list(text, 100),
  example: taskId,
  ms: number,
  key: optional(text),
  shape: optional(shapeSpec),
  reason: optional(text),
  infeasible: optional(bool),
});
