/**
 * The messages that processes exchange over channels, hot ones as arrays `[op, …]`, and the request methods of
 * agents and workers. This file is the wire contract: who sends, who answers, what must hold.
 *
 * A channel delivers in order and once (see the broker package). "Submitter" is the process that calls
 * `.remote()`, driver or worker; "agent" is the node agent; ids are as in ids.ts. Times are milliseconds unless
 * the name says `Us` (microseconds).
 */
import {
  bool,
  bytes,
  list,
  mapOf,
  number,
  oneOf,
  optional,
  record,
  shape,
  text,
  tuple,
  uint,
  unknown,
  type Check,
  type Checked,
} from "./check.js";
import { isActorId, isJobId, isNodeId, isObjectId, isProcessId } from "./ids.js";

const processId = shape(isProcessId, "a process id");
const nodeId = shape(isNodeId, "a node id");
const jobId = shape(isJobId, "a job id");
const actorId = shape(isActorId, "an actor id");
const objectId = shape(isObjectId, "an object id");

// ---------------------------------------------------------------------------------------------------------------
// Operations: the first item of every message.

export const Op = {
  // generic request and response, see `request()` in the broker package
  Request: 0,
  Response: 1,
  // tasks: submitter -> worker
  TaskDefine: 10,
  TaskRun: 11,
  TaskCancel: 12,
  TaskConsumed: 13,
  // tasks: worker -> submitter
  TaskDone: 20,
  TaskYield: 21,
  // actors: caller -> mailbox (answered with TaskDone / TaskYield)
  ActorCall: 15,
  // objects: any process -> owner
  ObjectGet: 30,
  ObjectBorrow: 31,
  ObjectRelease: 32,
  // objects: owner -> asker
  ObjectValue: 33,
  // objects: any process -> the agent of a node with a copy
  StoreSealed: 40,
  StoreFree: 41,
  // leases: submitter -> agent
  LeaseDemand: 50,
  LeaseReturn: 51,
  // leases: agent -> submitter
  LeaseGrant: 52,
  LeaseRevoke: 53,
  LeaseLost: 54,
  LeaseFailed: 55,
  LeasePending: 56,
  // workers: agent -> worker
  WorkerAssign: 60,
  WorkerExit: 61,
  // workers: worker -> agent
  WorkerBlocked: 62,
  WorkerUnblocked: 63,
  // actors: agent -> watcher
  ActorState: 70,
  // actors: worker -> agent
  ActorExited: 71,
  // logs: agent -> driver
  Logs: 80,
} as const;
export type Op = (typeof Op)[keyof typeof Op];

// ---------------------------------------------------------------------------------------------------------------
// Values on the wire

/**
 * A value, or where it is: `[0, bytes]` the encoded value itself; `[1, location, object]` it lies in the
 * stores of nodes, under that object id;
 * `[2, bytes]` an encoded error, which is what `get` throws; `[3, text]` the owner knows no such object (freed,
 * never existed): the text says which.
 */
export type ValueDesc =
  | [kind: 0, encoded: Uint8Array]
  | [kind: 1, location: Location, object: string]
  | [kind: 2, error: Uint8Array]
  | [kind: 3, why: string];
export const ValueKind = { Inline: 0, Stored: 1, Error: 2, Unknown: 3 } as const;

/** Where a large object lies: its size in bytes, and the nodes that have it whole, with their agents. */
export type Location = [size: number, copies: [node: string, agent: string][]];
const location: Check<Location> = tuple<Location>(
  uint,
  list(tuple<[string, string]>(nodeId, processId), 10_000),
);

export const valueDesc: Check<ValueDesc> = (value, at) => {
  const [kind] = tuple<[0 | 1 | 2 | 3]>(oneOf(0, 1, 2, 3))(value, at);
  const rest = (value as unknown[])[1];
  if (kind === 1) {
    location(rest, `${at}.location`);
    objectId((value as unknown[])[2], `${at}.object`);
  } else if (kind === 3) text(rest, `${at}.why`);
  else bytes(rest, `${at}.bytes`);
  return value as ValueDesc;
};

