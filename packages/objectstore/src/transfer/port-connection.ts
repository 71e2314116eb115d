/** A connection that a data port has accepted: first the handshake, then what the peer wants and uploads. */
import { isObjectId, ProtocolError, record, StingrayError, text, toError, uint } from "@stingray/protocol";
import { CHUNK_BYTES } from "./chunks.js";
import { Flag, Kind, type Frame } from "./frame.js";
import { Doorkeeper, GREETING_BYTES, refuse, words, type Session } from "./handshake.js";
import { encodeHere } from "./here.js";
import type { Connection, Port } from "./port-behind.js";
import { SendingChannel } from "./port-channel.js";
import type { Upload, Uploader } from "./uploads.js";
import type { Wire, WireEvents } from "./wire.js";

type Channel =
  | { readonly state: "opening"; readonly wants: Want[] }
  | { readonly state: "sending"; readonly sending: SendingChannel }
  | { readonly state: "receiving"; readonly upload: Upload; readonly uploader: Uploader };

interface Want {
  readonly channel: number;
  readonly index: number;
  readonly flags: number;
}

/** Characters of what is told to the other side of an error here. */
const MAX_REASON = 1000;

const openBody = record<{ object: string }>({ object: text });
const uploadBody = record<{ object: string; size: number }>({ object: text, size: uint });

export class PortConnection implements WireEvents, Connection {
  readonly #port: Port;
  readonly #doorkeeper: Doorkeeper;
  readonly #channels = new Map<number, Channel>();
  #wants: Want[] = [];
  #next = 0;
  #session: Session | undefined;
  #refused = false;
  #wire: Wire | undefined;
  readonly since = performance.now();

  constructor(port: Port) {
    this.#port = port;
    this.#doorkeeper = new Doorkeeper(port.key);
  }

  start(wire: Wire): void {
    this.#wire = wire;
  }

  get peer(): string | undefined {
    return this.#session?.peer;
  }

  room(frame: Frame): Uint8Array {
    if (this.#session === undefined) return bounded(frame, GREETING_BYTES);
    if (frame.kind !== Kind.Put) return bounded(frame, GREETING_BYTES);
    const channel = this.#channels.get(frame.channel);
    const room = channel?.state === "receiving" ? channel.upload.room(frame.index, frame.length) : undefined;
    return room ?? bounded(frame, CHUNK_BYTES); // of an upload that was refused while this was on its way
  }

  take(frame: Frame, body: Uint8Array): void {
    const wire = this.#wire as Wire;
    if (this.#session === undefined) {
      return this.#greet(wire, frame, body);
    }
    switch (frame.kind) {
      case Kind.Open:
        return this.#opening(frame, words(openBody, body).object, (object) =>
          this.#open(frame.channel, object),
        );
      case Kind.Upload: {
        const { object, size } = words(uploadBody, body);
        return this.#opening(frame, object, () => this.#accept(frame.channel, object, size));
      }
      case Kind.Want:
        return this.#want({ channel: frame.channel, index: frame.index, flags: frame.flags });
      case Kind.Put:
        return this.#put(frame, body);
      case Kind.Close:
        return this.#close(frame.channel, (frame.flags & Flag.Whole) !== 0);
      default:
        throw new ProtocolError(`${this.peer} sent a frame of kind ${frame.kind} to a data port`);
    }
  }

