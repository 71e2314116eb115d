/**
 * The frame: what links carry. A CBOR sequence (RFC 8742) of a header and then messages.
 *
 *   [version, kind, from, to, epoch, seq, ack, fromEpoch, stream, peerStream, process?, node?]
 *
 * `from` and `to` are endpoints, `epoch` the incarnation of `to` that is meant, `fromEpoch` that of `from`. `stream`
 * numbers the sender's half of the channel, unique in its process and growing; `peerStream` is the receiver's half as
 * the sender knows it, 0 while it has not heard of one. `seq` numbers the data frames of a stream from 1; `ack` is the
 * last frame of `peerStream` that was received with all before it. `process` and `node` say where `from` lives, as
 * long as `peerStream` is 0.
 *
 * We write numbers at full width, so that every field has its place: the usual frame is recognised by comparing
 * bytes, and `ack` can be brought up to date in a frame that is sent again. Other widths are read as well.
 */
import { PROTOCOL_VERSION, ProtocolError, isActorId, isNodeId, isProcessId } from "@stingray/protocol";
import type { EndpointId, NodeId, ProcessId } from "@stingray/protocol";
import { readItem } from "./cbor-read.js";
import { Writer } from "./cbor-write.js";

export const Kind = {
  /** Messages follow. The only kind that is numbered, acknowledged and sent again. */
  Data: 0,
  /** `ack` only. */
  Ack: 1,
  /** Where do you stand? `seq` is the last frame sent. Answered with Ack, or with Resend where frames are missing. */
  Ping: 2,
  /** Frames after `ack` are missing: send them again. */
  Resend: 3,
  /** A WireError follows: there is no such channel or endpoint; close your side. */
  Reset: 4,
  /** A WireError follows: the sender closed its side after frame `seq`. */
  Close: 5,
  /** A WireError follows: something that you sent was refused. */
  Refused: 6,
  /** `offset`, `total` and bytes follow: a part of data frame `seq`, which is too large for the broker. */
  Part: 7,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

export interface Header {
  kind: Kind;
  from: EndpointId;
  to: EndpointId;
  epoch: number;
  seq: number;
  ack: number;
  fromEpoch: number;
  stream: number;
  peerStream: number;
  process?: ProcessId | undefined;
  node?: NodeId | undefined;
}

/** Bytes kept free before each frame for its length, which the socket link puts there. */
export const LENGTH_BYTES = 4;
/** Where the fields of a header of full width are. */
const VERSION_AT = 1;
const KIND_AT = 2;
const FROM_AT = 3;
const EPOCH_AT = 31;
const SEQ_AT = 40;
const ACK_AT = 49;
const FROM_EPOCH_AT = 58;
const STREAM_AT = 67;
const PEER_STREAM_AT = 72;
/** Size of the header without `process` and `node`. */
export const HEADER_BYTES = 77;
const HEADER_ITEMS = 10;
const OPENING_ITEMS = 12;
const TWO_32 = 0x1_0000_0000;

export const isEndpointId = (value: unknown): value is EndpointId => isProcessId(value) || isActorId(value);

function put64(buffer: Buffer, at: number, value: number): void {
  buffer[at] = 0x1b;
  buffer.writeUInt32BE(Math.floor(value / TWO_32), at + 1);
  buffer.writeUInt32BE(value % TWO_32, at + 5);
}
function put32(buffer: Buffer, at: number, value: number): void {
  buffer[at] = 0x1a;
  buffer.writeUInt32BE(value, at + 1);
}
function get64(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at + 1) * TWO_32 + buffer.readUInt32BE(at + 5);
}

/** The header as bytes, with `process` and `node` where `header.process` is given. */
export function headerBytes(header: Header): Buffer {
  const fixed = Buffer.alloc(HEADER_BYTES);
  const opening = header.process !== undefined;
  fixed[0] = 0x80 | (opening ? OPENING_ITEMS : HEADER_ITEMS);
  fixed[VERSION_AT] = PROTOCOL_VERSION;
  fixed[KIND_AT] = header.kind;
  fixed[FROM_AT] = 0x60 | header.from.length;
  fixed.write(header.from, FROM_AT + 1, "latin1");
  fixed[FROM_AT + 14] = 0x60 | header.to.length;
  fixed.write(header.to, FROM_AT + 15, "latin1");
  put64(fixed, EPOCH_AT, header.epoch);
  put64(fixed, SEQ_AT, header.seq);
  put64(fixed, ACK_AT, header.ack);
  put64(fixed, FROM_EPOCH_AT, header.fromEpoch);
  put32(fixed, STREAM_AT, header.stream);
  put32(fixed, PEER_STREAM_AT, header.peerStream);
  if (!opening) return fixed;
  const rest = new Writer(32);
  rest.value(header.process);
  rest.value(header.node);
  return Buffer.concat([fixed, rest.buffer.subarray(0, rest.at)]);
}

