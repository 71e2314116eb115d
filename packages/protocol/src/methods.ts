/**
 * Request methods: a name, and checkers of what is asked and answered. `request()` and `serve()` of the broker
 * package take these, so that both ends are checked against the same line.
 */
import {
  bool,
  bytes,
  list,
  mapOf,
  number,
  optional,
  record,
  shape,
  text,
  tuple,
  uint,
  oneOf,
  type Check,
} from "./check.js";
import { isActorId, isJobId, isNodeId, isObjectId, isProcessId } from "./ids.js";
import {
  actorView,
  runtimeEnvSpec,
  shapeSpec,
  valueDesc,
  type ActorView,
  type RuntimeEnvSpec,
  type Shape,
  type ValueDesc,
} from "./messages.js";

export interface Method<Q, A> {
  readonly name: string;
  readonly ask: Check<Q>;
  readonly answer: Check<A>;
}
const method = <Q, A>(name: string, ask: Check<Q>, answer: Check<A>): Method<Q, A> => ({ name, ask, answer });

const processId = shape(isProcessId, "a process id");
const nodeId = shape(isNodeId, "a node id");
const jobId = shape(isJobId, "a job id");
const actorId = shape(isActorId, "an actor id");
const objectId = shape(isObjectId, "an object id");
const empty = record<object>({});

/** A job as every agent needs to know it to start workers for it. Stored in the `jobs` table. */
export interface JobSpec {
  job: string;
  driver: string;
  /** Where the driver's node agent is, if it has one on its machine. */
  driverNode?: string | undefined;
  pid: number;
  hostname: string;
  /** Absolute path of the driver's entry module; workers import it. */
  entry: string;
  /** Directory that module paths are relative to, and the working directory of workers. */
  root: string;
  namespace: string;
  runtimeEnv: RuntimeEnvSpec;
  /** The driver's own `process.execArgv` (loaders, source maps), inherited by workers. */
  execArgv: string[];
  logToDriver: boolean;
}
export const jobSpec = record<JobSpec>({
  job: jobId,
  driver: processId,
  driverNode: optional(nodeId),
  pid: uint,
  hostname: text,
  entry: text,
  root: text,
  namespace: text,
  runtimeEnv: runtimeEnvSpec,
  execArgv: list(text, 1000),
  logToDriver: bool,
});

/** What an actor is made of. Stored in the `actors` table; enough to make it again on any node. */
export interface ActorSpec {
  actor: string;
  job: string;
  /** The process that created it; the actor ends with it unless detached. */
  creator: string;
  creatorNode?: string | undefined;
  /** Object id that stands for the handles of the actor, counted by its creator like any reference. Absent: detached. */
  handleRef?: string | undefined;
  module: string;
  className: string;
  hash: string;
  args: Uint8Array | ValueDesc[];
  /** Held while it is placed (1 CPU unless given). */
  placement: Shape;
  /** Held while it lives (0 CPUs unless given). */
  running: Record<string, number>;
  name?: string | undefined;
  namespace: string;
  detached: boolean;
  /** -1: no limit. */
  maxRestarts: number;
  maxTaskRetries: number;
  maxConcurrency: number;
  concurrencyGroups: Record<string, number>;
  /** Its methods, so that a handle got by name knows them: results per call (-1: a stream), and their options. */
  methods: Record<string, MethodSpec>;
}
export interface MethodSpec {
  returns: number;
  shared?: boolean | undefined;
  group?: string | undefined;
  maxTaskRetries?: number | undefined;
}
const args: Check<Uint8Array | ValueDesc[]> = (value, at) =>
  value instanceof Uint8Array ? value : list(valueDesc, 100_000)(value, at);
