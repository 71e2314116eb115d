/** The body of a Here frame: how long an object is, and which of its chunks a port has. */
import { ProtocolError } from "@stingray/protocol";
import { readTag, TAG_BYTES } from "../shm/header.js";
import { Bits, chunkCount } from "./chunks.js";

/** `has`, `offers`: undefined means all of them. What is had and not offered is better asked of others. */
export interface Availability {
  readonly size: number;
  /** Of the object, where the port knows it. */
  readonly tag: string | undefined;
  readonly has: Bits | undefined;
  readonly offers: Bits | undefined;
}

const SIZE_BYTES = 8;
const HAS = 1;
const OFFERS = 2;
const TAG = 4;

export function encodeHere(here: Availability): Buffer {
  const head = Buffer.alloc(SIZE_BYTES + 1);
  head.writeDoubleLE(here.size, 0);
  const { has, offers, tag } = here;
  const which =
    (has === undefined ? 0 : HAS) | (offers === undefined ? 0 : OFFERS) | (tag === undefined ? 0 : TAG);
  head.writeUInt8(which, SIZE_BYTES);
  const parts: Uint8Array[] = [head];
  if (has !== undefined) parts.push(has.bytes);
  if (offers !== undefined) parts.push(offers.bytes);
  if (tag !== undefined) parts.push(Buffer.from(tag, "hex"));
  return Buffer.concat(parts);
}

/** @throws ProtocolError */
export function decodeHere(body: Uint8Array): Availability {
  if (body.length <= SIZE_BYTES) throw new ProtocolError("malformed Here on a data connection");
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const size = view.getFloat64(0, true);
  const which = view.getUint8(SIZE_BYTES);
  if (!Number.isSafeInteger(size) || size < 0)
    throw new ProtocolError("malformed Here on a data connection: its size makes no sense");
  const count = chunkCount(size);
  const bytes = Math.ceil(count / 8);
  let at = SIZE_BYTES + 1;
  const bits = (flag: number): Bits | undefined => {
    if ((which & flag) === 0) return undefined;
    const part = body.slice(at, at + bytes);
    at += bytes;
    if (part.length !== bytes)
      throw new ProtocolError("malformed Here on a data connection: it is too short");
    return new Bits(count, part);
  };
  const [has, offers] = [bits(HAS), bits(OFFERS)];
  if ((which & TAG) !== 0 && body.length < at + TAG_BYTES)
    throw new ProtocolError("malformed Here on a data connection: it is too short");
  return { size, tag: (which & TAG) === 0 ? undefined : readTag(body, at), has, offers };
}
