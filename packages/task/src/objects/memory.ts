/** What a process holds, for `stingray memory`. */
import type { HeldObject, ProcessId, ProcessMemory } from "@stingray/protocol";
import type { ObjectEntry } from "./entry.js";
import type { ObjectTable } from "./table.js";

/** The figures of a process, and its `limit` largest objects that others can name. */
export function processMemoryOf(table: ObjectTable, process_: ProcessId, limit: number): ProcessMemory {
  const objects = [...table.known()].map(held).sort((a, b) => b.size - a.size);
  return { process: process_, pid: process.pid, ...table.counts, objects: objects.slice(0, limit) };
}

function held(entry: ObjectEntry): HeldObject {
  return {
    object: entry.id,
    size: sizeOf(entry),
    state: entry.state.kind,
    owned: entry.owned,
    handles: entry.handles,
    pins: entry.pins,
    borrowers: entry.borrowers?.size ?? 0,
  };
}

function sizeOf({ state }: ObjectEntry): number {
  switch (state.kind) {
    case "inline":
    case "error":
      return state.bytes.byteLength;
    case "slab":
      return state.value.bytes.byteLength;
    case "stored":
      return state.location[0];
    case "pending":
      return 0;
  }
}
