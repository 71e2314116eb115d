/** What the tables hold: one row type per table, and the checker that every row passes when it is read. */
import {
  ACTOR_STATES,
  GROUP_STATES,
  GROUP_STRATEGIES,
  MAX_BUNDLES,
  actorSpec,
  resourceAmounts,
  bundleList,
  bytes,
  bool,
  finite,
  isActorId,
  isGroupId,
  isJobId,
  isNodeId,
  isProcessId,
  jobSpec,
  keptCall,
  list,
  mapOf,
  oneOf,
  optional,
  record,
  shape,
  text,
  uint,
  wireErrorCheck,
  type ActorSpec,
  type ActorStateName,
  type Check,
  type GroupSpec,
  type GroupStateName,
  type JobSpec,
  type KeptCall,
  type TableName,
  type WireError,
} from "@stingray/protocol";

const processId = shape(isProcessId, "a process id");
const nodeId = shape(isNodeId, "a node id");
const jobId = shape(isJobId, "a job id");
const actorId = shape(isActorId, "an actor id");
const groupId = shape(isGroupId, "a group id");

/** One life of a node agent. Key: the node id. */
export interface NodeRow {
  node: string;
  /** Process id of the agent. */
  agent: string;
  hostname: string;
  pid: number;
  state: "ALIVE" | "DRAINING" | "DEAD";
  labels: Record<string, string>;
  /** All resources of the node, in the user's units. */
  total: Record<string, number>;
  /** Milliseconds since 1970, by the node's clock; for people. */
  startedAt: number;
  /** Grows when the agent takes part anew. */
  epoch: number;
  /** Why it is DRAINING or DEAD. */
  reason?: string | undefined;
}

/** One run of a driver. Key: the job id. */
export interface JobRow {
  spec: JobSpec;
  /** Process id of the agent that the driver joined through. */
  home: string;
  homeNode: string;
  state: "RUNNING" | "FINISHED" | "FAILED";
  /** Milliseconds since 1970. */
  startedAt: number;
  endedAt?: number | undefined;
}

/** An actor over all its incarnations. Key: the actor id. */
export interface ActorRow {
  spec: ActorSpec;
  state: ActorStateName;
  /** The incarnation: grows with each. Calls, replies and writes that carry a lower one are refused. */
  epoch: number;
  /** The process, node and agent that host it, while ALIVE. */
  process?: string | undefined;
  node?: string | undefined;
  agent?: string | undefined;
  /** Where it lives with others: the endpoint of their host. Its `epoch` is 0 then where it is the row's own first revision. */
  host?: string | undefined;
  /** Restarts so far; moves of one node to another are none. */
  restarts: number;
  /** RESTARTING: its node is being drained, and its incarnation there was ended in order. */
  moving?: boolean | undefined;
  /** DEAD: why. RESTARTING, PENDING: what it waits for, if known. */
  cause?: WireError | undefined;
  /** DEAD: when that was written down, in milliseconds since 1970 by the writer's clock; for people. */
  diedAt?: number | undefined;
}

/** A name taken by an actor or a placement group. Key: {@link nameKey} or {@link groupNameKey}. */
export interface NameRow {
  actor?: string | undefined;
  group?: string | undefined;
  job: string;
}

/** A placement group. Key: the group id. */
export interface GroupRow extends GroupSpec {
  state: GroupStateName;
  /** The node of each bundle, by index; empty text where it has none yet. */
  nodes: string[];
  /** Process id of the agent that finds nodes for it. */
  agent: string;
  /** REMOVED: why. PENDING, RESCHEDULING: what it waits for, if known. */
  cause?: WireError | undefined;
}

/**
 * One copy of a large object, for those who can't ask its owner. Key: {@link objectKey}. Only the agent of the copy's
 * node writes it, so that no two writers ever meet; it may lag behind what that node has.
 */
export interface ObjectRow {
  /** The process that the object belongs to, dead or alive. */
  owner: string;
  /** Bytes. */
  size: number;
  /** Process id of the agent whose node has the copy. */
  agent: string;
}

/** The descriptions of a run of consecutive tasks, encoded by the task package. Key: {@link lineageKey}. */
export interface LineageRow {
  bytes: Uint8Array;
}

/** A piece of a job's code or files. Key: {@link packageKey}. */
export interface PackageRow {
  bytes: Uint8Array;
}

/** What an actor has saved. Key: the actor id. */
export interface StateHead {
  job: string;
  /** Of the incarnation that has taken the row over: only it writes here. */
  epoch: number;
  /** Grows with each save. */
  version: number;
  /** The encoded state, where it is small. */
  state?: Uint8Array | undefined;
  /** Where it is large: how many rows hold it, by {@link statePartKey}, and the name that they share. */
  parts?: { set: string; count: number } | undefined;
  /** There are rows of parts, or were: written before the first of them, so that none is forgotten. */
  parted?: boolean | undefined;
  /** Of the durable mailbox: position and numbers that go with the state. */
  mailbox?: Uint8Array | undefined;
  /** Another incarnation has taken the row over since `mailbox` was saved. */
  taken?: boolean | undefined;
}
/** Part of a large state. Key: {@link statePartKey}. */
export interface StatePart {
  part: Uint8Array;
}
export type StateRow = StateHead | StatePart;

