/** One object of the store, from the room that its writer gets to its end; and all of them. */
import { InvalidArgumentError } from "@stingray/protocol";
import type { SpillRecord } from "./fused.js";
import { bytesIn, isComplete, transition, type Event, type State } from "./machine.js";
import { fileLength, type Segment } from "./segment.js";

export interface Entry {
  readonly object: string;
  /** Of the value, in bytes. */
  readonly size: number;
  /** Who writes it, or wrote it. */
  readonly client: string;
  readonly origin: string | undefined;
  /** Milliseconds since 1970. */
  readonly born: number;
  state: State;
  /** While it is in memory. */
  segment: Segment | undefined;
  /** Its place in a spill file, while it has one. */
  record: SpillRecord | undefined;
  /** Of an object that was made on disk: the file that it is written to. */
  disk: DiskFile | undefined;
  /** Of the value, once it is complete; in its header. */
  tag: string | undefined;
  /** Milliseconds since 1970, as of the last look at its file. */
  usedAt: number;
}

export interface DiskFile {
  /** While it is written. */
  readonly path: string;
  readonly ino: number;
  readonly length: number;
  /** Its writer is done. */
  written: boolean;
}

/** Complete objects by id, and creations beside them: several processes may make the same object at a time. */
export class Entries {
  private readonly complete = new Map<string, Entry>();
  private readonly creations = new Map<string, Entry[]>();
  private readonly writers = new Map<string, Set<Entry>>();
  private diskBytes = 0;

  /** `changed`: after every change of a state. */
  constructor(private readonly changed: (entry: Entry) => void) {}

  /** Bytes on disk that are of use. */
  get onDisk(): number {
    return this.diskBytes;
  }
  /** Complete ones. */
  get(object: string): Entry | undefined {
    return this.complete.get(object);
  }
  all(): IterableIterator<Entry> {
    return this.complete.values();
  }
  *unfinished(): Generator<Entry> {
    for (const list of this.creations.values()) yield* list;
  }
  creationsOf(object: string): readonly Entry[] {
    return this.creations.get(object) ?? [];
  }
  writtenBy(client: string): Entry[] {
    return [...(this.writers.get(client) ?? [])];
  }
  /** Objects, complete or not. */
  get count(): number {
    let count = this.complete.size;
    for (const object of this.creations.keys()) if (!this.complete.has(object)) count++;
    return count;
  }

  add(entry: Entry): void {
    if (entry.state.at !== "writing") throw new InvalidArgumentError(`${entry.object} is not being written`);
    this.diskBytes += diskBytes(entry);
    const list = this.creations.get(entry.object);
    if (list === undefined) this.creations.set(entry.object, [entry]);
    else list.push(entry);
    let written = this.writers.get(entry.client);
    if (written === undefined) this.writers.set(entry.client, (written = new Set()));
    written.add(entry);
  }

  /** A state changes by this alone. A sealed object takes the place of one that was there: see to that one first. */
  apply(entry: Entry, event: Event): State {
    const before = entry.state;
    const after = transition(before, event);
    if (after === before) return after;
    this.diskBytes -= diskBytes(entry);
    entry.state = after;
    this.diskBytes += diskBytes(entry);
    if (before.at === "writing" && after.at !== "writing") this.notWritten(entry);
    if (before.at === "writing" && isComplete(after)) this.complete.set(entry.object, entry);
    if (after.at === "gone" && this.complete.get(entry.object) === entry) this.complete.delete(entry.object);
    this.changed(entry);
    return after;
  }

  private notWritten(entry: Entry): void {
    const rest = (this.creations.get(entry.object) ?? []).filter((other) => other !== entry);
    if (rest.length > 0) this.creations.set(entry.object, rest);
    else this.creations.delete(entry.object);
    const written = this.writers.get(entry.client);
    written?.delete(entry);
    if (written?.size === 0) this.writers.delete(entry.client);
  }
}

const diskBytes = ({ state, size }: Entry): number => bytesIn(state, fileLength(size)).disk;

/** Its state now: for after a wait, when what was known of it may not hold any more. */
export const at = (entry: Entry): State["at"] => entry.state.at;
