/** Tasks and calls of actors: what is asked of a worker, and its answers. */
import {
  bool,
  list,
  number,
  oneOf,
  optional,
  record,
  text,
  tuple,
  uint,
  type Check,
  type Checked,
} from "../check.js";
import { actorId, groupId } from "./id-checks.js";
import { Op } from "./op.js";
import { type ValueDesc, valueDesc } from "./values.js";

/**
 * `[10, index, module, name, hash]`: from now on, on this channel, `index` stands for this function or actor
 * class. `module` is relative to the job's root where it can be, else a file URL; `hash` is of the source.
 */
export const taskDefine = tuple<[op: 10, index: number, module: string, name: string, hash: string]>(
  oneOf(Op.TaskDefine),
  uint,
  text,
  text,
  text,
);
export type TaskDefine = Checked<typeof taskDefine>;

/**
 * `[11, call, lease, function, args, returns, attempt, trace]`: run a task. `call` is the task's sequence number
 * at its owner, so that the ids of its results are known to both. `args` is either the encoded array of all
 * arguments, or one description per argument where some were references. `returns` is the number of results;
 * -1 a stream. A task of a lease that the worker does not know yet waits for its WorkerAssign.
 */
export const taskRun = tuple<
  [
    op: 11,
    call: number,
    lease: string,
    fn: number,
    args: Uint8Array | ValueDesc[],
    returns: number,
    attempt: number,
    options: TaskRunOptions | undefined,
  ]
>(oneOf(Op.TaskRun), uint, text, uint, argsCheck(), number, uint, optional(taskRunOptions()));
export type TaskRun = Checked<typeof taskRun>;

/**
 * What few tasks have. `timeoutMs` counts from the start; `backpressure`: unread items of a stream; `maxCalls`: after so
 * many calls of the function a process runs no more of them.
 */
export interface TaskRunOptions {
  timeoutMs?: number | undefined;
  backpressure?: number | undefined;
  maxCalls?: number | undefined;
  /** Actor calls: the concurrency group, if not the default one. */
  group?: string | undefined;
  /** Tasks: the placement group that what it submits goes to, unless that says otherwise. */
  capture?: string | undefined;
}
export function taskRunOptions(): Check<TaskRunOptions> {
  return record<TaskRunOptions>({
    timeoutMs: optional(number),
    backpressure: optional(uint),
    maxCalls: optional(uint),
    group: optional(text),
    capture: optional(groupId),
  });
}
export function argsCheck(): Check<Uint8Array | ValueDesc[]> {
  const many = list(valueDesc, 100_000);
  return (value, at) => (value instanceof Uint8Array ? value : many(value, at));
}

/** `[12, call, recursive]`: stop a task. Unstarted ones are dropped, running ones see their signal; `recursive`: also what they submitted. */
export const taskCancel = tuple<[op: 12, call: number, recursive: boolean]>(oneOf(Op.TaskCancel), uint, bool);
export type TaskCancel = Checked<typeof taskCancel>;

/** `[13, call, count]`: the reader of a stream has taken `count` items in all; -1: it has stopped reading. */
export const taskConsumed = tuple<[op: 13, call: number, count: number]>(
  oneOf(Op.TaskConsumed),
  uint,
  number,
);
export type TaskConsumed = Checked<typeof taskConsumed>;

/**
 * `[14, lease]`: give back what came for this lease and has not begun; each is answered with TaskDone, `Dropped`. What
 * runs goes on, and nothing answers the message itself: an unknown lease has nothing to give.
 */
export const taskTakeBack = tuple<[op: 14, lease: string]>(oneOf(Op.TaskTakeBack), text);
export type TaskTakeBack = Checked<typeof taskTakeBack>;

/** How a task ended. `Dropped`: it was never started and may be sent elsewhere at no cost (worker leaving, lease gone). */
export const TaskStatus = { Ok: 0, Failed: 1, Cancelled: 2, TimedOut: 3, Dropped: 4 } as const;
export type TaskStatus = (typeof TaskStatus)[keyof typeof TaskStatus];

/**
 * `[20, call, status, results, tookUs, refs]`. `results`: one description per result where Ok; one error description
 * (Failed: an encoded error); empty for Dropped. `tookUs`: time that the body ran. `refs`: the references
 * inside the results, each `<object id>/<node of its owner>` (or without the node where it is not known); the sender keeps them alive until the receiver answered `object.borrowed` (request below), or
 * for those that the sender itself owns, has already noted the receiver as a borrower.
 */
export const taskDone = tuple<
  [op: 20, call: number, status: TaskStatus, results: ValueDesc[], tookUs: number, refs: string[] | undefined]
>(oneOf(Op.TaskDone), uint, oneOf(0, 1, 2, 3, 4), list(valueDesc, 100_000), number, optional(list(text)));
export type TaskDone = Checked<typeof taskDone>;

/** `[21, call, index, item, refs]`: item `index` of a stream, in order from 0. TaskDone with no results ends it. */
export const taskYield = tuple<
  [op: 21, call: number, index: number, item: ValueDesc, refs: string[] | undefined]
>(oneOf(Op.TaskYield), uint, uint, valueDesc, optional(list(text)));
export type TaskYield = Checked<typeof taskYield>;

/**
 * `[22, call]`: the body of a task with a `timeoutMs` begins. Its submitter, which ends the worker of a task that does
 * not stop by itself, counts from here: not from the sending, since loading a module and fetching arguments take time.
 */
export const taskStarted = tuple<[op: 22, call: number]>(oneOf(Op.TaskStarted), uint);
export type TaskStarted = Checked<typeof taskStarted>;

/**
 * `[15, call, method, args, returns, attempt, options, actor, epoch]`: call a method of the actor whose mailbox this is; to
 * the host of many actors, of the incarnation `epoch` of `actor`.
 */
export const actorCall = tuple<
  [
    op: 15,
    call: number,
    method: string,
    args: Uint8Array | ValueDesc[],
    returns: number,
    attempt: number,
    options: TaskRunOptions | undefined,
    actor?: string | undefined,
    epoch?: number | undefined,
  ]
>(
  oneOf(Op.ActorCall),
  uint,
  text,
  argsCheck(),
  number,
  uint,
  optional(taskRunOptions()),
  optional(actorId),
  optional(uint),
);
export type ActorCall = Checked<typeof actorCall>;
