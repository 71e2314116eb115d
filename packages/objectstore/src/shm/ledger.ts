/** What is in the store and who writes it: state and arithmetic, no files. */
import { ObjectStoreFullError } from "@stingray/protocol";

/** `rewriting`: made again while a complete copy is there, which stays until the new one is complete. */
export type Entry =
  | { readonly state: "writing"; readonly size: number; readonly client: string }
  | { readonly state: "sealed"; readonly size: number }
  | { readonly state: "rewriting"; readonly size: number; readonly client: string; readonly before: number };

export type Event =
  | { readonly type: "create"; readonly size: number; readonly client: string }
  | { readonly type: "seal"; readonly size: number }
  | { readonly type: "writerDied"; readonly found: number | undefined }
  | { readonly type: "free" };

/** The one place that says what follows from what. undefined: not in the store. */
export function transition(entry: Entry | undefined, event: Event): Entry | undefined {
  switch (event.type) {
    case "create": {
      const { size, client } = event;
      if (entry === undefined || entry.state === "writing") return { state: "writing", size, client };
      const before = entry.state === "sealed" ? entry.size : entry.before;
      return { state: "rewriting", size, client, before };
    }
    case "seal":
      return entry && { state: "sealed", size: event.size };
    case "writerDied":
      if (entry?.state !== "rewriting" || event.found === undefined) {
        return entry?.state === "sealed" ? entry : undefined;
      }
      return { state: "sealed", size: event.found };
    case "free":
      return undefined;
  }
}

export function bytesOf(entry: Entry | undefined): number {
  if (entry === undefined) return 0;
  return entry.state === "rewriting" ? entry.size + entry.before : entry.size;
}

export class Ledger {
  private readonly entries = new Map<string, Entry>();
  private bytes = 0;

  constructor(readonly capacity: number) {}

  get used(): number {
    return this.bytes;
  }
  get count(): number {
    return this.entries.size;
  }
  get(object: string): Entry | undefined {
    return this.entries.get(object);
  }
  /** Objects that this client has not sealed. */
  unfinishedOf(client: string): string[] {
    const objects: string[] = [];
    for (const [object, entry] of this.entries) {
      if (entry.state !== "sealed" && entry.client === client) objects.push(object);
    }
    return objects;
  }

  /** @throws ObjectStoreFullError if a `create` does not fit */
  apply(object: string, event: Event): Entry | undefined {
    const before = this.entries.get(object);
    const after = transition(before, event);
    const bytes = this.bytes - bytesOf(before) + bytesOf(after);
    if (event.type === "create" && bytes > this.capacity) {
      throw new ObjectStoreFullError(
        `the object store has no room for ${object}: ${event.size} bytes requested, ${this.bytes} of ${this.capacity} used; release references, or raise objectStoreMemory`,
        { detail: { requested: event.size, used: this.bytes, capacity: this.capacity } },
      );
    }
    this.bytes = bytes;
    if (after === undefined) this.entries.delete(object);
    else this.entries.set(object, after);
    return after;
  }
}
