/**
 * Request methods: a name, and checkers of what is asked and answered. `request()` and `serve()` of the broker
 * package take these, so that both ends are checked against the same line.
 */
import { bool, bytes, list, mapOf, number, oneOf, optional, record, text, tuple, uint } from "./check.js";
import { actorListing, type ActorListing } from "./messages/actor-listing.js";
import { actorView, type ActorView } from "./messages/actors.js";
import {
  bundleReservation,
  groupSpec,
  groupView,
  type BundleReservation,
  type GroupSpec,
  type GroupView,
} from "./messages/groups.js";
import { actorId, groupId, jobId, nodeId, objectId, processId } from "./messages/id-checks.js";
import { drainView, type DrainView } from "./messages/drain.js";
import {
  copyList,
  dataAddress,
  storeListing,
  storeRoom,
  storeSpan,
  storeWanted,
  type DataAddress,
  type StoreListing,
  type StoreRoom,
  type StoreSpan,
  type StoreWanted,
} from "./messages/store.js";
import { nodeVitals, type NodeVitals } from "./messages/vitals.js";
import { agentWaits, agentWhy, type AgentWaits, type AgentWhy } from "./messages/why-agent.js";
import {
  leaseAnswer,
  leaseAsk,
  roomNews,
  type LeaseAnswer,
  type LeaseAsk,
  type RoomNews,
} from "./messages/bids.js";
import { wireErrorCheck, type WireError } from "./messages/wire-error.js";
import { valueDesc, type ValueDesc } from "./messages/values.js";
import { runtimeEnvSpec, type RuntimeEnvSpec } from "./messages/leases.js";
import { empty, method } from "./method.js";
import { agentStateMethods } from "./state-methods.js";
import { actorSpec, jobSpec, nodeView, type ActorSpec, type JobSpec, type NodeView } from "./specs.js";

/** Reason of an `actor.kill` that lets the actor end in order: `onDeactivate` runs. Any other kills its process at once. */
export const OUT_OF_SCOPE = "out-of-scope";

