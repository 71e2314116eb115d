/** What is known of an actor, and how it gets around. */
import { bool, oneOf, optional, record, tuple, uint, type Checked } from "../check.js";
import { processId, nodeId, actorId } from "./id-checks.js";
import { Op } from "./op.js";
import { actorTrouble, type ActorTrouble } from "./vitals.js";
import { type WireError, wireErrorCheck } from "./wire-error.js";

/**
 * PENDING: claimed, waits for resources or its constructor. ALIVE: takes calls. RESTARTING: lost its process, comes
 * back, or wakes. PASSIVE: was saved and put to sleep; the next call wakes it. DEAD: for good.
 */
export const ACTOR_STATES = ["PENDING", "ALIVE", "RESTARTING", "PASSIVE", "DEAD"] as const;
export type ActorStateName = (typeof ACTOR_STATES)[number];

/** What a watcher learns of an actor. `epoch` grows with each incarnation. */
export interface ActorView {
  actor: string;
  state: ActorStateName;
  epoch: number;
  /** The process and node that host it, while ALIVE. */
  process?: string | undefined;
  node?: string | undefined;
  /** Where it lives with others: the endpoint of their host, which takes its calls. */
  host?: string | undefined;
  /** DEAD: why. PENDING, RESTARTING: what it waits for, if known. */
  cause?: WireError | undefined;
  /** PENDING, RESTARTING: no node of the cluster could ever host it as they are. */
  infeasible?: boolean | undefined;
  /** RESTARTING: its last incarnation was ended in order, and gives back the calls that it has not begun. */
  moving?: boolean | undefined;
  /** Its calls are kept on the broker: they go to an agent with `mailbox.append`, not to the actor. */
  durable?: boolean | undefined;
  /** Why it does not answer although it is ALIVE, or what its constructor is at. */
  trouble?: ActorTrouble | undefined;
}
export const actorView = record<ActorView>({
  actor: actorId,
  state: oneOf(...ACTOR_STATES),
  epoch: uint,
  process: optional(processId),
  node: optional(nodeId),
  host: optional(actorId),
  cause: optional(wireErrorCheck()),
  infeasible: optional(bool),
  moving: optional(bool),
  durable: optional(bool),
  trouble: optional(actorTrouble),
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