export const actorSpec = record<ActorSpec>({
  actor: actorId,
  job: jobId,
  creator: processId,
  creatorNode: optional(nodeId),
  handleRef: optional(objectId),
  module: text,
  className: text,
  hash: text,
  args,
  placement: shapeSpec,
  running: mapOf(number),
  name: optional(text),
  namespace: text,
  detached: bool,
  maxRestarts: number,
  maxTaskRetries: number,
  maxConcurrency: uint,
  concurrencyGroups: mapOf(uint),
  methods: mapOf(
    record<MethodSpec>({
      returns: number,
      shared: optional(bool),
      group: optional(text),
      maxTaskRetries: optional(number),
    }),
  ),
});

/** One node as `nodes()` and `stingray status` show it. Amounts in the user's units. */
export interface NodeView {
  node: string;
  agent: string;
  hostname: string;
  pid: number;
  state: "ALIVE" | "SUSPECT" | "DRAINING" | "DEAD";
  labels: Record<string, string>;
  total: Record<string, number>;
  available: Record<string, number>;
  workers: number;
  actors: number;
  /** Bytes in the object store, and its capacity. */
  storeUsed: number;
  storeCapacity: number;
  /** Demand that waits here, one line each with its reason. */
  pending: { shape: Record<string, number>; count: number; reason: string }[];
}
export const nodeView = record<NodeView>({
  node: nodeId,
  agent: processId,
  hostname: text,
  pid: uint,
  state: oneOf("ALIVE", "SUSPECT", "DRAINING", "DEAD"),
  labels: mapOf(text),
  total: mapOf(number),
  available: mapOf(number),
  workers: uint,
  actors: uint,
  storeUsed: uint,
  storeCapacity: uint,
  pending: list(
    record<{ shape: Record<string, number>; count: number; reason: string }>({
      shape: mapOf(number),
      count: uint,
      reason: text,
    }),
  ),
});

/** Served by every agent. */
export const Agent = {
  /** A worker is up: its first message. The answer is empty; `worker.bind` follows. */
  workerReady: method<{ worker: string; pid: number; version: number }, object>(
    "worker.ready",
    record({ worker: processId, pid: uint, version: uint }),
    empty,
  ),
  /** A driver starts its job here; this agent is its home (watches its life, answers its requests). Idempotent. */
  jobStart: method<JobSpec, object>("job.start", jobSpec, empty),
  /** The job is over: end its workers, actors and objects on every node, pass on its last output, then answer. */
  jobEnd: method<{ job: string }, object>("job.end", record({ job: jobId }), empty),
  /** Agent to agent: the part of `job.end` that concerns one node. */
  jobCleanup: method<{ job: string }, object>("job.cleanup", record({ job: jobId }), empty),

  /** Agent to agent: a directed offer. Grants go from the receiver straight to the submitter. */
  leaseOffer: method<
    {
      offer: string;
      job: string;
      submitter: string;
      submitterNode?: string | undefined;
      key: string;
      shape: Shape;
      count: number;
      deadlineMs: number;
    },
    { granted: number; reason?: string | undefined; available: Record<string, number> }
  >(
    "lease.offer",
    record({
      offer: text,
      job: jobId,
      submitter: processId,
      submitterNode: optional(nodeId),
      key: text,
      shape: shapeSpec,
      count: uint,
      deadlineMs: uint,
    }),
    record({ granted: uint, reason: optional(text), available: mapOf(number) }),
  ),
  /** The holder of a lease asks that its worker be killed (`cancel` with force, task timeout). */
  leaseKill: method<{ lease: string; reason: string }, object>(
    "lease.kill",
    record({ lease: text, reason: text }),
    empty,
  ),

  /** Claims the actor (and its name), then places it in the background; watch it to learn more. `existing`: with getIfExists. */
  actorCreate: method<{ spec: ActorSpec; getIfExists: boolean }, { existing?: ActorSpec | undefined }>(
    "actor.create",
    record({ spec: actorSpec, getIfExists: bool }),
    record({ existing: optional(actorSpec) }),
  ),
  /** Its state now, and an ActorState message on every change from now on to the process that asked. */
  actorWatch: method<{ actor: string }, ActorView>("actor.watch", record({ actor: actorId }), actorView),
  actorGet: method<{ name: string; namespace: string }, ActorSpec>(
    "actor.get",
    record({ name: text, namespace: text }),
    actorSpec,
  ),
  actorList: method<{ namespace?: string | undefined }, { actors: { namespace: string; name: string }[] }>(
    "actor.list",
    record({ namespace: optional(text) }),
    record({ actors: list(record<{ namespace: string; name: string }>({ namespace: text, name: text })) }),
  ),
  /** Ends an actor wherever it is. `restart`: lets maxRestarts bring it back. Unknown actors are no error. */
  actorKill: method<{ actor: string; restart: boolean; reason: string }, object>(
    "actor.kill",
    record({ actor: actorId, restart: bool, reason: text }),
    empty,
  ),
  /** Agent to agent: host this incarnation, or say why not. Answered when resources are reserved, before the constructor ran. */
  actorPlace: method<{ spec: ActorSpec; epoch: number }, { accepted: boolean; reason?: string | undefined }>(
    "actor.place",
    record({ spec: actorSpec, epoch: uint }),
    record({ accepted: bool, reason: optional(text) }),
  ),

  /** Reserves room for a large object. `path` is a file of exactly `size` bytes to be mapped shared and written. */
  storeCreate: method<{ object: string; size: number }, { path: string }>(
    "store.create",
    record({ object: objectId, size: uint }),
    record({ path: text }),
  ),
  /** Makes sure that this node has the object, from one of the copies if need be. */
  storePull: method<
    { object: string; size: number; copies: [string, string][] },
    { path: string; size: number }
  >(
    "store.pull",
    record({
      object: objectId,
      size: uint,
      copies: list(tuple<[string, string]>(nodeId, processId), 10_000),
    }),
    record({ path: text, size: uint }),
  ),
  /** Part of an object of this node: `length` bytes from `offset`, or fewer at its end. */
  storeRead: method<{ object: string; offset: number; length: number }, { bytes: Uint8Array; size: number }>(
    "store.read",
    record({ object: objectId, offset: uint, length: uint }),
    record({ bytes, size: uint }),
  ),

  /** The cluster as this agent sees it. */
  clusterState: method<object, { cluster: string; nodes: NodeView[] }>(
    "cluster.state",
    empty,
    record({ cluster: text, nodes: list(nodeView) }),
  ),
} as const;

