/** Values in and out: where they are kept, and reading them wherever they lie. */
import { decode, type Encoded, type StoredBytes } from "@stingray/objectstore";
import {
  ObjectLostError,
  ObjectStoreFullError,
  SerializationError,
  ValueKind,
  ownerOf,
  toError,
  type Location,
  type ObjectId,
  type ValueDesc,
} from "@stingray/protocol";
import type { Execution } from "../context.js";
import { INLINE_LIMIT, encodeArgs, type EncodedArgs } from "./args.js";
import type { ObjectEntry } from "./entry.js";
import type { LocalStore } from "./local-store.js";
import type { Recoveries } from "./recovery.js";
import type { Storage } from "./storage.js";
import type { ObjectTable } from "./table.js";
import { decodeThrown, encodeThrown } from "./thrown.js";

/** Values of `put` up to this size go to the process's own slab; larger ones get a file of their own. Bytes. */
export const SLAB_LIMIT = 64 * 1024;
/** A value that was lost so often while it was being read is given up. */
const MAX_RECOVERIES = 10;

/** What reviving references needs, and collects, while a value is decoded. */
export interface DecodeContext {
  readonly table: ObjectTable;
  /** References that came up, for keeping what holds them until their owners know of us. */
  readonly revived: ObjectEntry[];
}

export interface PutOptions {
  /** Where in the program it was made, for people. */
  readonly origin?: string | undefined;
  /** Nodes that are to keep it. @defaultValue 1 */
  readonly copies?: number | undefined;
}

export interface ValueLinks {
  readonly table: ObjectTable;
  readonly storage: Storage;
  readonly recoveries: Recoveries;
  readonly store: () => LocalStore | undefined;
}

type Args = { values: unknown[]; revived: ObjectEntry[] };

export class Values {
  constructor(private readonly links: ValueLinks) {}

  /** @throws SerializationError; InvalidArgumentError. Nothing is held then. */
  encodeArgs(args: readonly unknown[]): EncodedArgs {
    return encodeArgs(args, { table: this.links.table, snapshot: (encoded) => this.putSnapshot(encoded) });
  }

  release(pinned: readonly ObjectEntry[]): void {
    for (const entry of pinned) this.links.table.unpin(entry);
  }

  /** A large argument becomes an object of its own. Its bytes are copied now; the store is asked in the background. */
  private putSnapshot(encoded: Encoded): ObjectEntry {
    const { table, storage } = this.links;
    const entry = table.own(table.nextSequence(), 0);
    table.pin(entry);
    table.publish(entry);
    const bytes = encoded.bytes();
    const snapshot: Encoded = {
      size: bytes.byteLength,
      refs: encoded.refs,
      parts: [bytes],
      bytes: () => bytes,
      writeTo: (target) => target.set(bytes),
    };
    storage.write(entry.id, snapshot, { origin: "an argument" }).then(
      (location) => table.settle(entry, { kind: "stored", location }),
      (error: unknown) => table.settle(entry, { kind: "error", bytes: encodeThrown(toError(error)) }),
    );
    return entry;
  }

  /**
   * Puts a value into this node's store. The entry is settled on return.
   * @throws ObjectStoreFullError; UnschedulableError for more copies than nodes
   */
  async put(entry: ObjectEntry, encoded: Encoded, o: PutOptions = {}): Promise<void> {
    const { table, storage } = this.links;
    const store = this.links.store();
    const small = encoded.size <= SLAB_LIMIT && (o.copies ?? 1) <= 1;
    // Kept from now on, so that no turn of the event loop lies between them and their holder.
    this.contain(entry, encoded.refs);
    if (small && store === undefined) table.settle(entry, { kind: "inline", bytes: encoded.bytes() });
    else if (small && store !== undefined) {
      for (;;) {
        const value = store.putSmall(encoded);
        if (value !== undefined) return table.settle(entry, { kind: "slab", value });
        try {
          await store.slabReady(encoded.size);
        } catch (error) {
          if (!(error instanceof ObjectStoreFullError)) throw error;
          // Views hold all of the store: so little is kept in this process's own memory then.
          return table.settle(entry, { kind: "inline", bytes: encoded.bytes() });
        }
      }
    } else table.settle(entry, { kind: "stored", location: await storage.write(entry.id, encoded, o) });
  }

