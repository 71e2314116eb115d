/** Values in and out: encoding arguments and results, where they are kept, and reading them wherever they lie. */
import { decode, encode, type Encoded } from "@stingray/objectstore";
import {
  Agent,
  InvalidArgumentError,
  ObjectLostError,
  Op,
  SerializationError,
  StingrayError,
  decodeError,
  errorTexts,
  ValueKind,
  toError,
  type Location,
  type NodeId,
  type ObjectId,
  type ProcessId,
  type ValueDesc,
} from "@stingray/protocol";
import type { Channel } from "@stingray/broker";
import type { Home } from "../home.js";
import type { ObjectEntry, SlabValue } from "./entry.js";
import { isObjectRef } from "./object-ref.js";
import type { ObjectTable } from "./table.js";

/** Results and arguments up to this size travel inside messages; larger ones stay in a store. Bytes. */
export const INLINE_LIMIT = 100 * 1024;
/** Values of `put` up to this size go to the process's own slab; larger ones get a file of their own. Bytes. */
export const SLAB_LIMIT = 64 * 1024;
/** Part of a large object that one request moves. Bytes. */
const CHUNK = 512 * 1024;
/** Time for the local agent to have a copy of an object, in milliseconds. */
const PULL_DEADLINE_MS = 600_000;

/** This process's side of its node's object store. */
export interface LocalStore {
  putSmall(encoded: Encoded): SlabValue;
  write(path: string, encoded: Encoded): void;
  /** A private view of an object of this node; undefined where this node has none. */
  read(object: ObjectId, size: number): Uint8Array | undefined;
  close(): void;
}

/** What reviving references needs, and collects, while a value is decoded. */
export interface DecodeContext {
  readonly table: ObjectTable;
  /** References that came up, for keeping what holds them until their owners know of us. */
  readonly revived: ObjectEntry[];
}

/** Arguments of a call, encoded at the call: what the caller changes afterwards is not seen. */
export interface EncodedArgs {
  /** All of them in one piece, where none is a reference or large. */
  whole: Uint8Array | undefined;
  /** Else one slot each. */
  slots: ArgSlot[] | undefined;
  /** Held until the call is over. */
  pinned: ObjectEntry[];
}
export type ArgSlot = { kind: "bytes"; bytes: Uint8Array } | { kind: "object"; entry: ObjectEntry };

export interface ValueLinks {
  readonly table: ObjectTable;
  readonly store: () => LocalStore | undefined;
  readonly node: NodeId | undefined;
  /** Undefined only before a home is known. */
  home(): Home;
  channelTo(process: ProcessId, node: NodeId | undefined): Channel;
}

export class Values {
  constructor(private readonly links: ValueLinks) {}

  /**
   * @throws SerializationError with the path of what can't be sent; InvalidArgumentError for a reference that can't be
   * used. Nothing is held then.
   */
  encodeArgs(args: readonly unknown[]): EncodedArgs {
    let split = false;
    for (const arg of args) if (isObjectRef(arg)) split = true;
    if (!split) {
      const encoded = encode(args, { path: "args" });
      if (encoded.size <= INLINE_LIMIT)
        return { whole: encoded.bytes(), slots: undefined, pinned: this.pinIds(encoded.refs) };
    }
    const pinned: ObjectEntry[] = [];
    try {
      return { whole: undefined, slots: args.map((arg, i) => this.encodeArg(arg, i, pinned)), pinned };
    } catch (error) {
      this.release(pinned);
      throw error;
    }
  }

  private encodeArg(arg: unknown, i: number, pinned: ObjectEntry[]): ArgSlot {
    if (isObjectRef(arg)) {
      const { unusable } = arg;
      if (unusable !== undefined) throw new InvalidArgumentError(`args[${i}]: ${unusable}`);
      this.links.table.pin(arg.entry);
      pinned.push(arg.entry);
      return { kind: "object", entry: arg.entry };
    }
    const encoded = encode(arg, { path: `args[${i}]` });
    pinned.push(...this.pinIds(encoded.refs));
    if (encoded.size <= INLINE_LIMIT || this.links.store() === undefined)
      return { kind: "bytes", bytes: encoded.bytes() };
    const entry = this.putSnapshot(encoded);
    pinned.push(entry);
    return { kind: "object", entry };
  }