// ---------------------------------------------------------------------------------------------------------------
// Tasks

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

/** What few tasks have. `timeoutMs` counts from the start; `backpressure`: unread items of a stream. */
export interface TaskRunOptions {
  timeoutMs?: number | undefined;
  backpressure?: number | undefined;
  /** Actor calls: the concurrency group, if not the default one. */
  group?: string | undefined;
  /** Actor calls: ids of the actors whose calls wait for this one, outermost first; for finding cycles. */
  chain?: string[] | undefined;
}
function taskRunOptions(): Check<TaskRunOptions> {
  return record<TaskRunOptions>({
    timeoutMs: optional(number),
    backpressure: optional(uint),
    group: optional(text),
    chain: optional(list(text, 10_000)),
  });
}
function argsCheck(): Check<Uint8Array | ValueDesc[]> {
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

/** `[15, call, method, args, returns, attempt, options]`: call a method of the actor whose mailbox this is. */
export const actorCall = tuple<
  [
    op: 15,
    call: number,
    method: string,
    args: Uint8Array | ValueDesc[],
    returns: number,
    attempt: number,
    options: TaskRunOptions | undefined,
  ]
>(oneOf(Op.ActorCall), uint, text, argsCheck(), number, uint, optional(taskRunOptions()));
export type ActorCall = Checked<typeof actorCall>;

// ---------------------------------------------------------------------------------------------------------------
// Objects: who owns a value, who holds a reference to it

/** `[30, object]` to its owner: send ObjectValue as soon as it is there. */
export const objectGet = tuple<[op: 30, object: string]>(oneOf(Op.ObjectGet), objectId);
/** `[31, object]` to its owner: this process holds a reference; counts one borrow of this process. */
export const objectBorrow = tuple<[op: 31, object: string]>(oneOf(Op.ObjectBorrow), objectId);
/**
 * `[32, object, count]` to its owner: gives back `count` borrows of this process. Counted, because an owner may note
 * a new borrow (sending the reference in a result) while the release of an earlier one is on its way.
 */
export const objectRelease = tuple<[op: 32, object: string, count: number]>(
  oneOf(Op.ObjectRelease),
  objectId,
  uint,
);
/** `[33, object, value]` from its owner. */
export const objectValue = tuple<[op: 33, object: string, value: ValueDesc]>(
  oneOf(Op.ObjectValue),
  objectId,
  valueDesc,
);
export type ObjectValue = Checked<typeof objectValue>;

/** `[40, object, size]` to the local agent: the file that `store.create` gave is written whole and may be read. */
export const storeSealed = tuple<[op: 40, object: string, size: number]>(
  oneOf(Op.StoreSealed),
  objectId,
  uint,
);
/** `[41, objects]` to an agent: drop your copies. Unknown ids are no error. */
export const storeFree = tuple<[op: 41, objects: string[]]>(oneOf(Op.StoreFree), list(objectId));

// ---------------------------------------------------------------------------------------------------------------
// Leases. A demand is a level, not an event: sending it again changes nothing, sending 0 withdraws it.

/** What a worker must offer. Amounts are in the user's units, cut to multiples of 0.0001. */
export interface Shape {
  /** For example `{ CPU: 1, GPU: 0.5, special: 2 }`. */
  resources: Record<string, number>;
  /** Runtime environment beyond the job's own, if any. */
  runtimeEnv?: RuntimeEnvSpec | undefined;
  scheduling?: SchedulingSpec | undefined;
  labels?: Record<string, string> | undefined;
  priority?: number | undefined;
  /** The worker ends after this many tasks of this shape. */
  maxCalls?: number | undefined;
}
export interface RuntimeEnvSpec {
  envVars?: Record<string, string> | undefined;
  workingDir?: string | undefined;
  execArgv?: string[] | undefined;
  setup?: string | undefined;
}
/** `node`: affinity, hard unless soft. */
export type SchedulingSpec =
  { kind: "default" } | { kind: "spread" } | { kind: "node"; node: string; soft: boolean };

export const runtimeEnvSpec = record<RuntimeEnvSpec>({
  envVars: optional(mapOf(text)),
  workingDir: optional(text),
  execArgv: optional(list(text, 1000)),
  setup: optional(text),
});
const schedulingSpec = record<{
  kind: "default" | "spread" | "node";
  node?: string | undefined;
  soft?: boolean | undefined;
}>({
  kind: oneOf("default", "spread", "node"),
  node: optional(text),
  soft: optional(bool),
}) as Check<SchedulingSpec>;
export const shapeSpec = record<Shape>({
  resources: mapOf(number),
  runtimeEnv: optional(runtimeEnvSpec),
  scheduling: optional(schedulingSpec),
  labels: optional(mapOf(text)),
  priority: optional(number),
  maxCalls: optional(uint),
});

/**
 * `[50, job, key, shape, want]` submitter -> its agent: I could use `want` more leases of this shape than I hold.
 * `key` is the submitter's own name of the shape, echoed in every answer.
 */
export const leaseDemand = tuple<[op: 50, job: string, key: string, shape: Shape, want: number]>(
  oneOf(Op.LeaseDemand),
  jobId,
  text,
  shapeSpec,
  uint,
);
export type LeaseDemand = Checked<typeof leaseDemand>;

/** `[51, lease, workerUsable]` submitter -> granting agent: the worker is free. An unknown lease is no error. */
export const leaseReturn = tuple<[op: 51, lease: string, workerUsable: boolean]>(
  oneOf(Op.LeaseReturn),
  text,
  bool,
);

/** `[52, key, lease, worker, node, agent]` granting agent -> submitter. Lowers the demand of that key by one. */
export const leaseGrant = tuple<
  [op: 52, key: string, lease: string, worker: string, node: string, agent: string]
>(oneOf(Op.LeaseGrant), text, text, processId, nodeId, processId);
export type LeaseGrant = Checked<typeof leaseGrant>;

/** `[53, lease]` granting agent -> submitter: others wait; send nothing more and return it when what is sent is done. */
export const leaseRevoke = tuple<[op: 53, lease: string]>(oneOf(Op.LeaseRevoke), text);

/** How a process ended, as its agent saw it. */
export interface ExitReport {
  pid: number;
  exitCode?: number | undefined;
  signal?: string | undefined;
  /** Last lines of its standard error. */
  stderr: string[];
  /** Why the agent ended it, if it did: `cancelled`, `memory`, `job-ended`, `killed`, `draining`, … */
  reason?: string | undefined;
}
export const exitReport = record<ExitReport>({
  pid: uint,
  exitCode: optional(number),
  signal: optional(text),
  stderr: list(text, 1000),
  reason: optional(text),
});

/** `[54, lease, worker, report]` granting agent -> submitter: the worker ended while leased. */
export const leaseLost = tuple<[op: 54, lease: string, worker: string, report: ExitReport]>(
  oneOf(Op.LeaseLost),
  text,
  processId,
  exitReport,
);
export type LeaseLost = Checked<typeof leaseLost>;

/** `[55, key, error]` agent -> submitter: no worker of this shape can be had; all tasks waiting for it fail with this error. */
export const leaseFailed = tuple<[op: 55, key: string, error: WireError]>(
  oneOf(Op.LeaseFailed),
  text,
  wireErrorCheck(),
);
/** `[56, key, reason]` agent -> submitter: still waiting, and why (for `why` and warnings). */
export const leasePending = tuple<[op: 56, key: string, reason: string]>(oneOf(Op.LeasePending), text, text);

// ---------------------------------------------------------------------------------------------------------------
// Workers

/**
 * `[60, lease, submitter, resources, gpus]` agent -> worker, before the grant goes out: a lease on you. GPU numbers
 * are set as CUDA_VISIBLE_DEVICES before its first task runs.
 */
export const workerAssign = tuple<
  [op: 60, lease: string, submitter: string, resources: Record<string, number>, gpus: number[]]
>(oneOf(Op.WorkerAssign), text, processId, mapOf(number), list(uint, 1024));
export type WorkerAssign = Checked<typeof workerAssign>;
/** `[61, reason]` agent -> worker: end, after what runs now and at most the agent's grace time. */
export const workerExit = tuple<[op: 61, reason: string]>(oneOf(Op.WorkerExit), text);
/** `[62, lease]` worker -> agent: every task of this lease awaits `get`; its CPUs may be used by others (also on this worker). */
export const workerBlocked = tuple<[op: 62, lease: string]>(oneOf(Op.WorkerBlocked), text);
/** `[63, lease]` worker -> agent: it goes on (accounting may be over total for a moment; work is never stopped for it). */
export const workerUnblocked = tuple<[op: 63, lease: string]>(oneOf(Op.WorkerUnblocked), text);

// ---------------------------------------------------------------------------------------------------------------
// Actors

/**
 * PENDING: claimed, waits for resources or its constructor. ALIVE: takes calls. RESTARTING: lost its process, comes
 * back. DEAD: for good.
 */
export const ACTOR_STATES = ["PENDING", "ALIVE", "RESTARTING", "DEAD"] as const;
export type ActorStateName = (typeof ACTOR_STATES)[number];

/** What a watcher learns of an actor. `epoch` grows with each incarnation. */
export interface ActorView {
  actor: string;
  state: ActorStateName;
  epoch: number;
  /** The process and node that host it, while ALIVE. */
  process?: string | undefined;
  node?: string | undefined;
  /** DEAD: why. PENDING, RESTARTING: what it waits for, if known. */
  cause?: WireError | undefined;
}
export const actorView = record<ActorView>({
  actor: actorId,
  state: oneOf(...ACTOR_STATES),
  epoch: uint,
  process: optional(processId),
  node: optional(nodeId),
  cause: optional(wireErrorCheck()),
});
/** `[70, view]` agent -> each process that asked with `actor.watch`, on every change. */
export const actorState = tuple<[op: 70, view: ActorView]>(oneOf(Op.ActorState), actorView);
/** `[71, actor, epoch, error?]` worker -> agent: the actor ended by itself (`exitActor()`, or its constructor threw). Not restarted. */
export const actorExited = tuple<[op: 71, actor: string, epoch: number, error: WireError | undefined]>(
  oneOf(Op.ActorExited),
  actorId,
  uint,
  optional(wireErrorCheck()),
);
export type ActorExited = Checked<typeof actorExited>;

/** `[80, job, pid, name, stream, lines]` agent -> driver: output of a worker. `stream` 1 stdout, 2 stderr. */
export const logs = tuple<[op: 80, job: string, pid: number, name: string, stream: 1 | 2, lines: string[]]>(
  oneOf(Op.Logs),
  jobId,
  uint,
  text,
  oneOf(1, 2),
  list(text),
);
export type Logs = Checked<typeof logs>;

// ---------------------------------------------------------------------------------------------------------------
// Errors between our own parts. (Errors of user code travel as encoded values.)

export interface WireError {
  code: string;
  message: string;
  stack?: string | undefined;
  detail?: Record<string, unknown> | undefined;
  cause?: WireError | undefined;
}
export function wireErrorCheck(): Check<WireError> {
  const check: Check<WireError> = (value, at) =>
    record<WireError>({
      code: text,
      message: text,
      stack: optional(text),
      detail: optional(mapOf(unknown)),
      cause: optional(check),
    })(value, at);
  return check;
}
