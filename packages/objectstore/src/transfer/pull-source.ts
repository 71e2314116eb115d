/** One source of one pull: how it is reached, what it has, and what was asked of it. */
import {
  ConnectionError,
  ObjectLostError,
  ProtocolError,
  toError,
  type DataAddress,
} from "@stingray/protocol";
import { Bits, CHUNK_BYTES, chunkCount, chunkLength } from "./chunks.js";
import { within } from "./deadline.js";
import type { Availability } from "./here.js";
import type { Link, LinkChannel } from "./link.js";
import type { Asker } from "./plan.js";
import type { Origin, PullHost } from "./pull-host.js";
import { readChunk } from "./rpc.js";
import type { Holder } from "./types.js";

/** Chunks that are asked for at a time over the RPC links. */
const RPC_WINDOW = 2;
/** A chunk takes at most so many times `silentMs`, however busily its bytes drip. */
const DRIP = 6;

/** Why a source is given up whose copy can't be mixed with what is here. */
const OTHER =
  "its copy was made another time than what has come from others (the object was made again meanwhile)";

type State =
  | { readonly kind: "starting" }
  | { readonly kind: "tcp"; readonly link: Link; readonly channel: number }
  | { readonly kind: "rpc" }
  | { readonly kind: "pausing"; readonly timer: NodeJS.Timeout }
  | { readonly kind: "over"; readonly reason: string };

export class PullSource implements Asker, LinkChannel {
  readonly name: string;
  readonly #origin: Origin;
  readonly #pull: PullHost;
  readonly #asked = new Map<number, number>();
  #state: State = { kind: "starting" };
  #here: Availability | undefined;
  #overRpc = false;
  /** Why its data port is not used. */
  #unreached: string | undefined;
  #failures = 0;
  #damaged = 0;
  #movedAt = performance.now();
  #busySince = 0;

  constructor(origin: Origin, pull: PullHost) {
    this.#origin = origin;
    this.#pull = pull;
    this.name = "source" in origin ? origin.source.name : origin.holder.name;
  }