  /** Small values only: the whole of `put` in one step, without waiting for anything. False if that can't be. */
  putNow(entry: ObjectEntry, encoded: Encoded): boolean {
    const store = this.links.store();
    if (store === undefined || encoded.size > SLAB_LIMIT) return false;
    const value = store.putSmall(encoded);
    if (value === undefined) return false;
    this.contain(entry, encoded.refs);
    this.links.table.settle(entry, { kind: "slab", value });
    return true;
  }

  /** An object keeps what its value refers to. */
  private contain(entry: ObjectEntry, ids: readonly string[]): void {
    if (ids.length === 0) return;
    const { table } = this.links;
    const refs = [];
    for (const id of ids) {
      const inner = table.lookup(id as ObjectId);
      if (inner !== undefined) refs.push(table.handle(inner));
    }
    entry.contained = refs;
  }

  /** A result for its receiver: inside the message, or in this node's store under the id that the receiver owns. */
  describeResult(id: () => ObjectId, encoded: Encoded, origin: string): ValueDesc | Promise<ValueDesc> {
    if (encoded.size <= INLINE_LIMIT || this.links.store() === undefined)
      return [ValueKind.Inline, encoded.bytes()];
    const object = id();
    return this.links.storage
      .write(object, encoded, { origin })
      .then((location): ValueDesc => [ValueKind.Stored, location, object]);
  }

  /** The value of a ready entry; throws what `get` throws. A promise only where it does not lie in this node's memory. */
  read(entry: ObjectEntry, execution?: Execution): unknown {
    const state = entry.state;
    switch (state.kind) {
      case "inline":
        return this.decode(state.bytes, entry);
      case "slab":
        return this.decode(state.value.bytes, entry);
      case "stored":
        return this.readStored(entry, (from) => this.decode(from, entry), execution);
      case "error":
        throw decodeThrown(state.bytes);
      case "pending":
        throw new SerializationError(`object ${entry.id} was read before its value was there`);
    }
  }

  /** The encoded value of a ready entry, to be kept elsewhere; throws what `get` throws. */
  async bytesOf(entry: ObjectEntry): Promise<Uint8Array> {
    const { state } = entry;
    if (state.kind === "inline") return state.bytes;
    if (state.kind === "slab") return Uint8Array.from(state.value.bytes);
    if (state.kind === "stored") {
      const copy = (from: Uint8Array | StoredBytes): Uint8Array =>
        Uint8Array.from(from instanceof Uint8Array ? from : from.bytes);
      return this.readStored(entry, copy);
    }
    throw state.kind === "error"
      ? decodeThrown(state.bytes)
      : new SerializationError(`object ${entry.id} was read before its value was there`);
  }

  private async readStored<T>(
    entry: ObjectEntry,
    use: (from: Uint8Array | StoredBytes) => T,
    execution?: Execution,
  ): Promise<T> {
    const { table, storage, recoveries } = this.links;
    const failed = new FailedNodes();
    // Whoever releases the reference meanwhile does not take the value away from under the reader.
    table.pin(entry);
    try {
      for (let round = 1; ; round++) {
        // Another reader may have found it lost meanwhile, and then it is being made again.
        while (!entry.ready) await new Promise<void>((ready) => entry.whenReady(ready));
        if (entry.state.kind !== "stored") break;
        const { location } = entry.state;
        try {
          const [bytes] = await storage.fetch([{ id: entry.id, location }]);
          return use(bytes as StoredBytes);
        } catch (error) {
          if (!(error instanceof ObjectLostError) || round > MAX_RECOVERIES) throw error;
          const nodes = failed.note(location, entry.owned ? entry.generation : location[2]);
          await recoveries.recover(entry, location, nodes, error, execution);
        }
      }
      const { state } = entry;
      if (state.kind === "error") throw decodeThrown(state.bytes);
      return use(state.kind === "slab" ? state.value.bytes : (state as { bytes: Uint8Array }).bytes);
    } finally {
      table.unpin(entry);
    }
  }

