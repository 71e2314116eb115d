/**
 * The bytes of large objects: into a store and out of it, wherever they lie. What they mean, and what to do where no
 * copy can be read, is decided elsewhere (values.ts, recovery.ts).
 */
import type { Encoded, StoredBytes } from "@stingray/objectstore";
import {
  Agent,
  ObjectLostError,
  Op,
  ProtocolError,
  TimeoutError,
  type Location,
  type NodeId,
  type ObjectId,
  type StoreSpan,
} from "@stingray/protocol";
import type { Home } from "../home.js";
import type { LocalStore } from "./local-store.js";
import { RoomsAhead } from "./rooms-ahead.js";
import type { RemoteStore } from "./remote-store.js";

/** Time for the local agent to find room, or to have copies of objects: other nodes and disks may be slow. Milliseconds. */
const STORE_DEADLINE_MS = 600_000;

/** A lease ahead of need is not worth a longer wait. Milliseconds. */
const LEASE_MS = 10_000;

/** An object to be read, and where it is said to be. */
export interface Wanted {
  readonly id: ObjectId;
  readonly location: Location;
}

export interface StorageLinks {
  readonly node: NodeId | undefined;
  /** The store of this machine's node; undefined where there is none. */
  store(): LocalStore | undefined;
  /** For a process that has none. */
  readonly remote: RemoteStore;
  /** Undefined only before a home is known. */
  home(): Home;
  /** Tells agents now what is not needed any more. */
  flushFrees(): void;
}

export interface WriteOptions {
  /** Where in the program it was made, for people. */
  readonly origin?: string | undefined;
  /** Nodes that are to keep it. @defaultValue 1 */
  readonly copies?: number | undefined;
}

export class Storage {
  private readonly ahead: RoomsAhead;

  constructor(private readonly links: StorageLinks) {
    this.ahead = new RoomsAhead({
      lease: (bytes) =>
        links.home().request(Agent.storeLease, { bytes, ahead: true }, { timeoutMs: LEASE_MS }),
      giveBack: (files) => links.home().send([Op.StoreReturn, files]),
    });
  }

  /** Gives back what was leased ahead. */
  close(): void {
    this.ahead.close();
  }

  /** Puts an object into the store of this process's node. @throws ObjectStoreFullError; UnschedulableError for too many copies */
  async write(id: ObjectId, encoded: Encoded, o: WriteOptions = {}): Promise<Location> {
    const home = this.links.home();
    const { size } = encoded;
    const store = this.links.store();
    const { node, agent } = home;
    const ask = { object: id, size, origin: o.origin };
    this.links.flushFrees(); // it may be just the room that is needed, and is still in this processor's cache
    const ahead = store && this.ahead.take(size);
    try {
      if (store !== undefined && ahead !== undefined) {
        store.write(ahead, id, encoded);
        home.send([Op.StoreSealed, id, size, ahead.file, o.origin]);
      } else {
        const room = await home.request(Agent.storeCreate, ask, { timeoutMs: STORE_DEADLINE_MS });
        if (store === undefined) await this.links.remote.upload(id, encoded, { node, agent });
        else {
          store.write(room, id, encoded);
          home.send([Op.StoreSealed, id, size]);
        }
      }
      if (store !== undefined) this.ahead.want(size);
    } catch (error) {
      home.send(ahead === undefined ? [Op.StoreAbandoned, id] : [Op.StoreReturn, [ahead.file]]);
      throw error;
    }
    return (o.copies ?? 1) <= 1 ? [size, [[node, agent]], 0] : this.replicate(id, size, o.copies ?? 1);
  }

  private async replicate(id: ObjectId, size: number, copies: number): Promise<Location> {
    const home = this.links.home();
    const ask = { object: id, size, copies };
    try {
      const kept = await home.request(Agent.storeReplicate, ask, { timeoutMs: STORE_DEADLINE_MS });
      return [size, kept.copies, 0];
    } catch (error) {
      home.send([Op.StoreFree, [id]]);
      throw error;
    }
  }

  /**
   * The bytes of stored objects, in their order. What this node does not have is fetched, all of it together: room for
   * it is reserved at one stroke.
   * @throws ObjectLostError with `detail.object` where no copy of one could be read
   */
  async fetch(wanted: readonly Wanted[]): Promise<StoredBytes[]> {
    const store = this.links.store();
    if (store === undefined)
      return Promise.all(wanted.map(({ id, location }) => this.links.remote.download(id, location)));
    const found = wanted.map(({ id, location }) => this.readHere(store, id, location));
    const missing = wanted.filter((_, i) => found[i] === undefined);
    if (missing.length === 0) return found as StoredBytes[];
    const opened = await this.open(store, missing).catch((error: unknown) => {
      // Once more: the agent has dropped what it had, and fetches it from elsewhere.
      if (isDamage(error)) return this.open(store, missing);
      throw error;
    });
    let next = 0;
    return found.map((bytes) => bytes ?? (opened[next++] as StoredBytes));
  }

  /** Has this node fetch what it does not have, without reading it. */
  async bring(wanted: readonly Wanted[]): Promise<void> {
    const missing = wanted.filter(({ location }) => !location[1].some(([node]) => node === this.links.node));
    if (missing.length === 0 || this.links.store() === undefined) return;
    await this.ask(missing, false);
  }

  private readHere(store: LocalStore, id: ObjectId, [size, copies]: Location): StoredBytes | undefined {
    if (!copies.some(([node]) => node === this.links.node)) return undefined;
    try {
      return store.read(id, size);
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.links.home().send([Op.StoreDamaged, id]);
      return undefined; // there may be others
    }
  }

  private async open(store: LocalStore, missing: readonly Wanted[]): Promise<StoredBytes[]> {
    const ids = missing.map(({ id }) => id);
    const done = (): void => this.links.home().send([Op.StoreDone, ids]);
    const spans = await this.ask(missing, true).catch((error: unknown) => {
      // The agent may hold them for us, and its answer was late.
      if (error instanceof TimeoutError) done();
      throw error;
    });
    try {
      return missing.map(({ id, location: [size] }, i) => {
        try {
          const bytes = store.readSpan(spans[i] as StoreSpan, id, size);
          if (bytes !== undefined) return bytes;
        } catch (error) {
          if (!isDamage(error)) throw error;
          this.links.home().send([Op.StoreDamaged, id]);
          throw lost(id, error.message, error);
        }
        throw lost(id, `object ${id} (${size} bytes) was freed while it was being read`);
      });
    } finally {
      done();
    }
  }

  private async ask(missing: readonly Wanted[], hold: boolean): Promise<StoreSpan[]> {
    const objects = missing.map(({ id, location: [size, copies] }) => ({ object: id, size, copies }));
    const { spans } = await this.links
      .home()
      .request(Agent.storeOpen, { objects, hold }, { timeoutMs: STORE_DEADLINE_MS });
    if (spans.length === missing.length) return spans;
    throw new ProtocolError(`the node opened ${spans.length} of ${missing.length} objects`);
  }
}

/** A file of this node is not what it should be. */
function isDamage(error: unknown): error is ObjectLostError {
  return error instanceof ObjectLostError && error.detail["reason"] === "damaged";
}

/** ObjectLostError about one object. */
function lost(id: ObjectId, message: string, cause?: ObjectLostError): ObjectLostError {
  return new ObjectLostError(message, {
    detail: { ...cause?.detail, object: id },
    ...(cause === undefined ? {} : { cause }),
  });
}
