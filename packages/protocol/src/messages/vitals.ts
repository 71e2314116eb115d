/** How worker processes do: what an agent sees of them, and what it tells others. Times are ages, in milliseconds. */
import { bool, list, number, oneOf, optional, record, text, uint } from "../check.js";
import { actorId, jobId, nodeId, processId } from "./id-checks.js";

/**
 * - `blocked`: its event loop has not turned for `ms`
 * - `constructing`: the constructor (or `onActivate`) of an actor has not ended for `ms`
 */
export type TroubleKind = "blocked" | "constructing";

/** Why an actor does not answer, or is not ready. */
export interface ActorTrouble {
  kind: TroubleKind;
  /** For so long, when this was said. */
  ms: number;
  /** What goes on there: `in Counter.spin`. */
  what: string;
  pid: number;
  node: string;
  /** Others that live in the same process, and are affected alike. */
  others?: number | undefined;
}
export const actorTrouble = record<ActorTrouble>({
  kind: oneOf("blocked", "constructing"),
  ms: number,
  what: text,
  pid: uint,
  node: nodeId,
  others: optional(uint),
});

/** What an agent tells all others of a process of its node; again every few seconds while it lasts, once when it is over. */
export interface ProcessNews extends ActorTrouble {
  process: string;
  /** Actors that it is about and whose rows do not name the process, as they are still being made. */
  actors: string[];
  over: boolean;
}
export const processNews = record<ProcessNews>({
  kind: oneOf("blocked", "constructing"),
  ms: number,
  what: text,
  pid: uint,
  node: nodeId,
  others: optional(uint),
  process: processId,
  actors: list(actorId, 1_000),
  over: bool,
});

/** A worker process as its agent sees it. Bytes. */
export interface WorkerVitals {
  process: string;
  pid: number;
  job?: string | undefined;
  /** Resident memory of its own, without what it shares, such as objects in the store. */
  memory: number;
  /** As declared by what has it; absent where nothing is. */
  declared?: number | undefined;
  /** Of its JavaScript heap, as it said last. */
  heapUsed?: number | undefined;
  heapLimit?: number | undefined;
  /** Calls that it has begun and that have not ended, and those that wait in it. */
  running?: number | undefined;
  queued?: number | undefined;
  /** Actors that live in it; the first of them. */
  actors: number;
  actor?: string | undefined;
  className?: string | undefined;
  trouble?: ActorTrouble | undefined;
}
export const workerVitals = record<WorkerVitals>({
  process: processId,
  pid: uint,
  job: optional(jobId),
  memory: uint,
  declared: optional(uint),
  heapUsed: optional(uint),
  heapLimit: optional(uint),
  running: optional(uint),
  queued: optional(uint),
  actors: uint,
  actor: optional(actorId),
  className: optional(text),
  trouble: optional(actorTrouble),
});

/** The processes of a node. Bytes. */
export interface NodeVitals {
  /** Of its machine or control group, whichever is shorter; absent where that is not known. */
  total?: number | undefined;
  available?: number | undefined;
  /** Those with trouble, then those with most memory. */
  workers: WorkerVitals[];
  /** Processes ended for want of memory so far. */
  ended: number;
}
export const nodeVitals = record<NodeVitals>({
  total: optional(uint),
  available: optional(uint),
  workers: list(workerVitals, 10_000),
  ended: uint,
});