  /** Bytes of a message are copied out of it; those of a store are shared with what is decoded. */
  private decode(from: Uint8Array | StoredBytes, holder: ObjectEntry): unknown {
    const { table } = this.links;
    const context: DecodeContext = { table, revived: [] };
    const value = decodeFrom(from, context);
    if (context.revived.length > 0) {
      // What holds the inner references must stay until their owners have counted this process.
      const foreign = context.revived.filter((e) => !e.owned && e.owner !== holder.owner);
      if (foreign.length > 0) {
        table.pin(holder);
        const done = (): void => table.unpin(holder);
        table.confirm(foreign).then(done, done);
      }
    }
    return value;
  }

  /**
   * Arguments for a body: values, and the references that came with them. All that lie in stores are brought here
   * together.
   */
  async decodeArgs(args: Uint8Array | ValueDesc[], execution?: Execution): Promise<Args> {
    if (args instanceof Uint8Array) return this.decodeWhole(args);
    const context: DecodeContext = { table: this.links.table, revived: [] };
    const descs = [...args];
    const stored = await this.fetchArgs(descs, execution);
    const values = descs.map((desc, i) => decodeDesc(desc, stored.get(i), context));
    return { values, revived: context.revived };
  }

  decodeWhole(args: Uint8Array): Args {
    const context: DecodeContext = { table: this.links.table, revived: [] };
    const values = decodeFrom(args, context);
    if (!Array.isArray(values)) throw new SerializationError("the arguments of a call must be an array");
    return { values, revived: context.revived };
  }

  /** The bytes of those that lie in stores, by position. Lost ones are replaced in `descs` by what their owners say. */
  private async fetchArgs(
    descs: ValueDesc[],
    execution: Execution | undefined,
  ): Promise<Map<number, StoredBytes>> {
    const failed = new Map<string, FailedNodes>();
    for (let round = 1; ; round++) {
      const stored = descs.flatMap((desc, at) => {
        return desc[0] === ValueKind.Stored ? [{ at, id: desc[2] as ObjectId, location: desc[1] }] : [];
      });
      if (stored.length === 0) return new Map();
      try {
        const found = await this.links.storage.fetch(stored);
        return new Map(stored.map(({ at }, i) => [at, found[i] as StoredBytes]));
      } catch (error) {
        const lost = error instanceof ObjectLostError ? error.detail["object"] : undefined;
        const which = stored.find(({ id }) => id === lost);
        if (!(error instanceof ObjectLostError) || which === undefined || round > MAX_RECOVERIES) throw error;
        const { id, location } = which;
        let nodes = failed.get(id);
        if (nodes === undefined) failed.set(id, (nodes = new FailedNodes()));
        const bad = nodes.note(location, location[2]);
        const { recoveries } = this.links;
        const desc = await recoveries.recoverDesc(id, ownerOf(id), location, bad, error, execution);
        for (const one of stored) if (one.id === id) descs[one.at] = desc;
      }
    }
  }
}

/** Where one reader could not read an object. A value that was made again may well be where the lost one was. */
class FailedNodes {
  private generation = 0;
  private nodes = new Set<string>();

  /** Adds the nodes of this location. */
  note([, copies]: Location, generation: number): ReadonlySet<string> {
    if (generation !== this.generation) this.nodes = new Set();
    this.generation = generation;
    for (const [node] of copies) this.nodes.add(node);
    return this.nodes;
  }
}

function decodeDesc(desc: ValueDesc, stored: StoredBytes | undefined, context: DecodeContext): unknown {
  switch (desc[0]) {
    case ValueKind.Inline:
      return decodeFrom(desc[1], context);
    case ValueKind.Stored:
      if (stored === undefined) throw new ObjectLostError(`object ${desc[2]} was not read with the others`);
      return decodeFrom(stored, context);
    case ValueKind.Error:
      throw decodeThrown(desc[1]);
    case ValueKind.Unknown:
      throw new ObjectLostError(desc[1]);
  }
}

function decodeFrom(from: Uint8Array | StoredBytes, context: DecodeContext): unknown {
  if (from instanceof Uint8Array) return decode(from, { views: false, context });
  if (from.sub !== undefined) context.table.viewed();
  return decode(from.bytes, { views: from.sub === undefined ? true : { sub: from.sub }, context });
}
