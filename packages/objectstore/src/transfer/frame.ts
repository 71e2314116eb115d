/**
 * What travels on a connection to a data port: frames of a header and a body.
 *
 * ```
 * 0   u8   kind
 * 1   u8   flags
 * 2   u16  0
 * 4   u32  channel: an object that is open on this connection; numbered by the dialler
 * 8   u32  chunk
 * 12  u32  bytes of the body
 * 16  the checksum of the body, where it is a chunk; else 0
 * 32  the body
 * ```
 * All little-endian. The header has a length of its own so that the body can be received straight to where it belongs.
 */
import { ProtocolError } from "@stingray/protocol";
import { SUM_BYTES } from "./sum.js";

export const FRAME_HEADER_BYTES = 32;

/** D: said by the dialler. P: by the port. */
export const Kind = {
  /** D: version, name, nonce. */
  Hello: 1,
  /** P: version, nonce, proof. */
  Welcome: 2,
  /** D: proof; where its own data port is. */
  Proven: 3,
  /** P: why the connection ends now. */
  Refused: 4,
  /** D: an object that it wants, by id. */
  Open: 5,
  /** D: a chunk that it wants. With {@link Flag.Insist}: from this port. */
  Want: 6,
  /** D: nothing more of this channel. With {@link Flag.Whole}: it has all of it now. */
  Close: 7,
  /** D: an object that it created and uploads: id and size. */
  Upload: 8,
  /** D: a chunk of it. */
  Put: 9,
  /** P: size, and which chunks it has and offers; of an upload, which have arrived. Said again when it changes. */
  Here: 10,
  /** P: a chunk. */
  Data: 11,
  /** P: the chunk is not here yet. */
  NotYet: 12,
  /** P: the chunk is here, but others have got it lately: ask them. */
  Elsewhere: 13,
  /** P: there is no such object here, or it may not be uploaded. */
  Gone: 14,
  /** P: who else is pulling the object. */
  Holders: 15,
  /** P: a chunk of an upload was damaged on its way. */
  Again: 16,
  /** P: the upload is complete. */
  Stored: 17,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

export const Flag = { Insist: 1, Whole: 2 } as const;

/** Largest body of a frame that is not a chunk: enough to describe an object of 8 TiB. */
export const CONTROL_BYTES = 2 * 1024 * 1024 + 64;

export interface Frame {
  readonly kind: number;
  readonly flags: number;
  readonly channel: number;
  readonly index: number;
  readonly length: number;
  /** A copy. */
  readonly sum: Buffer;
}

export function encodeHeader(
  kind: Kind,
  channel: number,
  index: number,
  length: number,
  flags = 0,
  sum?: Uint8Array,
): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt8(kind, 0);
  header.writeUInt8(flags, 1);
  header.writeUInt32LE(channel, 4);
  header.writeUInt32LE(index, 8);
  header.writeUInt32LE(length, 12);
  if (sum !== undefined) header.set(sum, 16);
  return header;
}

function decodeHeader(header: Buffer): Frame {
  if (header.readUInt16LE(2) !== 0) throw new ProtocolError("a data connection carries something else");
  return {
    kind: header.readUInt8(0),
    flags: header.readUInt8(1),
    channel: header.readUInt32LE(4),
    index: header.readUInt32LE(8),
    length: header.readUInt32LE(12),
    sum: Buffer.from(header.subarray(16, 16 + SUM_BYTES)),
  };
}

/** What is done with frames, whose fields, `length` too, are as the peer wrote them. Both may throw ProtocolError, which ends the connection. */
export interface FrameSink {
  /** Where the body is to be put: exactly `frame.length` bytes. Not called for a frame without one. */
  room(frame: Frame): Uint8Array;
  /** The frame is there whole. */
  take(frame: Frame, body: Uint8Array): void;
}

const NOTHING = new Uint8Array(0);

/** Cuts a stream into frames, in such a way that every byte is written once, by the kernel, to where it belongs. */
export class Inflow {
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  readonly #sink: FrameSink;
  #frame: Frame | undefined;
  #into: Uint8Array = this.#header;
  #filled = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Where the next bytes of the stream go. Never empty. */
  target(): Uint8Array {
    return this.#filled === 0 ? this.#into : this.#into.subarray(this.#filled);
  }

  /** The frame whose body is arriving. */
  get current(): Frame | undefined {
    return this.#frame;
  }
  /** The stream is between two frames. */
  get idle(): boolean {
    return this.#frame === undefined && this.#filled === 0;
  }

  /** So many bytes were put where `target` said. @throws ProtocolError what the sink throws */
  took(bytes: number): void {
    this.#filled += bytes;
    if (this.#filled < this.#into.length) return;
    if (this.#frame === undefined) {
      const frame = decodeHeader(this.#header);
      if (frame.length === 0) {
        this.#next();
        this.#sink.take(frame, NOTHING);
        return;
      }
      const room = this.#sink.room(frame);
      if (room.length !== frame.length)
        throw new ProtocolError(`a body of ${frame.length} bytes came where ${room.length} were due`);
      this.#frame = frame;
      this.#into = room;
      this.#filled = 0;
    } else {
      const frame = this.#frame;
      const body = this.#into;
      this.#next();
      this.#sink.take(frame, body);
    }
  }

  /** For streams that can't be told where to read to. */
  feed(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const target = this.target();
      const part = Math.min(target.length, chunk.length - at);
      target.set(chunk.subarray(at, at + part));
      at += part;
      this.took(part);
    }
  }

  #next(): void {
    this.#frame = undefined;
    this.#into = this.#header;
    this.#filled = 0;
  }
}
