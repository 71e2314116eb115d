/**
 * The objects that this process owns or borrows, and the ownership protocol: who asks for values, who holds
 * references, when a value may go. Every decision about the life of an object is made by its owner, here.
 */
import {
  Op,
  Owner,
  ValueKind,
  objectBorrow,
  objectCopied,
  objectGet,
  objectRelease,
  objectValue,
  ownerOf,
  type Location,
  type NodeId,
  type ObjectId,
  type ProcessId,
  type ValueDesc,
} from "@stingray/protocol";
import type { Channel, Endpoint } from "@stingray/broker";
import { Collector } from "./collector.js";
import { ObjectEntry, type ObjectState } from "./entry.js";
import { ObjectRef } from "./object-ref.js";
import { lostState, stateOf } from "./state.js";

export interface TableLinks {
  readonly process: ProcessId;
  readonly node: NodeId | undefined;
  channelTo(process: ProcessId, node: NodeId | undefined): Channel;
  /** A worker's references are collected also when it rests. */
  readonly isWorker: boolean;
  /** Gives back the copies of a large value. */
  freeStored(id: ObjectId, location: Location): void;
}

export class ObjectTable {
  private readonly entries = new Map<ObjectId, ObjectEntry>();
  private readonly byBorrower = new Map<ProcessId, Set<ObjectEntry>>();
  private lastSequence = 0;
  /** Owned entries that are alive, published or not. */
  private owned = 0;
  /** Bytes of owned small values. */
  private readonly small = { inline: 0, slab: 0 };
  private readonly collector: Collector;

  constructor(private readonly links: TableLinks) {
    this.collector = new Collector({
      atRest: links.isWorker,
      alive: () => this.owned + this.entries.size,
    });
  }

  /** Sequence numbers of tasks and puts of this process. */
  nextSequence(): number {
    return ++this.lastSequence;
  }

  /** Whether `nextSequence` has given this number. */
  hasGiven(sequence: number): boolean {
    return sequence >= 1 && sequence <= this.lastSequence;
  }

  own(sequence: number, index: number): ObjectEntry {
    this.owned++;
    return new ObjectEntry(this.links.process, this.links.node, true, sequence, index);
  }

  handle<T>(entry: ObjectEntry): ObjectRef<T> {
    this.collector.made();
    return new ObjectRef<T>(this, entry);
  }

  /** A view on a store was handed to user code. */
  viewed(): void {
    this.collector.viewed();
  }

  /** Makes the entry findable by its id: others are going to name it. */
  publish(entry: ObjectEntry): void {
    if (entry.published || entry.freed) return;
    entry.published = true;
    this.entries.set(entry.id, entry);
  }

  lookup(id: ObjectId): ObjectEntry | undefined {
    return this.entries.get(id);
  }

  /** The entry for a reference that came from elsewhere. `noted`: its owner has counted this process already. */
  adopt(id: ObjectId, ownerNode: NodeId | undefined, noted = false): ObjectEntry {
    let entry = this.entries.get(id);
    const owner = ownerOf(id);
    if (entry === undefined) {
      const [, sequence, index] = id.split(".");
      entry = new ObjectEntry(
        owner,
        ownerNode,
        owner === this.links.process,
        Number(sequence),
        Number(index),
      );
      entry.published = true;
      if (entry.owned) {
        this.owned++; // until it is swept, as every other
        entry.settle(lostState(`object ${id} was freed before this reference to it was used`));
        return entry;
      }
      this.entries.set(id, entry);
      if (!noted) this.note(entry);
    }
    if (noted && !entry.owned) entry.notes++;
    return entry;
  }

  private note(entry: ObjectEntry): void {
    entry.notes++;
    this.links.channelTo(entry.owner, entry.ownerNode).send([Op.ObjectBorrow, entry.id]);
  }

  /** Resolves when the owners have noted that this process holds these; for a sender that must not let go before. */
  async confirm(entries: Iterable<ObjectEntry>): Promise<void> {
    const byOwner = new Map<ProcessId, ObjectEntry[]>();
    for (const entry of entries) {
      if (entry.owned) continue;
      const list = byOwner.get(entry.owner);
      if (list === undefined) byOwner.set(entry.owner, [entry]);
      else list.push(entry);
    }
    await Promise.all(
      [...byOwner].map(([owner, list]) => {
        for (const entry of list) entry.notes++;
        return this.links
          .channelTo(owner, list[0]?.ownerNode)
          .request(Owner.borrow, { objects: list.map((e) => e.id) });
      }),
    );
  }

  /** This process, the owner, is about to send a reference to `borrower`. */
  lend(entry: ObjectEntry, borrower: ProcessId): void {
    this.publish(entry);
    const borrowers = (entry.borrowers ??= new Map<ProcessId, number>());
    borrowers.set(borrower, (borrowers.get(borrower) ?? 0) + 1);
    let held = this.byBorrower.get(borrower);
    if (held === undefined) this.byBorrower.set(borrower, (held = new Set()));
    held.add(entry);
  }

