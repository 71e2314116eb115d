/** Actors as `stingray status` and `stingray actors` show them. Times are ages, in milliseconds. */
import { bool, list, mapOf, number, optional, record, text, uint } from "../check.js";
import { actorId, jobId, nodeId, processId } from "./id-checks.js";

/** One actor. */
export interface ActorLine {
  actor: string;
  className: string;
  name?: string | undefined;
  namespace: string;
  state: string;
  job: string;
  detached: boolean;
  durable?: boolean | undefined;
  shared?: boolean | undefined;
  node?: string | undefined;
  process?: string | undefined;
  restarts: number;
  /** -1: no limit. */
  maxRestarts: number;
  /** DEAD: why. RESTARTING: how its last process ended. PENDING: what it waits for, if the asked agent knows. */
  cause?: string | undefined;
  /** Since its death. */
  diedMs?: number | undefined;
}
const actorLine = record<ActorLine>({
  actor: actorId,
  className: text,
  name: optional(text),
  namespace: text,
  state: text,
  job: jobId,
  detached: bool,
  durable: optional(bool),
  shared: optional(bool),
  node: optional(nodeId),
  process: optional(processId),
  restarts: uint,
  maxRestarts: number,
  cause: optional(text),
  diedMs: optional(number),
});

/** Some of them, the newest change first, and how many there are. */
export interface ActorListing {
  /** By state. */
  counts: Record<string, number>;
  actors: ActorLine[];
  /** Those of the wanted states that are not among them. */
  more: number;
}
export const actorListing = record<ActorListing>({
  counts: mapOf(uint),
  actors: list(actorLine, 100_000),
  more: uint,
});
