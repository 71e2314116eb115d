/** What jobs, actors and nodes are described by, in requests and in the tables of the control store. */
import { bool, list, mapOf, number, oneOf, optional, record, text, uint, type Check } from "./check.js";
import { actorId, jobId, nodeId, objectId, processId } from "./messages/id-checks.js";
import { runtimeEnvSpec, shapeSpec, type RuntimeEnvSpec, type Shape } from "./messages/leases.js";
import { storeFigures, type StoreFigures } from "./messages/store.js";
import { valueDesc, type ValueDesc } from "./messages/values.js";

/** A job as every agent needs to know it to start workers for it. Stored in the `jobs` table. */
export interface JobSpec {
  job: string;
  driver: string;
  /** Where the driver's node agent is, if it has one on its machine. */
  driverNode?: string | undefined;
  pid: number;
  hostname: string;
  /** The driver's main module, which workers load ahead: relative to `root`, or a file URL. Empty: none. */
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
  /** Calls of one process that may wait; absent: any number. */
  maxPendingCalls?: number | undefined;
  maxConcurrency: number;
  concurrencyGroups: Record<string, number>;
  /** Its calls are kept on the broker. Absent: they travel from caller to actor and live in memory. */
  durable?: boolean | undefined;
  /** Milliseconds without a call after which a durable one is put to sleep; -1: never. */
  passivateAfterMs?: number | undefined;
  /** It lives in one process with others. */
  shared?: boolean | undefined;
  /** Its methods, so that a handle got by name knows them: results per call (-1: a stream), and their options. */
  methods: Record<string, MethodSpec>;
}
export interface MethodSpec {
  returns: number;
  shared?: boolean | undefined;
  group?: string | undefined;
  maxTaskRetries?: number | undefined;
}
/** Whether anything is ever saved of such an actor: it has a row in `states`, or may have one. */
export const keepsState = ({ durable, methods }: Pick<ActorSpec, "durable" | "methods">): boolean =>
  durable === true || (Object.hasOwn(methods, "snapshot") && Object.hasOwn(methods, "restore"));

/** Of the constructor: the encoded array of all, or one description per argument where some were references. */
export const specArgs: Check<Uint8Array | ValueDesc[]> = (value, at) =>
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
  args: specArgs,
  placement: shapeSpec,
  running: mapOf(number),
  name: optional(text),
  namespace: text,
  detached: bool,
  maxRestarts: number,
  maxTaskRetries: number,
  maxPendingCalls: optional(number),
  maxConcurrency: uint,
  concurrencyGroups: mapOf(uint),
  durable: optional(bool),
  passivateAfterMs: optional(number),
  shared: optional(bool),
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
  /** Of this life of the node; another one after it was declared dead. */
  node: string;
  /** Process id of its agent. */
  agent: string;
  /** Of its machine. */
  hostname: string;
  /** Of the agent, on its machine. */
  pid: number;
  /** SUSPECT: nothing was heard of it for two and a half heartbeats. */
  state: "ALIVE" | "SUSPECT" | "DRAINING" | "DEAD";
  /** As it was started with. */
  labels: Record<string, string>;
  /** All resources: `CPU`, `GPU`, `memory` in bytes, custom ones. */
  total: Record<string, number>;
  /** Those that nothing holds now. */
  available: Record<string, number>;
  /** Worker processes, idle ones included. */
  workers: number;
  /** Actors that live here or are being made here. */
  actors: number;
  /** Bytes in the object store. */
  storeUsed: number;
  /** Bytes that it takes. */
  storeCapacity: number;
  /** All that the store says of itself; absent where the node is of a version that says less. */
  store?: StoreFigures | undefined;
  /** What waits at this node's agent for a place, here or on any node. */
  pending: PendingDemand[];
}

/** Demand that waits: of one shape, of one process; or an actor without a place. */
export interface PendingDemand {
  /** Resources of each, in the user's units. */
  shape: Record<string, number>;
  /** Labels that a node must have, as they were asked for. */
  labels?: Record<string, string> | undefined;
  /** Workers that are asked for, or 1 for an actor. */
  count: number;
  /** Why it waits, for people. */
  reason: string;
  /** For how long it has waited, in milliseconds. Absent where the node is of a version that does not say. */
  waitingMs?: number | undefined;
  /** Whose it is. */
  job?: string | undefined;
  /** No node of the cluster could ever do it as they are: it waits for one that can. */
  infeasible?: boolean | undefined;
  /** The actor that waits, where it is one: `actor Counter (a…)`. */
  actor?: string | undefined;
}
export const pendingDemand = record<PendingDemand>({
  shape: mapOf(number),
  labels: optional(mapOf(text)),
  count: uint,
  reason: text,
  waitingMs: optional(number),
  job: optional(jobId),
  infeasible: optional(bool),
  actor: optional(text),
});
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
  store: optional(storeFigures),
  pending: list(pendingDemand),
});
