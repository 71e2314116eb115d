/**
 * Copies of objects of other nodes. Askers at the same time share one transfer; while it goes on, what has come is
 * served to others, so that a broadcast spreads as a tree.
 */
import {
  ChunkMap,
  type Arrival,
  type NodeStore,
  type Outgoing,
  type Puller,
  type Source,
} from "@stingray/objectstore";
import { ObjectLostError, toError, type ProcessId, type StoreWanted } from "@stingray/protocol";
import { Arriving } from "./arriving.js";
import type { Locations } from "./locations.js";

export interface PullHooks {
  readonly node: string;
  readonly agent: ProcessId;
  /** Another node's agent as a source. */
  source(object: string, node: string, agent: string): Source;
  /** Bytes that came. */
  received(bytes: number): void;
  /** The job of a process, for finding records. */
  jobOf(process: ProcessId): string | undefined;
  /** Tells the owner that this node has the object. */
  copied(object: string, size: number): void;
}

interface Pull {
  readonly done: Promise<void>;
  readonly abort: AbortController;
  partial: { readonly arriving: Arriving; readonly chunks: ChunkMap } | undefined;
}

export interface BringOptions {
  /** For whom: its job's records are looked at where the word of others does not help. */
  asker: ProcessId;
  /** A `primary` is never dropped for want of room. @defaultValue "copy" */
  role?: "primary" | "copy";
  /** @defaultValue true */
  tellOwner?: boolean;
}

export class Pulls {
  private readonly underWay = new Map<string, Pull>();

  constructor(
    private readonly store: NodeStore,
    private readonly puller: Puller,
    private readonly locations: Locations,
    private readonly hooks: PullHooks,
  ) {}

  /**
   * Resolves when all of these are here. Room for those that are not is reserved at one stroke.
   * @param note called for each that is going to be here
   * @throws ObjectLostError with `detail.object`; ObjectStoreFullError
   */
  async bring(
    wanted: readonly StoreWanted[],
    note: (object: string) => void,
    o: BringOptions,
  ): Promise<void> {
    const fresh = wanted.filter(
      ({ object, size }, i) =>
        !this.isHere(object, size) &&
        !this.underWay.has(object) &&
        wanted.findIndex((w) => w.object === object) === i,
    );
    if (fresh.length > 0) {
      const { agent } = this.hooks;
      const aborts = fresh.map(() => new AbortController());
      const rooms = this.store.reserve(
        fresh.map(({ object, size }) => ({ object, size, client: agent, role: o.role ?? "copy" })),
        fresh.length === 1 ? aborts[0]?.signal : undefined,
      );
      for (const [i, one] of fresh.entries()) {
        note(one.object);
        const abort = aborts[i] as AbortController;
        const pull: Pull = {
          abort,
          partial: undefined,
          done: rooms
            .then(() => this.transfer(one, o, abort.signal))
            .finally(() => {
              if (this.underWay.get(one.object) === pull) this.underWay.delete(one.object);
            }),
        };
        pull.done.catch(() => undefined); // told to whoever waits
        this.underWay.set(one.object, pull);
      }
    }
    await Promise.all(wanted.flatMap(({ object }) => this.underWay.get(object)?.done ?? []));
  }

  private serveOn(object: string, partial: Pull["partial"]): void {
    const pull = this.underWay.get(object);
    if (pull !== undefined) pull.partial = partial;
  }

  /** Its writer may not have said so yet, though others have heard of it. */
  private isHere(object: string, size: number): boolean {
    if (!this.store.has(object) && !this.store.sealIfWhole(object)) return false;
    if (this.store.stat(object)?.size === size) return true;
    this.store.free([object]); // of a value that was lost, and made again since
    return false;
  }

  /** They were freed: what is on its way of them is not worth going on. */
  drop(objects: readonly string[]): void {
    for (const object of objects) {
      const pull = this.underWay.get(object);
      if (pull === undefined) continue;
      this.underWay.delete(object); // whoever asks now asks for another value of that name
      pull.abort.abort(freed(object));
    }
  }

  /** What is here of an object that is on its way. */
  partial(object: string): Outgoing | undefined {
    const partial = this.underWay.get(object)?.partial;
    return partial?.arriving.outgoing(partial.chunks);
  }

  private async transfer(wanted: StoreWanted, o: BringOptions, signal: AbortSignal): Promise<void> {
    const { object, size } = wanted;
    let arrival: Arrival | undefined;
    try {
      arrival = this.store.arrival(object, this.hooks.agent);
      if (arrival === undefined) throw freed(object);
      const arriving = new Arriving(arrival);
      await this.fetch(wanted, arriving, o, signal);
      this.serveOn(object, undefined);
      if (!arrival.finish()) throw freed(object);
    } catch (thrown) {
      this.serveOn(object, undefined);
      if (arrival === undefined) this.store.abandon(object, this.hooks.agent);
      else arrival.close();
      throw withObject(thrown, object);
    }
    this.locations.added(object, size, this.hooks.jobOf(o.asker));
    if (o.tellOwner !== false) this.hooks.copied(object, size);
  }

  /** From the copies that the asker knows; where none can be read, from those that the cluster knows beside them. */
  private async fetch(
    wanted: StoreWanted,
    into: Arriving,
    o: BringOptions,
    signal: AbortSignal,
  ): Promise<void> {
    const { object, size, copies } = wanted;
    const others = copies.filter(([, agent]) => agent !== this.hooks.agent);
    let failure: unknown;
    if (others.length > 0) {
      try {
        await this.pullFrom(wanted, others, into, signal);
        return;
      } catch (error) {
        signal.throwIfAborted();
        failure = error;
        for (const [node] of others) this.locations.unreadable(object, node);
      }
    }
    const known = new Set([this.hooks.agent as string, ...others.map(([, agent]) => agent)]);
    const located = await this.locations.locate(object, this.hooks.jobOf(o.asker)).catch(() => undefined); // the control store does not answer: then there is no help from there
    const more = (located?.copies ?? []).filter(([, agent]) => !known.has(agent));
    if (more.length === 0 || located?.size !== size) {
      throw (
        failure ??
        new ObjectLostError(
          `object ${object} (${size} bytes) is not on this node, and no other is known to have it`,
        )
      );
    }
    await this.pullFrom(wanted, more, into, signal);
  }

  private pullFrom(
    { object }: StoreWanted,
    copies: readonly (readonly [node: string, agent: string])[],
    into: Arriving,
    signal: AbortSignal,
  ): Promise<void> {
    // Anew for each try: other copies may be of a value that was made again, and halves of two are no whole.
    const chunks = new ChunkMap(into.size);
    this.serveOn(object, { arriving: into, chunks });
    const sources = copies.map(([node, agent]) => this.hooks.source(object, node, agent));
    const onReceived = (bytes: number): void => this.hooks.received(bytes);
    return this.puller.pull({ object, into, chunks, sources, signal, onReceived });
  }
}

function freed(object: string): ObjectLostError {
  return new ObjectLostError(`object ${object} was freed while it was fetched to this node`, {
    detail: { object },
  });
}

/** Says in the error which of the objects it is about. */
function withObject(thrown: unknown, object: string): Error {
  const error = toError(thrown);
  if (!(error instanceof ObjectLostError) || error.detail["object"] === object) return error;
  return new ObjectLostError(error.message, {
    cause: error.cause ?? error,
    detail: { ...error.detail, object },
  });
}