  private giveBack(entry: ObjectEntry, borrower: ProcessId, count: number): void {
    const left = (entry.borrowers?.get(borrower) ?? 0) - count;
    if (left > 0) entry.borrowers?.set(borrower, left);
    else {
      entry.borrowers?.delete(borrower);
      this.byBorrower.get(borrower)?.delete(entry);
      this.sweep(entry);
    }
  }

  pin(entry: ObjectEntry): void {
    entry.pins++;
  }

  unpin(entry: ObjectEntry): void {
    entry.pins--;
    this.sweep(entry);
  }

  /** @internal For ObjectRef. */
  dropHandle(entry: ObjectEntry): void {
    entry.handles--;
    this.sweep(entry);
  }

  /** Frees the entry if nothing holds it any more. */
  private sweep(entry: ObjectEntry): void {
    if (entry.held || entry.freed) return;
    entry.freed = true;
    if (entry.state.kind === "stored") this.collector.went(entry.state.location[0]);
    if (entry.published) this.entries.delete(entry.id);
    if (entry.owned) {
      this.owned--;
      this.count(entry.state, -1);
      this.discard(entry);
    } else if (entry.notes > 0) {
      this.links.channelTo(entry.owner, entry.ownerNode).send([Op.ObjectRelease, entry.id, entry.notes]);
    }
    entry.onFree?.();
    const contained = entry.contained;
    entry.contained = undefined;
    if (contained !== undefined) for (const ref of contained) ref.release();
  }

  private discard(entry: ObjectEntry): void {
    this.freeStale(entry);
    if (entry.state.kind === "stored") this.links.freeStored(entry.id, entry.state.location);
    else if (entry.state.kind === "slab") entry.state.value.free();
  }

  /** The value of an owned object is known. A value that nobody holds any more, or that came twice, is discarded. */
  settle(entry: ObjectEntry, state: ObjectState): void {
    if (!entry.freed && entry.settle(state)) {
      this.freeStale(entry);
      if (state.kind === "stored") {
        this.publish(entry); // agents tell of copies, and people ask whose it is
        this.collector.came(state.location[0]);
      } else this.count(state, 1);
    } else {
      if (state.kind === "stored") this.links.freeStored(entry.id, state.location);
      else if (state.kind === "slab") state.value.free();
    }
  }

  /** Nobody would find the copies of an earlier value any more. Where the new one is, it took the place of the old. */
  private freeStale(entry: ObjectEntry): void {
    const { stale, state } = entry;
    if (stale === undefined) return;
    entry.stale = undefined;
    const now = new Set(state.kind === "stored" ? state.location[1].map(([node]) => node) : []);
    const left = stale[1].filter(([node]) => !now.has(node));
    if (left.length > 0) this.links.freeStored(entry.id, [stale[0], left, 0]);
  }

  private count(state: ObjectState, sign: 1 | -1): void {
    if (state.kind === "inline") this.small.inline += sign * state.bytes.byteLength;
    else if (state.kind === "slab") this.small.slab += sign * state.value.bytes.byteLength;
  }

  /** Nothing is known of the value any more. */
  private reset(entry: ObjectEntry): void {
    if (entry.state.kind === "stored") this.collector.went(entry.state.location[0]);
    else if (entry.owned) this.count(entry.state, -1);
    entry.reset();
  }

  /** The value is going to be made again. What may be left of it is freed when the new one is there: not before, or the new one might be taken for it. */
  remake(entry: ObjectEntry): void {
    if (entry.freed) return; // one of several results, which nobody needs: it was counted out
    if (entry.state.kind === "stored") {
      const [size, copies] = entry.state.location;
      entry.stale = [size, [...copies, ...(entry.stale?.[1] ?? [])], 0];
    }
    entry.generation++;
    this.reset(entry);
  }

  /** What is known of the value was wrong, and this is right. */
  replace(entry: ObjectEntry, state: ObjectState): void {
    if (entry.freed) return;
    this.reset(entry);
    if (entry.owned) this.settle(entry, state);
    else if (entry.settle(state) && state.kind === "stored") this.collector.came(state.location[0]);
  }

  /** Asks the owner of a borrowed object for its value, once. */
  ask(entry: ObjectEntry): void {
    if (entry.owned || entry.asked || entry.ready) return;
    entry.asked = true;
    this.links.channelTo(entry.owner, entry.ownerNode).send([Op.ObjectGet, entry.id]);
  }

