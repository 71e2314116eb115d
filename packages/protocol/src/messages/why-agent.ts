/** Why something has not ended: what agents answer to `stingray why`. Times are ages, in milliseconds. */
import { bool, list, number, oneOf, optional, record, text, uint } from "../check.js";
import { groupView, type GroupView } from "./groups.js";
import { actorId, jobId, nodeId, processId } from "./id-checks.js";
import { actorTrouble, type ActorTrouble } from "./vitals.js";
import { shapeSpec, type Shape } from "./leases.js";
import {
  runningWhy,
  taskWhy,
  waitingTasks,
  type RunningWhy,
  type TaskWhy,
  type WaitingTasks,
} from "./why.js";

/** One thing that was tried for a demand, and what came of it. */
export interface Attempted {
  agoMs: number;
  /** The node or class of nodes that was asked. */
  whom: string;
  kind: string;
  answer: string;
}
const attempted = record<Attempted>({ agoMs: number, whom: text, kind: text, answer: text });

/** Whether a node can take something, and why not. */
export interface NodeFit {
  node: string;
  fit: "now" | "later" | "never";
  reason: string;
}
const nodeFit = record<NodeFit>({ node: nodeId, fit: oneOf("now", "later", "never"), reason: text });

/** A demand at the agent that serves it. */
export interface DemandWhy {
  want: number;
  waitingMs: number;
  reason: string;
  infeasible: boolean;
  /** What was tried, the last decisions, oldest first. */
  trail: Attempted[];
  /** What each known node has to say to it. */
  nodes: NodeFit[];
  /** Nodes beyond these. */
  more: number;
}
export const demandWhy = record<DemandWhy>({
  want: uint,
  waitingMs: number,
  reason: text,
  infeasible: bool,
  trail: list(attempted, 1_000),
  nodes: list(nodeFit, 10_000),
  more: uint,
});

/** An actor as the tables and the agent that places it know it. */
export interface ActorWhy {
  actor: string;
  className: string;
  name?: string | undefined;
  state: string;
  job: string;
  creator: string;
  restarts: number;
  maxRestarts: number;
  placement: Shape;
  node?: string | undefined;
  process?: string | undefined;
  /** Of its death, or of the last loss of its process. */
  cause?: string | undefined;
  /** Why it does not answer, or what its constructor is at. */
  trouble?: ActorTrouble | undefined;
  /** At the agent that looks for a place for it. */
  wait?: DemandWhy | undefined;
  /** At the agent that has a place for it: waits for a process, or its constructor runs. */
  hosted?:
    | { node: string; state: "reserving" | "starting" | "alive" | "leaving"; process?: string | undefined }
    | undefined;
}
export const actorWhy = record<ActorWhy>({
  actor: actorId,
  className: text,
  name: optional(text),
  state: text,
  job: jobId,
  creator: processId,
  restarts: uint,
  maxRestarts: number,
  placement: shapeSpec,
  node: optional(nodeId),
  process: optional(processId),
  cause: optional(text),
  trouble: optional(actorTrouble),
  wait: optional(demandWhy),
  hosted: optional(
    record<NonNullable<ActorWhy["hosted"]>>({
      node: nodeId,
      state: oneOf("reserving", "starting", "alive", "leaving"),
      process: optional(processId),
    }),
  ),
});

/** The answer of an agent. Everything absent: what was asked about is not here. */
export interface AgentWhy {
  /** The asked process is one of this agent. `silent`: it does not answer, as one in a long loop. */
  process?: { process: string; pid?: number | undefined; state: "here" | "silent" } | undefined;
  task?: TaskWhy | undefined;
  running?: RunningWhy | undefined;
  demand?: DemandWhy | undefined;
  actor?: ActorWhy | undefined;
  group?: GroupView | undefined;
}
export const agentWhy = record<AgentWhy>({
  process: optional(
    record<NonNullable<AgentWhy["process"]>>({
      process: processId,
      pid: optional(uint),
      state: oneOf("here", "silent"),
    }),
  ),
  task: optional(taskWhy),
  running: optional(runningWhy),
  demand: optional(demandWhy),
  actor: optional(actorWhy),
  group: optional(groupView),
});

/** What waits in the processes of one agent. */
export interface AgentWaits {
  processes: { process: string; job?: string | undefined; tasks: WaitingTasks[] }[];
  /** Processes that did not answer in time. */
  silent: string[];
  /** Actors that this agent looks for a place for. */
  actors: { actor: string; what: string; shape: Shape; reason: string; ms: number; infeasible: boolean }[];
}
export const agentWaits = record<AgentWaits>({
  processes: list(
    record<AgentWaits["processes"][number]>({
      process: processId,
      job: optional(jobId),
      tasks: list(waitingTasks, 10_000),
    }),
  ),
  silent: list(processId),
  actors: list(
    record<AgentWaits["actors"][number]>({
      actor: actorId,
      what: text,
      shape: shapeSpec,
      reason: text,
      ms: number,
      infeasible: bool,
    }),
  ),
});