  closed(error: Error): void {
    for (const number of [...this.#channels.keys()]) this.#close(number, false);
    this.#wants = [];
    this.#next = 0;
    this.#port.gone(this, error);
  }

  /** Sends what was asked for, in that order, as far as there is room. */
  resume(): void {
    try {
      this.#pump();
    } catch (thrown) {
      this.destroy(toError(thrown));
    }
  }

  #pump(): void {
    const wire = this.#wire as Wire;
    while (this.#next < this.#wants.length && !wire.over) {
      const want = this.#wants[this.#next] as Want;
      const channel = this.#channels.get(want.channel);
      if (channel?.state === "sending" && !this.#answer(wire, channel.sending, want)) return;
      this.#next++;
    }
    if (this.#next > 0) {
      this.#wants = this.#wants.slice(this.#next);
      this.#next = 0;
    }
  }

  sweep(now: number): void {
    const wire = this.#wire as Wire;
    const { handshakeMs, stallMs, idleMs } = this.#port.limits;
    const quiet = now - wire.heardAt;
    if (this.#session === undefined) {
      if (now - this.since > handshakeMs)
        wire.destroy(
          new ProtocolError(`the handshake with ${wire.remote} took longer than ${handshakeMs} ms`),
        );
    } else if (wire.queued > 0 && now - wire.drainedAt > stallMs) {
      wire.destroy(
        new ProtocolError(`${this.peer} has taken nothing of what it asked for within ${stallMs} ms`),
      );
    } else if (wire.midFrame && quiet > stallMs) {
      wire.destroy(new ProtocolError(`${this.peer} stopped in the middle of a frame for ${stallMs} ms`));
    } else if (this.#channels.size === 0 && wire.queued === 0 && quiet > idleMs) {
      wire.destroy(new StingrayError(`${this.peer} has asked for nothing within ${idleMs} ms`));
    }
  }

  destroy(error: Error): void {
    this.#wire?.destroy(error);
  }

  #greet(wire: Wire, frame: Frame, body: Uint8Array): void {
    if (this.#refused) return;
    try {
      this.#session = this.#doorkeeper.take(wire, frame, body);
    } catch (thrown) {
      this.#refused = true;
      if (!(thrown instanceof StingrayError)) throw thrown;
      return refuse(wire, thrown); // it has until the end of the handshake's time to read that, and to hang up
    }
    if (this.#session !== undefined) this.#port.proven(this);
  }

  /** false: no room now. */
  #answer(wire: Wire, sending: SendingChannel, want: Want): boolean {
    if (wire.queued >= this.#port.limits.queuedPerConnection) return false;
    if (!this.#port.reserve(CHUNK_BYTES, this)) return false;
    let ready: ReturnType<SendingChannel["ready"]>;
    try {
      ready = sending.ready(want.index, want.flags);
    } catch (thrown) {
      this.#port.free(CHUNK_BYTES);
      this.#close(want.channel, false);
      wire.say(Kind.Gone, want.channel, { reason: toError(thrown).message.slice(0, MAX_REASON) });
      return true;
    }
    if (typeof ready === "object") {
      sending.send(want.index, ready, (sent) => {
        this.#port.free(CHUNK_BYTES);
        if (sent) this.#port.sent(ready.bytes.length);
        this.resume();
      });
      return true;
    }
    this.#port.free(CHUNK_BYTES);
    if (ready === undefined)
      throw new ProtocolError(`${this.peer} asked for chunk ${want.index}, which there is not`);
    wire.send(ready === "not-yet" ? Kind.NotYet : Kind.Elsewhere, want.channel, want.index);
    return true;
  }

  #opening(frame: Frame, object: string, open: (object: string) => Promise<Channel | string>): void {
    const number = frame.channel;
    if (!isObjectId(object)) throw new ProtocolError(`${this.peer} asked for something that is no object id`);
    if (this.#channels.has(number) || this.#channels.size >= this.#port.limits.channels)
      throw new ProtocolError(`${this.peer} opened channel ${number} twice, or too many`);
    const opening = { state: "opening", wants: [] as Want[] } as const;
    this.#channels.set(number, opening);
    const settle = async (): Promise<void> => {
      const wire = this.#wire as Wire;
      const channel = await open(object).catch((thrown: unknown) => toError(thrown).message);
      const wanted = !wire.over && this.#channels.get(number) === opening;
      if (typeof channel === "string") {
        if (wanted) this.#channels.delete(number);
        if (wanted) wire.say(Kind.Gone, number, { reason: channel.slice(0, MAX_REASON) });
      } else if (wanted) {
        this.#channels.set(number, channel);
        this.#wants.push(...opening.wants);
        this.resume();
      } else {
        shut(channel, false);
      }
    };
    void settle();
  }

  async #open(number: number, object: string): Promise<Channel | string> {
    const outgoing = await this.#port.open(object, this.peer as string);
    if (outgoing === undefined) return "it has no copy";
    const { limits } = this.#port;
    const serving = this.#port.serving(object);
    const session = this.#session as Session;
    const sending = new SendingChannel(
      number,
      this.#wire as Wire,
      session,
      serving,
      outgoing,
      limits.holders,
    );
    return { state: "sending", sending };
  }

  async #accept(number: number, object: string, size: number): Promise<Channel | string> {
    const upload = await this.#port.upload(object, size, this.peer as string);
    if (upload === undefined) return "it does not expect this object from here";
    const uploader: Uploader = {
      displaced: () =>
        this.destroy(new ProtocolError(`${this.peer} uploads ${object} over another connection now`)),
      ended: () => this.#ended(number, object),
    };
    upload.takeOver(uploader);
    const has = upload.chunks.bits();
    this.#wire?.send(Kind.Here, number, 0, 0, encodeHere({ size, tag: undefined, has, offers: undefined }));
    if (upload.chunks.complete) this.#wire?.send(Kind.Stored, number);
    return { state: "receiving", upload, uploader };
  }

  /** An upload was completed or given up by other means. */
  #ended(number: number, object: string): void {
    const wire = this.#wire as Wire;
    // The rest of a chunk that has begun to come would be written to where it was going.
    if (wire.receiving === number)
      return this.destroy(new ProtocolError(`${object} has ended here while ${this.peer} uploaded it`));
    this.#close(number, false);
    wire.say(Kind.Gone, number, { reason: "it was completed or given up there" });
  }

  #put(frame: Frame, body: Uint8Array): void {
    const channel = this.#channels.get(frame.channel);
    if (channel?.state !== "receiving") return;
    const { upload } = channel;
    if (!upload.take(frame.index, body, frame.sum)) this.#wire?.send(Kind.Again, frame.channel, frame.index);
    else if (upload.chunks.complete) this.#wire?.send(Kind.Stored, frame.channel);
  }

  #close(number: number, whole: boolean): void {
    const channel = this.#channels.get(number);
    this.#channels.delete(number);
    if (channel !== undefined) shut(channel, whole);
  }

  #want(want: Want): void {
    const channel = this.#channels.get(want.channel);
    const wants = channel?.state === "opening" ? channel.wants : this.#wants;
    if (wants.length - this.#next >= this.#port.limits.wants)
      throw new ProtocolError(`${this.peer} asked for more than ${this.#port.limits.wants} chunks at a time`);
    wants.push(want);
    if (wants === this.#wants) this.resume();
  }
}

function shut(channel: Channel, whole: boolean): void {
  if (channel.state === "sending") channel.sending.close(whole);
  else if (channel.state === "receiving") channel.upload.letGo(channel.uploader);
}

function bounded(frame: Frame, most: number): Uint8Array {
  if (frame.length > most)
    throw new ProtocolError(
      `a frame of kind ${frame.kind} announced ${frame.length} bytes, ${most} at most are accepted`,
    );
  return new Uint8Array(frame.length);
}
