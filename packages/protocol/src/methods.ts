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
  text,
  tuple,
  uint,
  type Check,
} from "./check.js";
import { actorView, type ActorView } from "./messages/actors.js";
import { actorId, jobId, nodeId, objectId, processId } from "./messages/id-checks.js";
import { runtimeEnvSpec, shapeSpec, type RuntimeEnvSpec, type Shape } from "./messages/leases.js";
import { actorSpec, jobSpec, nodeView, type ActorSpec, type JobSpec, type NodeView } from "./specs.js";

export interface Method<Q, A> {
  readonly name: string;
  readonly ask: Check<Q>;
  readonly answer: Check<A>;
}
const method = <Q, A>(name: string, ask: Check<Q>, answer: Check<A>): Method<Q, A> => ({ name, ask, answer });

const empty = record<object>({});

/** Reason of an `actor.kill` that lets the actor end in order: `onDeactivate` runs. Any other kills its process at once. */
export const OUT_OF_SCOPE = "out-of-scope";

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
    {
      granted: number;
      /** What was granted, for shapes that are to be spread. */
      leases?: string[] | undefined;
      reason?: string | undefined;
      available: Record<string, number>;
    }
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
    record({
      granted: uint,
      leases: optional(list(text)),
      reason: optional(text),
      available: mapOf(number),
    }),
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
  /** May this idle worker end? Not while it owns objects or actors that others may hold: they would go with it. */
  mayEnd: method<object, { may: boolean }>("worker.mayEnd", empty, record({ may: bool })),
} as const;

/** Served by every driver and worker. */
export const Process = {
  /** Still there? Asked by the home agent of a driver whose end shows nowhere else: it has no socket to the agent. */
  ping: method<object, object>("process.ping", empty, empty),
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
