/** What keeps a task or call from going on: what processes tell one another when calls may wait in a circle. */
import { list, oneOf, optional, record, text, uint } from "../check.js";
import { actorId, nodeId, processId, taskId } from "./id-checks.js";

/** One wait: it is over when `needs` of these tasks and calls have ended. */
export interface WaitPart {
  needs: number;
  of: string[];
}

/**
 * A task or call, as its owner or the process that runs it sees it.
 *
 * - `moves`: it may go on by itself, or nothing is known that keeps it; also one that has ended
 * - `sent`: ask the process `at`, which has it
 * - `queued`: a call that waits for its turn, behind those in `waits`
 * - `waits`: for values; it goes on when any of `waits` is over
 */
export interface WaitState {
  task: string;
  state: "moves" | "sent" | "queued" | "waits";
  /** Of the function, or `Class.method`; known where it is queued or waits. */
  name?: string | undefined;
  /** Whose call it is. */
  actor?: string | undefined;
  at?: { process: string; node?: string | undefined } | undefined;
  waits?: WaitPart[] | undefined;
  /** Another than before: it has gone on in between. */
  version?: number | undefined;
}

const waitPart = record<WaitPart>({ needs: uint, of: list(taskId, 100_000) });
export const waitState = record<WaitState>({
  task: taskId,
  state: oneOf("moves", "sent", "queued", "waits"),
  name: optional(text),
  actor: optional(actorId),
  at: optional(
    record<{ process: string; node?: string | undefined }>({ process: processId, node: optional(nodeId) }),
  ),
  waits: optional(list(waitPart, 100_000)),
  version: optional(uint),
});

/** As the one that submitted them, or the one that runs them. */
export const WAIT_SIDES = ["owner", "runner"] as const;
export type WaitSide = (typeof WAIT_SIDES)[number];