  /** The value as it travels. Only for entries that are ready. */
  describe(entry: ObjectEntry): ValueDesc {
    const state = entry.state;
    switch (state.kind) {
      case "inline":
        return [ValueKind.Inline, state.bytes];
      case "slab":
        return [ValueKind.Inline, state.value.bytes];
      case "stored":
        return [ValueKind.Stored, locationOf(entry, state.location), entry.id];
      case "error":
        return [ValueKind.Error, state.bytes];
      case "pending":
        return [ValueKind.Unknown, `object ${entry.id} has no value yet`];
    }
  }

  /** Serves the ownership messages on this process's inbox. */
  serve(inbox: Endpoint): void {
    inbox.on(Op.ObjectGet, objectGet, ([, id], channel) => {
      const entry = this.entries.get(id as ObjectId);
      if (entry === undefined)
        channel.send([
          Op.ObjectValue,
          id,
          [ValueKind.Unknown, `object ${id} is not known to its owner: it was freed`],
        ]);
      else {
        this.pin(entry);
        entry.whenReady(() => {
          channel.send([Op.ObjectValue, id, this.describe(entry)]);
          this.unpin(entry);
        });
      }
    });
    inbox.on(Op.ObjectValue, objectValue, ([, id, desc]) => {
      const entry = this.entries.get(id as ObjectId);
      const state = stateOf(desc);
      // Its copies are the owner's to free: one that came twice is forgotten.
      if (entry === undefined || entry.owned || !entry.settle(state)) return;
      if (state.kind === "stored") this.collector.came(state.location[0]);
    });
    inbox.on(Op.ObjectCopied, objectCopied, ([, id, size, node, agent], channel) => {
      const entry = this.entries.get(id as ObjectId);
      const state = entry?.state;
      // Freed while it was copied, or made again in another size: the copy is of no use.
      if (entry?.owned !== true || state?.kind !== "stored" || state.location[0] !== size)
        channel.send([Op.StoreFree, [id]]);
      else if (!state.location[1].some(([known]) => known === node))
        entry.state = {
          kind: "stored",
          location: [size, [...state.location[1], [node, agent]], entry.generation],
        };
    });
    inbox.on(Op.ObjectBorrow, objectBorrow, ([, id], channel) => this.borrowed(id as ObjectId, channel));
    inbox.on(Op.ObjectRelease, objectRelease, ([, id, count], channel) => {
      const entry = this.entries.get(id as ObjectId);
      if (entry !== undefined)
        this.giveBack(entry, channel.peer.process ?? (channel.peer.endpoint as ProcessId), count);
    });
    inbox.serve(Owner.borrow, ({ objects }, channel) => {
      for (const id of objects) this.borrowed(id as ObjectId, channel);
      return {};
    });
  }

  private borrowed(id: ObjectId, channel: Channel): void {
    const entry = this.entries.get(id);
    if (entry !== undefined) this.lend(entry, channel.peer.process ?? (channel.peer.endpoint as ProcessId));
  }

  /** A process ended: its borrows go, and what it owned can't be asked for any more. */
  processGone(process: ProcessId, why: string): void {
    const held = this.byBorrower.get(process);
    if (held !== undefined) {
      this.byBorrower.delete(process);
      for (const entry of held) {
        entry.borrowers?.delete(process);
        this.sweep(entry);
      }
    }
    for (const entry of this.entries.values()) {
      if (!entry.owned && entry.owner === process)
        entry.settle(lostState(`object ${entry.id} is lost with its owner, process ${process}: ${why}`));
    }
  }

  /** Lets go of what handles that nobody can reach any more have held. */
  collect(): Promise<void> {
    return this.collector.now();
  }

  /** The process leaves. */
  stop(): void {
    this.collector.stop();
  }

  get processId(): ProcessId {
    return this.links.process;
  }

  /** Whether an owner was asked for a value that has not come. */
  get waits(): boolean {
    for (const entry of this.entries.values()) if (!entry.owned && entry.asked && !entry.ready) return true;
    return false;
  }

  /** Owned objects that other processes hold references to. */
  get lent(): number {
    const lent = new Set<ObjectEntry>();
    for (const held of this.byBorrower.values()) for (const entry of held) lent.add(entry);
    return lent.size;
  }

  /** Live entries, and the bytes of the small values that are owned. */
  get counts(): { owned: number; borrowed: number; inlineBytes: number; slabBytes: number } {
    let borrowed = 0;
    for (const entry of this.entries.values()) if (!entry.owned) borrowed++;
    return { owned: this.owned, borrowed, inlineBytes: this.small.inline, slabBytes: this.small.slab };
  }

  /** Those that others can name: all borrowed ones, and owned ones whose references were sent or that lie in a store. */
  known(): IterableIterator<ObjectEntry> {
    return this.entries.values();
  }
}

/** As the owner tells it; whoever made the object does not know how often that was. */
function locationOf(entry: ObjectEntry, location: Location): Location {
  return entry.owned && location[2] !== entry.generation
    ? [location[0], location[1], entry.generation]
    : location;
}