  get usable(): boolean {
    return this.#state.kind !== "over";
  }
  /** Why it is not asked any more. */
  get reason(): string | undefined {
    return this.#state.kind === "over" ? this.#state.reason : undefined;
  }
  /** Chunks that it was asked for and has not sent. */
  get asked(): number {
    return this.#asked.size;
  }
  /** Chunks that it may be asked for now. */
  get spare(): number {
    const { kind } = this.#state;
    if (kind === "rpc") return RPC_WINDOW - this.#asked.size;
    const window = Math.max(1, Math.floor(this.#pull.limits.windowBytes / CHUNK_BYTES));
    return kind === "tcp" ? window - this.#asked.size : 0;
  }
  /** For how long it has had nothing to do, though it could have been asked. Milliseconds. */
  idleFor(now: number): number {
    return this.spare > 0 && this.#asked.size === 0 ? now - this.#movedAt : 0;
  }
  get unrestricted(): boolean {
    return this.#here?.has === undefined && this.#here?.offers === undefined;
  }
  can(index: number, insist: boolean): boolean {
    if (this.#here === undefined) return "source" in this.#origin; // named as having all of it
    if (this.#here.has?.has(index) === false) return false;
    return insist || this.#here.offers?.has(index) !== false;
  }

  start(): void {
    const starting: State = { kind: "starting" };
    this.#to(starting);
    const still = (): boolean => this.#state === starting;
    this.#connect().then(
      (link) => {
        if (!still()) return;
        this.#movedAt = performance.now();
        if (link === undefined) this.#to({ kind: "rpc" });
        else this.#to({ kind: "tcp", link, channel: link.open(this.#pull.object, this) });
        this.#pull.changed();
      },
      (thrown: unknown) => {
        if (still()) this.#failed(toError(thrown));
      },
    );
  }

  /** The chunk is claimed for it. */
  ask(index: number, insist: boolean): void {
    const now = performance.now();
    if (this.#asked.size === 0) this.#busySince = now;
    this.#asked.set(index, now);
    if (this.#state.kind === "tcp") this.#state.link.want(this.#state.channel, index, insist);
    else void this.#read(index);
  }

  /** Looks for silence. `idle`: somebody else has nothing to do but wait for this one. */
  tick(now: number, idle: boolean): void {
    const { silentMs, slowMs } = this.#pull.limits;
    if (this.#asked.size === 0) return this.#expectNews(now);
    const since = Math.max(this.#movedAt, this.#busySince);
    const heard = this.#state.kind === "tcp" ? Math.max(since, this.#state.link.heardAt) : since;
    if (now - heard > silentMs) this.#lose(`nothing came from it for ${silentMs} ms`);
    else if (idle && now - since > slowMs)
      this.#lose(`it was so slow that others waited for it (${slowMs} ms)`);
    else if (now - since > DRIP * silentMs) this.#lose(`it sent no whole chunk within ${DRIP * silentMs} ms`);
  }

  /** No more of it. When this returns it writes nowhere any more. `whole`: everything is here. */
  stop(whole: boolean, reason: string): void {
    if (this.#state.kind !== "over") this.#leave(whole, { kind: "over", reason });
  }

  here(here: Availability): void {
    if (here.size !== this.#pull.size) {
      const other = `its copy has ${here.size} bytes, not ${this.#pull.size}`;
      return this.#giveUp(other);
    }
    if (!this.#pull.takes(here.tag)) return this.#giveUp(OTHER);
    this.#here = here;
    this.#movedAt = performance.now();
    this.#pull.changed();
  }
  room(index: number, length: number): Uint8Array {
    this.#expect(index, length);
    return this.#pull.room(index);
  }
  data(index: number, bytes: Uint8Array, sum: Buffer): void {
    this.#expect(index, bytes.length); // a frame without a body needs no room
    this.#came(index, bytes, sum);
  }
  declined(index: number, elsewhere: boolean): void {
    if (!this.#asked.delete(index)) return;
    const { size } = this.#pull;
    const { tag, has, offers } = this.#here ?? { tag: undefined, has: undefined, offers: undefined };
    if (elsewhere) this.#here = { size, tag, has, offers: without(offers, size, index) };
    else this.#here = { size, tag, has: without(has, size, index), offers };
    this.#pull.released(index);
    this.#pull.changed();
  }
  holders(holders: readonly Holder[]): void {
    this.#pull.holders(holders);
  }
  gone(reason: string): void {
    this.#giveUp(reason);
  }
  again(): void {
    throw new ProtocolError(`${this.name} answered as if it had been sent something`);
  }
  stored(): void {
    this.again();
  }
  cut(error: Error): void {
    this.#failed(error);
  }

  /** @throws ProtocolError for a chunk that was not asked for, of another length, or of nobody knows which object */
  #expect(index: number, length: number): void {
    const what = `${this.name} sent chunk ${index} of ${this.#pull.object}`;
    if (!this.#asked.has(index)) throw new ProtocolError(`${what}, which it was not asked for`);
    if (this.#here === undefined) throw new ProtocolError(`${what} before it said what it has`);
    const due = chunkLength(this.#pull.size, index);
    if (length !== due)
      throw new ProtocolError(`${what} with ${length} bytes, of which there should be ${due}`);
  }

  async #connect(): Promise<Link | undefined> {
    const { pool, limits } = this.#pull;
    if (this.#overRpc) return undefined;
    if ("holder" in this.#origin) return pool.link(this.#origin.holder.address);
    let address: DataAddress | undefined;
    try {
      address = await within(
        this.#origin.source.address(),
        limits.connectTimeoutMs,
        `${this.name} to say where its data port is`,
      );
      if (address !== undefined && address.hosts.length > 0) return await pool.link(address);
    } catch (thrown) {
      this.#unreached = toError(thrown).message; // whatever it is: the RPC links may work
    }
    this.#overRpc = true;
    return undefined;
  }

  async #read(index: number): Promise<void> {
    if (!("source" in this.#origin)) return;
    const state = this.#state;
    try {
      const { size, limits } = this.#pull;
      const { bytes, tag } = await readChunk(this.#origin.source, size, index, limits.silentMs);
      if (this.#state !== state || !this.#asked.has(index)) return;
      if (!this.#pull.takes(tag)) return this.#giveUp(OTHER);
      const room = this.#pull.room(index);
      room.set(bytes);
      this.#came(index, room, undefined);
    } catch (thrown) {
      if (this.#state !== state) return;
      if (thrown instanceof ObjectLostError) this.#giveUp(thrown.message);
      else this.#failed(toError(thrown));
    }
  }

  #came(index: number, bytes: Uint8Array, sum: Buffer | undefined): void {
    this.#asked.delete(index);
    this.#movedAt = performance.now();
    if (this.#pull.came(this, index, bytes, sum)) this.#failures = 0;
    else if (++this.#damaged >= this.#pull.limits.damaged)
      this.#giveUp(`${this.#damaged} chunks from it were damaged`);
    this.#pull.changed();
  }

  /** A part that does not grow, of an object of which nothing else comes either, is no source. */
  #expectNews(now: number): void {
    if (this.#state.kind !== "tcp" || (this.#here === undefined && "source" in this.#origin)) return;
    if (this.#here !== undefined && this.#here.has === undefined) return;
    if (now - this.#movedAt > this.#pull.limits.silentMs)
      this.#giveUp("it has only a part, and gets no more");
  }

  #lose(why: string): void {
    const error = new ConnectionError(`${this.name}: ${why}`);
    // What was asked for must not come after all, when others have been asked: so the connection is given up.
    if (this.#state.kind === "tcp") this.#state.link.destroy(error);
    else this.#failed(error);
  }

  #failed(error: Error): void {
    const { limits } = this.#pull;
    if (++this.#failures >= limits.failures) {
      if (this.#overRpc || !("source" in this.#origin)) return this.#giveUp(error.message);
      this.#overRpc = true;
      this.#unreached = error.message;
      this.#failures = 0;
    }
    const timer = setTimeout(() => this.start(), limits.retryMs * 2 ** Math.max(0, this.#failures - 1));
    this.#leave(false, { kind: "pausing", timer });
    this.#pull.changed();
  }

  #giveUp(why: string): void {
    const reason = this.#unreached === undefined ? why : `${why} (over RPC, because ${this.#unreached})`;
    this.#leave(false, { kind: "over", reason });
    this.#pull.changed();
  }

  #leave(whole: boolean, next: State): void {
    const before = this.#state;
    this.#to(next);
    if (before.kind === "tcp") before.link.close(before.channel, whole);
    const asked = [...this.#asked.keys()];
    this.#asked.clear();
    this.#here = undefined;
    for (const index of asked) this.#pull.released(index);
  }

  /** The one way from state to state. What is over stays over. */
  #to(next: State): void {
    if (this.#state.kind === "over") {
      if (next.kind === "pausing") clearTimeout(next.timer);
      return;
    }
    if (this.#state.kind === "pausing") clearTimeout(this.#state.timer);
    this.#state = next;
  }
}

function without(bits: Bits | undefined, size: number, index: number): Bits {
  const rest = bits ?? new Bits(chunkCount(size), new Uint8Array(Math.ceil(chunkCount(size) / 8)).fill(0xff));
  rest.delete(index);
  return rest;
}
