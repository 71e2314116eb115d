/**
 * One object as a data port serves it to several at once. A port with a whole copy gives every chunk to one of those
 * who serve on what they get, and sends the others there, so that a broadcast becomes a tree without a plan: what a
 * source sends grows little with the number of those who want it. Whoever has waited in vain may insist.
 */
import type { DataAddress } from "@stingray/protocol";
import { ChunkMap, type Bits } from "./chunks.js";
import type { Availability } from "./here.js";
import { chunkSum } from "./sum.js";
import type { Holder, Outgoing } from "./types.js";

/** An object that is open on a connection. */
export interface ServedChannel {
  readonly peer: string;
  /** There are new chunks or holders: tell the peer soon. */
  changed(): void;
}

interface KnownHolder {
  readonly holder: Holder;
  /** Channels over which it pulls at the moment. */
  channels: number;
  /** Forgotten then, if it pulls no more. */
  until: number;
}

export type Answer = "send" | "not-yet" | "elsewhere";

export class Serving {
  readonly object: string;
  readonly #lingerMs: number;
  readonly #channels = new Set<ServedChannel>();
  readonly #holders = new Map<string, KnownHolder>();
  /** Who got a chunk last, of those who serve it on. */
  readonly #given = new Map<number, string>();
  #whole: ChunkMap | undefined;

  constructor(object: string, lingerMs: number) {
    this.object = object;
    this.#lingerMs = lingerMs;
  }

  /** Nothing is worth being remembered any more. */
  get forgotten(): boolean {
    return this.#channels.size === 0 && this.#holders.size === 0;
  }

  /** What is here of it. One map for all connections where the store has none of its own: sums are computed once. */
  chunksOf(outgoing: Outgoing): ChunkMap {
    if (outgoing.chunks !== undefined) return outgoing.chunks;
    const { size, tag } = outgoing;
    // Made again under the same name, it may have other bytes, and so other sums.
    if (this.#whole?.size !== size || this.#whole.tag !== tag) this.#whole = ChunkMap.whole(size, tag);
    return this.#whole;
  }

  join(channel: ServedChannel, serves: DataAddress | undefined): void {
    this.#channels.add(channel);
    if (serves === undefined || serves.hosts.length === 0) return;
    const known = this.#holders.get(channel.peer);
    if (known !== undefined) {
      known.channels++;
      return;
    }
    const holder: Holder = { name: channel.peer, address: serves };
    this.#holders.set(channel.peer, { holder, channels: 1, until: Number.POSITIVE_INFINITY });
    this.#tell(channel.peer);
  }

  /** `whole`: the peer has everything now, and is remembered as a holder for a while. */
  leave(channel: ServedChannel, whole: boolean): void {
    if (!this.#channels.delete(channel)) return;
    if (this.#channels.size === 0) this.#whole = undefined; // the next object of that name may have other bytes
    const known = this.#holders.get(channel.peer);
    if (known === undefined) return;
    known.channels = Math.max(0, known.channels - 1);
    if (known.channels > 0) return;
    if (whole) known.until = performance.now() + this.#lingerMs;
    else this.#forget(channel.peer);
  }

  /** Forgets holders that have not been heard of for long. */
  sweep(now: number): void {
    for (const [name, known] of this.#holders)
      if (known.channels === 0 && known.until <= now) this.#forget(name);
  }

  answer(chunks: ChunkMap, index: number, to: string, insist: boolean): Answer {
    if (!chunks.has(index)) return "not-yet";
    if (!insist && chunks.complete && this.#othersHave(index, to)) return "elsewhere";
    if (this.#holders.has(to)) this.#given.set(index, to);
    return "send";
  }

  availability(chunks: ChunkMap, to: string): Availability {
    const { size, tag } = chunks;
    if (!chunks.complete) return { size, tag, has: chunks.bits(), offers: undefined };
    let offers: Bits | undefined;
    for (const index of this.#given.keys()) {
      if (!this.#othersHave(index, to)) continue;
      offers ??= chunks.bits();
      offers.delete(index);
    }
    return { size, tag, has: undefined, offers };
  }

  /** Up to `most` others who pull it or have just done so, none of `known`, at random. */
  others(known: ReadonlySet<string>, most: number): Holder[] {
    const found: Holder[] = [];
    for (const [name, { holder }] of this.#holders) if (!known.has(name)) found.push(holder);
    for (let i = 0; i < Math.min(most, found.length); i++) {
      const other = i + Math.floor(Math.random() * (found.length - i));
      [found[i], found[other]] = [found[other] as Holder, found[i] as Holder];
    }
    return found.slice(0, most);
  }

  sum(chunks: ChunkMap, index: number, bytes: Uint8Array): Buffer {
    const known = chunks.sum(index);
    if (known !== undefined) return known;
    const sum = chunkSum(bytes);
    chunks.rememberSum(index, sum);
    return sum;
  }

  #othersHave(index: number, to: string): boolean {
    const given = this.#given.get(index);
    return given !== undefined && given !== to && this.#holders.has(given);
  }

  #forget(name: string): void {
    this.#holders.delete(name);
    for (const [index, to] of this.#given) if (to === name) this.#given.delete(index);
    this.#tell(name);
  }

  #tell(about: string): void {
    for (const channel of this.#channels) if (channel.peer !== about) channel.changed();
  }
}