/** When a reminder comes: at a time, again and again, or by a cron expression. */
export interface ReminderSchedule {
  everyMs?: number | undefined;
  /** Five or six fields. */
  cron?: string | undefined;
  /** Of the cron expression: an IANA name. */
  timeZone?: string | undefined;
}

/** A call that an actor gets at a time. Key: {@link reminderKey}. */
export interface ReminderRow {
  actor: string;
  job: string;
  name: string;
  /** Of this setting of the reminder; another one when it is set again. */
  id: string;
  /** Of a delayed call: the process that hears how it ended, and its node. Else empty. */
  producer: string;
  node?: string | undefined;
  /** What the mailbox gets. Without an id of its own it gets one that names the reminder and the occurrence. */
  call: KeptCall;
  /** Absent: once. */
  schedule?: ReminderSchedule | undefined;
  /** Milliseconds since 1970 of the next occurrence. */
  nextAt: number;
  /** Occurrences that were delivered. */
  fired: number;
}

/** Row type by table. */
export interface Rows {
  nodes: NodeRow;
  jobs: JobRow;
  actors: ActorRow;
  names: NameRow;
  groups: GroupRow;
  objects: ObjectRow;
  lineage: LineageRow;
  packages: PackageRow;
  states: StateRow;
  reminders: ReminderRow;
}

const stateHead = record<StateHead>({
  job: jobId,
  epoch: uint,
  version: uint,
  state: optional(bytes),
  parts: optional(record<{ set: string; count: number }>({ set: text, count: uint })),
  parted: optional(bool),
  mailbox: optional(bytes),
  taken: optional(bool),
});
const statePart = record<StatePart>({ part: bytes });
const stateRow: Check<StateRow> = (value, at) =>
  typeof value === "object" && value !== null && "part" in value
    ? statePart(value, at)
    : stateHead(value, at);

/** Checker by table. */
export const ROW_CHECKS: { readonly [K in TableName]: Check<Rows[K]> } = {
  nodes: record<NodeRow>({
    node: nodeId,
    agent: processId,
    hostname: text,
    pid: uint,
    state: oneOf("ALIVE", "DRAINING", "DEAD"),
    labels: mapOf(text),
    total: resourceAmounts,
    startedAt: uint,
    epoch: uint,
    reason: optional(text),
  }),
  jobs: record<JobRow>({
    spec: jobSpec,
    home: processId,
    homeNode: nodeId,
    state: oneOf("RUNNING", "FINISHED", "FAILED"),
    startedAt: uint,
    endedAt: optional(uint),
  }),
  actors: record<ActorRow>({
    spec: actorSpec,
    state: oneOf(...ACTOR_STATES),
    epoch: uint,
    process: optional(processId),
    node: optional(nodeId),
    agent: optional(processId),
    host: optional(actorId),
    restarts: uint,
    moving: optional(bool),
    cause: optional(wireErrorCheck()),
    diedAt: optional(uint),
  }),
  names: record<NameRow>({ actor: optional(actorId), group: optional(groupId), job: jobId }),
  groups: record<GroupRow>({
    group: groupId,
    job: jobId,
    detached: bool,
    name: optional(text),
    namespace: text,
    strategy: oneOf(...GROUP_STRATEGIES),
    bundles: bundleList,
    state: oneOf(...GROUP_STATES),
    nodes: list(text, MAX_BUNDLES),
    agent: processId,
    cause: optional(wireErrorCheck()),
  }),
  objects: record<ObjectRow>({ owner: processId, size: uint, agent: processId }),
  lineage: record<LineageRow>({ bytes }),
  packages: record<PackageRow>({ bytes }),
  states: stateRow,
  reminders: record<ReminderRow>({
    actor: actorId,
    job: jobId,
    name: text,
    id: text,
    producer: text,
    node: optional(nodeId),
    call: keptCall,
    schedule: optional(
      record<ReminderSchedule>({ everyMs: optional(finite), cron: optional(text), timeZone: optional(text) }),
    ),
    nextAt: finite,
    fired: uint,
  }),
};

/** Version of the rows of each table. A bucket that holds another version is refused. */
export const ROW_SCHEMAS: { readonly [K in TableName]: number } = {
  nodes: 1,
  jobs: 1,
  actors: 1,
  names: 1,
  groups: 1,
  objects: 1,
  lineage: 1,
  packages: 1,
  states: 1,
  reminders: 1,
};