  private pinIds(ids: readonly string[]): ObjectEntry[] {
    if (ids.length === 0) return [];
    const entries: ObjectEntry[] = [];
    for (const id of ids) {
      const entry = this.links.table.lookup(id as ObjectId);
      if (entry === undefined) continue;
      this.links.table.pin(entry);
      entries.push(entry);
    }
    return entries;
  }

  release(pinned: readonly ObjectEntry[]): void {
    for (const entry of pinned) this.links.table.unpin(entry);
  }

  /** A large argument becomes an object of its own. Its bytes are copied now; the store is asked in the background. */
  private putSnapshot(encoded: Encoded): ObjectEntry {
    const { table } = this.links;
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
    this.store(entry.id, snapshot).then(
      (location) => table.settle(entry, { kind: "stored", location }),
      (error: unknown) => table.settle(entry, { kind: "error", bytes: encodeThrown(toError(error)) }),
    );
    return entry;
  }

  /** Puts a value into this node's store, or this process's memory where it has no store. The entry is settled on return. */
  async put(entry: ObjectEntry, encoded: Encoded): Promise<void> {
    const { table } = this.links;
    const store = this.links.store();
    this.contain(entry, encoded.refs);
    if (store === undefined) table.settle(entry, { kind: "inline", bytes: encoded.bytes() });
    else if (encoded.size <= SLAB_LIMIT)
      table.settle(entry, { kind: "slab", value: store.putSmall(encoded) });
    else table.settle(entry, { kind: "stored", location: await this.store(entry.id, encoded) });
  }