/** Sets the kind and number of a frame that starts at `start`. */
export function setNumber(buffer: Buffer, start: number, kind: Kind, seq: number): void {
  buffer[start + KIND_AT] = kind;
  put64(buffer, start + SEQ_AT, seq);
}
/** Brings the parts that concern the other half up to date. */
export function setAck(buffer: Buffer, start: number, ack: number, peerStream: number): void {
  put64(buffer, start + ACK_AT, ack);
  put32(buffer, start + PEER_STREAM_AT, peerStream);
}

/** True where a header of the usual layout starts at `start`, so that the `fast…` functions may be used. */
export function isUsual(buffer: Buffer, start: number, end: number): boolean {
  return (
    end - start >= HEADER_BYTES &&
    buffer[start] === (0x80 | HEADER_ITEMS) &&
    buffer[start + VERSION_AT] === PROTOCOL_VERSION &&
    buffer[start + KIND_AT]! <= Kind.Part &&
    buffer[start + SEQ_AT] === 0x1b &&
    buffer[start + ACK_AT] === 0x1b &&
    buffer[start + PEER_STREAM_AT] === 0x1a
  );
}
export const fastKind = (buffer: Buffer, start: number): Kind => buffer[start + KIND_AT] as Kind;
export const fastSeq = (buffer: Buffer, start: number): number => get64(buffer, start + SEQ_AT);
export const fastAck = (buffer: Buffer, start: number): number => get64(buffer, start + ACK_AT);
export const fastPeerStream = (buffer: Buffer, start: number): number =>
  buffer.readUInt32BE(start + PEER_STREAM_AT + 1);

/** True where both headers are between the same endpoints, incarnations and sending stream. */
export function sameSender(buffer: Buffer, start: number, expected: Buffer): boolean {
  for (let i = FROM_AT; i < SEQ_AT; i++) if (buffer[start + i] !== expected[i]) return false;
  for (let i = FROM_EPOCH_AT; i < PEER_STREAM_AT; i++) if (buffer[start + i] !== expected[i]) return false;
  return true;
}

/**
 * Reads any header; `itemEnd()` is then where the messages start.
 * @throws ProtocolError where it is malformed or of another version; what could be read of it is in `partial`
 */
export function readHeader(buffer: Buffer, start: number, end: number, partial: Partial<Header>): Header {
  const items = readItem(buffer, start, end);
  if (!Array.isArray(items))
    throw new ProtocolError("malformed frame: it does not start with a header array");
  const [version, kind, from, to, epoch, seq, ack, fromEpoch, stream, peerStream, process, node] =
    items as unknown[];
  if (isEndpointId(from)) partial.from = from;
  if (isEndpointId(to)) partial.to = to;
  if (version !== PROTOCOL_VERSION)
    throw new ProtocolError(
      `the peer speaks version ${String(version)} of the protocol, this process version ${PROTOCOL_VERSION}: ` +
        `run the same release of stingray everywhere`,
    );
  if (!isEndpointId(from) || !isEndpointId(to))
    throw new ProtocolError("malformed frame: from and to must be endpoint ids");
  const header: Header = {
    kind: whole(kind, "kind", Kind.Part) as Kind,
    from,
    to,
    epoch: whole(epoch, "epoch"),
    seq: whole(seq, "seq"),
    ack: whole(ack, "ack"),
    fromEpoch: whole(fromEpoch, "fromEpoch"),
    stream: whole(stream, "stream", TWO_32 - 1),
    peerStream: whole(peerStream, "peerStream", TWO_32 - 1),
  };
  partial.fromEpoch = header.fromEpoch;
  partial.epoch = header.epoch;
  partial.stream = header.stream;
  if (isProcessId(process)) header.process = process;
  if (isNodeId(node)) header.node = node;
  return header;
}

function whole(value: unknown, name: string, most = Number.MAX_SAFE_INTEGER): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
  throw new ProtocolError(`malformed frame: ${name} must be a whole number from 0 to ${most}`);
}

/**
 * A frame that is not numbered, with at most one value after the header `head`, which is copied.
 * @param body left out where undefined
 */
export function smallFrame(head: Buffer, kind: Kind, seq: number, body?: unknown): Frame {
  const room = LENGTH_BYTES + head.length;
  let buffer: Buffer;
  let end = room;
  if (body === undefined) buffer = Buffer.allocUnsafe(room);
  else {
    const writer = new Writer(room + 512);
    writer.at = room;
    writer.value(body);
    buffer = writer.buffer;
    end = writer.at;
  }
  buffer.set(head, LENGTH_BYTES);
  setNumber(buffer, LENGTH_BYTES, kind, seq);
  return { seq, buffer, start: LENGTH_BYTES, end, messages: 0, sent: false };
}

/** A finished frame in a buffer that is not written any more, but for its `ack`. */
export interface Frame {
  readonly seq: number;
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  readonly messages: number;
  /** It was handed to a link before. */
  sent: boolean;
}