/** Why a worker was ended whose tasks still ran when its node, which was drained, had to go. They lose no attempt by it. */
export const DRAINING = "draining";

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
  /**
   * The job is over: end its workers, actors and objects on every node, pass on its last output, then answer. `last`: the
   * cluster ends with it, and its broker, so that nobody needs its rows removed.
   */
  jobEnd: method<{ job: string; last?: boolean | undefined }, object>(
    "job.end",
    record({ job: jobId, last: optional(bool) }),
    empty,
  ),
  /** Agent to agent: the part of `job.end` that concerns one node. */
  jobCleanup: method<{ job: string }, object>("job.cleanup", record({ job: jobId }), empty),

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
  /** Actors in these states (none: all but the dead), at most `limit`, the newest change first; and how many there are. */
  actorTable: method<{ states: string[]; limit: number }, ActorListing>(
    "actor.table",
    record({ states: list(text, 100), limit: uint }),
    actorListing,
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

  ...agentStateMethods,

  /** Claims the placement group (and its name), then places it in the background. Asking again changes nothing. */
  groupCreate: method<{ spec: GroupSpec }, object>("group.create", record({ spec: groupSpec }), empty),
  /**
   * The group once its revision is not `after`, or after `waitMs` as it is. Without a view nobody knows it, unless it is
   * `coming`: asked for, and about to be written down.
   */
  groupState: method<
    { group: string; after: number; waitMs: number },
    { view?: GroupView | undefined; coming: boolean }
  >(
    "group.state",
    record({ group: groupId, after: uint, waitMs: uint }),
    record({ view: optional(groupView), coming: bool }),
  ),
  /** The live group of that name. */
  groupFind: method<{ name: string; namespace: string }, GroupView>(
    "group.find",
    record({ name: text, namespace: text }),
    groupView,
  ),
  /** All groups that are not removed. */
  groupList: method<object, { groups: GroupView[] }>(
    "group.list",
    empty,
    record({ groups: list(groupView) }),
  ),
  /** Ends the group and all that runs in it. Unknown and removed groups are no error. */
  groupRemove: method<{ group: string; reason: string }, object>(
    "group.remove",
    record({ group: groupId, reason: text }),
    empty,
  ),
  /** Agent to agent: reserve these bundles until the deadline, all or none. */
  bundlePrepare: method<
    BundleReservation,
    { reserved: boolean; reason?: string | undefined; available: Record<string, number> }
  >(
    "bundle.prepare",
    bundleReservation,
    record({ reserved: bool, reason: optional(text), available: mapOf(number) }),
  ),
  /** Agent to agent: the group is written down, with these bundles if the row says so; look at it. */
  bundleCommit: method<{ group: string; attempt: string }, object>(
    "bundle.commit",
    record({ group: groupId, attempt: text }),
    empty,
  ),
  /** Agent to agent: what this attempt prepared is not wanted. */
  bundleCancel: method<{ group: string; attempt: string }, object>(
    "bundle.cancel",
    record({ group: groupId, attempt: text }),
    empty,
  ),

  /**
   * Reserves room for a large object, waiting for it where the store is full. The bytes go to the file that the answer
   * names, which becomes the object's when it is complete. `origin`: where in the program it was made, for people.
   */
  storeCreate: method<{ object: string; size: number; origin?: string | undefined }, StoreRoom>(
    "store.create",
    record({ object: objectId, size: uint, origin: optional(text) }),
    storeRoom,
  ),
  /**
   * A file of its own, of at least so many bytes, for small values or for the next object, until StoreReturn or the end
   * of the process. `ahead`: only if there is plenty of room; else the answer has `length` 0.
   */
  storeLease: method<{ bytes: number; ahead?: boolean | undefined }, StoreRoom>(
    "store.lease",
    record({ bytes: uint, ahead: optional(bool) }),
    storeRoom,
  ),
  /**
   * Makes sure that these objects can be read on this node, all of them together, fetching or restoring what is not
   * here. Unless `hold` is false they stay until StoreDone, or the end of the asker. Spans are in the order asked.
   */
  storeOpen: method<{ objects: StoreWanted[]; hold: boolean }, { spans: StoreSpan[] }>(
    "store.open",
    record({ objects: list(storeWanted, 10_000), hold: bool }),
    record({ spans: list(storeSpan, 10_000) }),
  ),
  /**
   * Part of an object of this node: `length` bytes from `offset`, or fewer at its end, with their CRC-32. `tag`: of the
   * object, in hexadecimal; parts with different ones are not of the same.
   */
  storeRead: method<
    { object: string; offset: number; length: number },
    { bytes: Uint8Array; size: number; crc: number; tag?: string | undefined }
  >(
    "store.read",
    record({ object: objectId, offset: uint, length: uint }),
    record({ bytes, size: uint, crc: uint, tag: optional(text) }),
  ),
  /** Part of an object that the asker has created here, from a process that does not see this node's memory. */
  storeWrite: method<{ object: string; offset: number; bytes: Uint8Array; crc: number }, object>(
    "store.write",
    record({ object: objectId, offset: uint, bytes, crc: uint }),
    empty,
  ),
  /** Completes an object that was written with `store.write` or over the data port. */
  storeSeal: method<{ object: string; size: number }, object>(
    "store.seal",
    record({ object: objectId, size: uint }),
    empty,
  ),
  /** Where the data port of this node is. No hosts: it has none, use `store.read` and `store.write`. */
  storeAddress: method<object, DataAddress>("store.address", empty, dataAddress),
  /** Has other nodes keep copies of an object of this node until there are `copies` in all; answers where they are. */
  storeReplicate: method<{ object: string; size: number; copies: number }, { copies: [string, string][] }>(
    "store.replicate",
    record({ object: objectId, size: uint, copies: uint }),
    record({ copies: copyList }),
  ),
  /** Agent to agent: fetch this object of the job and keep it as if it had been made here. */
  storeKeep: method<{ wanted: StoreWanted; job?: string | undefined }, object>(
    "store.keep",
    record({ wanted: storeWanted, job: optional(jobId) }),
    empty,
  ),
  /** Where else the object is, as far as the cluster knows: nodes that have it whole. */
  storeLocate: method<{ object: string }, { size: number; copies: [string, string][] }>(
    "store.locate",
    record({ object: objectId }),
    record({ size: uint, copies: copyList }),
  ),
  /** What is in the store of this node, and what its processes hold: for `stingray memory`. At most `limit` objects, largest first. */
  storeList: method<{ limit: number }, StoreListing>("store.list", record({ limit: uint }), storeListing),

  /**
   * Why something has not ended: a task (or a value, by its object's id) that `process` owns or runs (by default its
   * owner), an actor or a placement group. An agent that knows nothing of it answers with nothing.
   */
  why: method<{ about: string; process?: string | undefined }, AgentWhy>(
    "agent.why",
    record({ about: text, process: optional(processId) }),
    agentWhy,
  ),
  /** What waits in the processes of this agent, and the actors that it finds places for. */
  waits: method<object, AgentWaits>("agent.waits", empty, agentWaits),
  /**
   * Changes how much of a resource this node has, for as long as its agent lives; 0 removes it. What is in use stays in
   * use. The answer is all that it has, and what is free.
   */
  nodeSetResource: method<
    { name: string; amount: number },
    { total: Record<string, number>; available: Record<string, number> }
  >(
    "node.setResource",
    record({ name: text, amount: number }),
    record({ total: mapOf(number), available: mapOf(number) }),
  ),
  /**
   * Leave the cluster in good order: nothing new is taken on, what runs may end within `deadlineMs`, actors and objects
   * move to other nodes. Asked again it changes nothing, but that the deadline may come closer.
   */
  nodeDrain: method<{ deadlineMs: number; reason: string }, DrainView>(
    "node.drain",
    record({ deadlineMs: uint, reason: text }),
    drainView,
  ),
  /** How far it has come: answered when there is nothing left, else after `waitMs`. Fails where the node is not drained. */
  nodeDrained: method<{ waitMs: number }, DrainView>("node.drained", record({ waitMs: uint }), drainView),

  /** The workers of this node, at most `limit` of them: those with trouble first, then those with most memory. */
  nodeVitals: method<{ limit: number }, NodeVitals>("node.vitals", record({ limit: uint }), nodeVitals),
  /** The cluster as this agent sees it. */
  clusterState: method<object, { cluster: string; nodes: NodeView[]; groups?: GroupView[] | undefined }>(
    "cluster.state",
    empty,
    record({ cluster: text, nodes: list(nodeView), groups: optional(list(groupView)) }),
  ),
} as const;

