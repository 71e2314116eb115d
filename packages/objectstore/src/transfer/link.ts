/** A connection to a data port, from the handshake on: the objects that are open on it, and where their bytes go. */
import {
  ConnectionError,
  dataAddress,
  list,
  ProtocolError,
  record,
  text,
  type DataAddress,
} from "@stingray/protocol";
import { CHUNK_BYTES } from "./chunks.js";
import { CONTROL_BYTES, Flag, Kind, type Frame } from "./frame.js";
import { words, type Session } from "./handshake.js";
import { decodeHere, type Availability } from "./here.js";
import type { Holder } from "./types.js";
import type { Wire, WireEvents } from "./wire.js";

/** What happens to an object that is open on a link. None of them may throw but for ProtocolError, which ends the link. */
export interface LinkChannel {
  here(here: Availability): void;
  /** Where a chunk goes that begins to arrive. @throws ProtocolError if it was not asked for, or has another length */
  room(index: number, length: number): Uint8Array;
  /** It has arrived; whether `sum` is right is for the receiver to see. */
  data(index: number, bytes: Uint8Array, sum: Buffer): void;
  /** `elsewhere`: others have it, and the port would rather not. Else: the port does not have it yet. */
  declined(index: number, elsewhere: boolean): void;
  holders(holders: readonly Holder[]): void;
  /** The port has no such object; the channel is closed. */
  gone(reason: string): void;
  /** Of an upload: a chunk was damaged on its way. */
  again(index: number): void;
  /** Of an upload: everything has arrived. */
  stored(): void;
  /** The connection is over, and with it the channel. */
  cut(error: Error): void;
}

const goneBody = record<{ reason: string }>({ reason: text });
const holder = record<Holder>({ name: text, address: dataAddress });
const holdersBody = record<{ holders: Holder[] }>({ holders: list(holder, 1000) });

export class Link implements WireEvents {
  readonly #wire: Wire;
  readonly #session: Session;
  readonly #over: (link: Link) => void;
  readonly #channels = new Map<number, LinkChannel>();
  #next = 1;
  /** When the last channel was closed. Milliseconds of `performance.now()`. */
  idleSince = performance.now();

  /** Takes over a connection whose port has proven itself. */
  constructor(wire: Wire, session: Session, over: (link: Link) => void) {
    this.#wire = wire;
    this.#session = session;
    this.#over = over;
    wire.handOver(this);
    wire.keepAlive(false);
  }

  get channels(): number {
    return this.#channels.size;
  }
  get over(): boolean {
    return this.#wire.over;
  }
  /** When bytes last came, or went out of this process. */
  get movedAt(): number {
    return Math.max(this.#wire.heardAt, this.#wire.drainedAt);
  }
  get heardAt(): number {
    return this.#wire.heardAt;
  }
  /** Bytes that the kernel has not taken yet. */
  get queued(): number {
    return this.#wire.queued;
  }

  /** Opens an object that is wanted. Chunks may be asked for at once. */
  open(object: string, channel: LinkChannel): number {
    const number = this.#add(channel);
    this.#wire.say(Kind.Open, number, { object });
    return number;
  }

  /** Begins an upload, or takes it up again: wait for `here` before chunks are put. */
  upload(object: string, size: number, channel: LinkChannel): number {
    const number = this.#add(channel);
    this.#wire.say(Kind.Upload, number, { object, size });
    return number;
  }

  want(channel: number, index: number, insist: boolean): void {
    this.#wire.send(Kind.Want, channel, index, insist ? Flag.Insist : 0);
  }

  put(
    channel: number,
    index: number,
    bytes: Uint8Array,
    sum: Uint8Array,
    done: (sent: boolean) => void,
  ): void {
    this.#wire.sendChunk(Kind.Put, channel, index, bytes, sum, done);
  }

  /** `whole`: this process has everything. When this returns nothing is written to the channel's rooms any more. */
  close(channel: number, whole: boolean): void {
    if (!this.#channels.delete(channel)) return;
    if (this.#wire.receiving === channel)
      this.#wire.destroy(
        new ConnectionError("a transfer was ended in the middle of a chunk, and its connection with it"),
      );
    else this.#wire.send(Kind.Close, channel, 0, whole ? Flag.Whole : 0);
    this.#used();
  }

  destroy(error: Error): void {
    this.#wire.destroy(error);
  }

  room(frame: Frame): Uint8Array {
    if (frame.kind === Kind.Data) {
      if (frame.length > CHUNK_BYTES)
        throw new ProtocolError(`a chunk of ${frame.length} bytes was announced`);
      const channel = this.#channels.get(frame.channel);
      return channel?.room(frame.index, frame.length) ?? new Uint8Array(frame.length);
    }
    if (frame.length > CONTROL_BYTES)
      throw new ProtocolError(`a frame of ${frame.length} bytes was announced`);
    return new Uint8Array(frame.length);
  }

  take(frame: Frame, body: Uint8Array): void {
    const channel = this.#channels.get(frame.channel);
    if (channel === undefined) {
      if (frame.channel >= this.#next)
        throw new ProtocolError("an answer came to a question that was not asked");
      return; // was closed while this was on its way
    }
    switch (frame.kind) {
      case Kind.Here:
        return channel.here(decodeHere(body));
      case Kind.Data:
        return channel.data(frame.index, body, frame.sum);
      case Kind.NotYet:
        return channel.declined(frame.index, false);
      case Kind.Elsewhere:
        return channel.declined(frame.index, true);
      case Kind.Holders:
        return channel.holders(this.#opened(words(holdersBody, body).holders));
      case Kind.Gone:
        this.#channels.delete(frame.channel);
        this.#used();
        return channel.gone(words(goneBody, body).reason);
      case Kind.Again:
        return channel.again(frame.index);
      case Kind.Stored:
        return channel.stored();
      default:
        throw new ProtocolError(`a data port sent a frame of kind ${frame.kind}`);
    }
  }

  closed(error: Error): void {
    const cut = [...this.#channels.values()];
    this.#channels.clear();
    this.#over(this);
    for (const channel of cut) channel.cut(error);
  }

  #opened(holders: readonly Holder[]): Holder[] {
    return holders.map(({ name, address }): Holder => {
      const opened: DataAddress = this.#session.seal.open(address);
      return { name, address: opened };
    });
  }

  #add(channel: LinkChannel): number {
    const number = this.#next++;
    this.#channels.set(number, channel);
    this.#wire.keepAlive(true);
    if (this.#wire.over) queueMicrotask(() => this.closed(new ConnectionError("a data connection was cut")));
    return number;
  }

  #used(): void {
    if (this.#channels.size > 0) return;
    this.idleSince = performance.now();
    this.#wire.keepAlive(false);
  }
}