/** Served by every worker, for its own agent only. */
export const Worker = {
  /** Become a worker of this job and environment: variables, directory, setup module, then the entry module in the background. */
  bind: method<{ spec: JobSpec; runtimeEnv: RuntimeEnvSpec }, object>(
    "worker.bind",
    record({ spec: jobSpec, runtimeEnv: runtimeEnvSpec }),
    empty,
  ),
  /** Become the host of an actor: load its class and run the constructor. Fails with what the constructor threw. */
  startActor: method<{ spec: ActorSpec; epoch: number; gpus: number[]; lease: string }, object>(
    "worker.startActor",
    record({ spec: actorSpec, epoch: uint, gpus: list(uint, 1024), lease: text }),
    empty,
  ),
} as const;

/** Served by every process for the objects that it owns. */
export const Owner = {
  /** As ObjectBorrow, answered when noted, for a sender that must not let go before. */
  borrow: method<{ objects: string[] }, object>("object.borrow", record({ objects: list(objectId) }), empty),
  /** The receiver of a result now holds the references inside it itself; the sender may let go. */
  borrowed: method<{ call: number; index?: number | undefined }, object>(
    "object.borrowed",
    record({ call: uint, index: optional(uint) }),
    empty,
  ),
} as const;

/** Asked on the subject `s.driver` with a plain NATS request: which cluster is this, and which agent takes me in? */
export const Join = method<
  { version: number },
  { cluster: string; agent: string; node: string; version: number }
>(
  "join",
  record({ version: uint }),
  record({ cluster: text, agent: processId, node: nodeId, version: uint }),
);

export type { ActorView };
