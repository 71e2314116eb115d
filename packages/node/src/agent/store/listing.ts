/** What is in the object store of this node, and what the processes that it serves hold of objects. */
import type { ProcessId, ProcessMemory, StoredObject, StoreFigures, StoreListing } from "@stingray/protocol";

/** What is asked of the node. */
export interface ListingParts {
  readonly store: {
    figures(): StoreFigures;
    /** At most `limit` objects, largest first. */
    list(limit: number): { objects: StoredObject[]; more: number; moreBytes: number };
  };
  /** The workers of this node that are up, and the drivers that have their home here. */
  processes(): Iterable<ProcessId>;
  /** `process.memory` at one of them. Rejects when it does not answer within `timeoutMs`. */
  memory(process: ProcessId, limit: number, timeoutMs: number): Promise<ProcessMemory>;
}

/** A process in a long loop answers nobody. Milliseconds. */
const PROCESS_MS = 2_000;
/** Objects of all processes in one answer, so that it stays small with many of them. */
const HELD_IN_ALL = 20_000;
/** Each process may name so many, unless fewer were asked for. */
export const HELD_AT_LEAST = 100;

/**
 * Asks all processes at once. Those that don't answer in time are named in `silent`; nothing makes it fail.
 * @param limit of objects in the store, and of those that a process names
 */
export async function listStore(parts: ListingParts, limit: number): Promise<StoreListing> {
  const ids = [...new Set(parts.processes())];
  const each = Math.min(limit, Math.max(HELD_AT_LEAST, Math.floor(HELD_IN_ALL / Math.max(1, ids.length))));
  const answers = await Promise.all(ids.map((process) => heldBy(parts, process, each)));
  const processes: ProcessMemory[] = [];
  const silent: ProcessId[] = [];
  answers.forEach((answer, i) => {
    if (answer === undefined) silent.push(ids[i] as ProcessId);
    else processes.push(answer);
  });
  // After the processes: what they were asked about meanwhile is in it.
  return { figures: parts.store.figures(), ...parts.store.list(limit), processes, silent };
}

/** Undefined: it did not say. Whatever it calls itself, it is the one that was asked. */
async function heldBy(
  parts: ListingParts,
  process: ProcessId,
  limit: number,
): Promise<ProcessMemory | undefined> {
  try {
    return { ...(await parts.memory(process, limit, PROCESS_MS)), process };
  } catch {
    return undefined;
  }
}