/**
 * Between agents, as plain NATS requests: `{ v, kind, ask }` is answered by `{ v, answer }` or `{ v, error }`. Grants go
 * straight to the submitter.
 */
export const Bids = {
  /** To one node, on its own subject. */
  offer: method<LeaseAsk, LeaseAnswer>("lease.offer", leaseAsk, leaseAnswer),
  /** To whoever has some of a resource class free, on its capability subject. */
  call: method<LeaseAsk, LeaseAnswer>("lease.call", leaseAsk, leaseAnswer),
  /** To a node that was refused for want of room: there is some now. Not answered where no answer is asked for. */
  room: method<RoomNews, object>("lease.room", roomNews, empty),
} as const;

/** Served by every worker, for its own agent only. */
export const Worker = {
  /** Become a worker of this job and environment: variables, directory, setup module, then the entry module in the background. */
  bind: method<{ spec: JobSpec; runtimeEnv: RuntimeEnvSpec }, object>(
    "worker.bind",
    record({ spec: jobSpec, runtimeEnv: runtimeEnvSpec }),
    empty,
  ),
  /**
   * Become the host of an actor: load its class and run the constructor. Fails with what the constructor threw. `gpus`
   * and `visible` are as in WorkerAssign; `state` and `mailbox` are what an earlier incarnation has saved; `taken`: another may have lived since.
   */
  startActor: method<
    {
      spec: ActorSpec;
      epoch: number;
      gpus: number[];
      visible?: string | undefined;
      lease: string;
      state?: Uint8Array | undefined;
      mailbox?: Uint8Array | undefined;
      taken?: boolean | undefined;
      /** Why the incarnation before it ended. */
      cause?: WireError | undefined;
    },
    object
  >(
    "worker.startActor",
    record({
      spec: actorSpec,
      epoch: uint,
      gpus: list(uint, 1024),
      visible: optional(text),
      lease: text,
      state: optional(bytes),
      mailbox: optional(bytes),
      taken: optional(bool),
      cause: optional(wireErrorCheck()),
    }),
    empty,
  ),
  /** May this idle worker end? Not while it owns objects or actors that others may hold: they would go with it. */
  mayEnd: method<object, { may: boolean; lent?: number | undefined }>(
    "worker.mayEnd",
    empty,
    // `lent`: objects of its own that other processes hold references to.
    record({ may: bool, lent: optional(uint) }),
  ),
  /**
   * The actor of this worker moves: it takes no more calls and gives back those that have not begun, which may go to its
   * next incarnation. What runs may end within `deadlineMs`, then `onDeactivate` runs. The process stays, and gives back
   * what is still sent to it. With `save`, and if all calls have ended, its state is saved last. `running`: calls that
   * have not ended; `error`: the message of what `onDeactivate` or the save threw; `owes`: answers of its durable mailbox
   * were not heard by their callers, which the next incarnation tells.
   */
  leaveActor: method<
    { reason: string; deadlineMs: number; save?: boolean | undefined },
    { running: number; error?: string | undefined; owes?: boolean | undefined }
  >(
    "worker.leaveActor",
    record({ reason: text, deadlineMs: uint, save: optional(bool) }),
    record({ running: uint, error: optional(text), owes: optional(bool) }),
  ),
} as const;

/** Served by every process for the objects that it owns. */
export const Owner = {
  /**
   * The copies that the owner named can't be read: `failed` are the nodes that were asked, `generation` is that of the
   * location. The owner looks for other copies, then makes the value again; the answer comes when there is one, or says
   * why there is none.
   */
  recover: method<{ object: string; failed: string[]; generation: number }, { value: ValueDesc }>(
    "object.recover",
    record({ object: objectId, failed: list(nodeId, 10_000), generation: uint }),
    record({ value: valueDesc }),
  ),
  /**
   * Agent to owner: the copy of node `from`, which is about to leave, was brought to node `to`. `unknown`: the owner has
   * no such object, or not yet; `pending`: its value is not known yet.
   */
  moved: method<
    { object: string; size: number; from: string; to: [node: string, agent: string] },
    { outcome: "moved" | "pending" | "unknown" }
  >(
    "object.moved",
    record({
      object: objectId,
      size: uint,
      from: nodeId,
      to: tuple<[node: string, agent: string]>(nodeId, processId),
    }),
    record({ outcome: oneOf("moved", "pending", "unknown") }),
  ),
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
