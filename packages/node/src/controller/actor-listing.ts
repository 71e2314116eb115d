/** The actors table, for people. */
import type { ActorLine, ActorListing } from "@stingray/protocol";
import type { ActorBook, ActorEntry } from "./actor-book.js";

/** What is said of a death is cut to this length. */
const MOST_TEXT = 2_000;

/**
 * @param states none: all but the dead
 * @param limit actors to list; those that changed last go first
 * @param waitsFor what an actor without a process waits for, where this agent knows
 */
export function listActors(
  book: Pick<ActorBook, "entries">,
  states: readonly string[],
  limit: number,
  waitsFor: (actor: string) => string | undefined,
): ActorListing {
  const counts: Record<string, number> = {};
  const found: ActorEntry[] = [];
  for (const entry of book.entries()) {
    const { state } = entry.value;
    counts[state] = (counts[state] ?? 0) + 1;
    if (states.length === 0 ? state !== "DEAD" : states.includes(state)) found.push(entry);
  }
  found.sort((a, b) => b.revision - a.revision);
  const now = Date.now();
  const actors = found.slice(0, limit).map((entry) => lineOf(entry, now, waitsFor));
  return { counts, actors, more: found.length - actors.length };
}

function lineOf(
  { value }: ActorEntry,
  now: number,
  waitsFor: (actor: string) => string | undefined,
): ActorLine {
  const { spec, state, node, process, restarts, cause, diedAt } = value;
  const { actor, className, name, namespace, job, detached, durable, shared, maxRestarts } = spec;
  const line: ActorLine = { actor, className, namespace, state, job, detached, restarts, maxRestarts };
  const why = cause?.message ?? waitsFor(actor);
  if (name !== undefined) line.name = name;
  if (durable === true) line.durable = true;
  if (shared === true) line.shared = true;
  if (node !== undefined) line.node = node;
  if (process !== undefined) line.process = process;
  if (why !== undefined) line.cause = why.slice(0, MOST_TEXT);
  if (diedAt !== undefined) line.diedMs = Math.max(0, now - diedAt);
  return line;
}