  /** Small values only: the whole of `put` in one step, without waiting for anything. False if it is not small. */
  putNow(entry: ObjectEntry, encoded: Encoded): boolean {
    const { table } = this.links;
    const store = this.links.store();
    if (store === undefined || encoded.size > SLAB_LIMIT) return false;
    this.contain(entry, encoded.refs);
    table.settle(entry, { kind: "slab", value: store.putSmall(encoded) });
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

  private async store(id: ObjectId, encoded: Encoded): Promise<Location> {
    const home = this.links.home();
    const { path } = await home.request(
      Agent.storeCreate,
      { object: id, size: encoded.size },
      { timeoutMs: PULL_DEADLINE_MS },
    );
    this.links.store()?.write(path, encoded);
    home.send([Op.StoreSealed, id, encoded.size]);
    return [encoded.size, [[home.node, home.agent]]];
  }

  /** A result for its receiver: inside the message, or in this node's store under the id that the receiver owns. */
  describeResult(id: () => ObjectId, encoded: Encoded): ValueDesc | Promise<ValueDesc> {
    if (encoded.size <= INLINE_LIMIT || this.links.store() === undefined)
      return [ValueKind.Inline, encoded.bytes()];
    const object = id();
    return this.store(object, encoded).then((location): ValueDesc => [ValueKind.Stored, location, object]);
  }

  /** The value of a ready entry; throws what `get` throws. A promise only where it lies in a store. */
  read(entry: ObjectEntry): unknown {
    const state = entry.state;
    switch (state.kind) {
      case "inline":
        return this.decode(state.bytes, false, entry);
      case "slab":
        return this.decode(state.value.bytes, false, entry);
      case "stored":
        return this.readStored(entry, state.location);
      case "error":
        throw decodeThrown(state.bytes);
      case "pending":
        throw new SerializationError(`object ${entry.id} was read before its value was there`);
    }
  }

  private async readStored(entry: ObjectEntry, location: Location): Promise<unknown> {
    try {
      return this.decode(await this.fetch(entry.id, location), true, entry);
    } catch (error) {
      if (!(error instanceof ObjectLostError) || entry.rebuild?.() !== true) throw error;
    }
    await new Promise<void>((ready) => entry.whenReady(ready));
    return this.read(entry);
  }

  private decode(bytes: Uint8Array, views: boolean, from: ObjectEntry | undefined): unknown {
    const { table } = this.links;
    const context: DecodeContext = { table, revived: [] };
    const value = decode(bytes, { views, context });
    if (context.revived.length > 0 && from !== undefined) {
      // What holds the inner references must stay until their owners have counted this process.
      const foreign = context.revived.filter((e) => !e.owned && e.owner !== from.owner);
      if (foreign.length > 0) {
        table.pin(from);
        const done = (): void => table.unpin(from);
        table.confirm(foreign).then(done, done);
      }
    }
    return value;
  }

  /** Arguments for a body: values, and the references that came with them. */
  async decodeArgs(args: Uint8Array | ValueDesc[]): Promise<{ values: unknown[]; revived: ObjectEntry[] }> {
    if (args instanceof Uint8Array) return this.decodeWhole(args);
    const context: DecodeContext = { table: this.links.table, revived: [] };
    const values = await Promise.all(args.map((desc) => this.decodeDesc(desc, context)));
    return { values, revived: context.revived };
  }

  decodeWhole(args: Uint8Array): { values: unknown[]; revived: ObjectEntry[] } {
    const context: DecodeContext = { table: this.links.table, revived: [] };
    const values = decode(args, { views: false, context });
    if (!Array.isArray(values)) throw new SerializationError("the arguments of a call must be an array");
    return { values, revived: context.revived };
  }

  private async decodeDesc(desc: ValueDesc, context: DecodeContext): Promise<unknown> {
    switch (desc[0]) {
      case ValueKind.Inline:
        return decode(desc[1], { views: false, context });
      case ValueKind.Stored:
        return decode(await this.fetch(desc[2] as ObjectId, desc[1]), { views: true, context });
      case ValueKind.Error:
        throw decodeThrown(desc[1]);
      case ValueKind.Unknown:
        throw new ObjectLostError(desc[1]);
    }
  }

  /**
   * The bytes of a stored object: mapped where this node has it, else brought here first.
   * @throws ObjectLostError where no copy can be read
   */
  private async fetch(id: ObjectId, [size, copies]: Location): Promise<Uint8Array> {
    const { node } = this.links;
    const store = this.links.store();
    if (store !== undefined) {
      if (copies.some(([n]) => n === node)) {
        const here = store.read(id, size);
        if (here !== undefined) return here;
      }
      await this.links
        .home()
        .request(Agent.storePull, { object: id, size, copies }, { timeoutMs: PULL_DEADLINE_MS });
      const pulled = store.read(id, size);
      if (pulled !== undefined) return pulled;
      throw new ObjectLostError(`object ${id} (${size} bytes) went away while it was read`);
    }
    return this.readChunks(id, size, copies);
  }

  /** For a process without a store on its machine: straight from an agent that has a copy, into its own memory. */
  private async readChunks(id: ObjectId, size: number, copies: Location[1]): Promise<Uint8Array> {
    let last: unknown;
    for (const [node, agent] of copies) {
      try {
        const channel = this.links.channelTo(agent as ProcessId, node as NodeId);
        const bytes = new Uint8Array(size);
        for (let offset = 0; offset < size; offset += CHUNK) {
          const part = await channel.request(
            Agent.storeRead,
            { object: id, offset, length: Math.min(CHUNK, size - offset) },
            { timeoutMs: 30_000 },
          );
          bytes.set(part.bytes, offset);
        }
        return bytes;
      } catch (error) {
        last = error;
      }
    }
    throw new ObjectLostError(
      `object ${id} (${size} bytes) can't be read from any of its ${copies.length} copies`,
      { cause: last },
    );
  }
}

/** An error as a value. One that can't be sent as it is goes with its message, name and stack only. */
export function encodeThrown(error: Error): Uint8Array {
  try {
    return encode(error, { path: "error" }).bytes();
  } catch {
    const { name, message, stack } = errorTexts(error);
    const plain =
      error instanceof StingrayError ? decodeError({ code: error.code, message }) : new Error(message);
    if (!(error instanceof StingrayError)) plain.name = name;
    if (stack !== undefined) plain.stack = stack;
    return encode(plain).bytes();
  }
}

export function decodeThrown(bytes: Uint8Array): Error {
  return toError(decode(bytes, { views: false }));
}
