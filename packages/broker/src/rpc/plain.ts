/** Plain values as CBOR outside of frames: feeds, and what is asked over plain NATS before there is a channel. */
import { ProtocolError } from "@stingray/protocol";
import { itemEnd, readItem } from "./cbor-read.js";
import { Writer } from "./cbor-write.js";

/** @throws SerializationError for what is no plain value */
export function encodePlain(value: unknown): Uint8Array {
  const writer = new Writer(256);
  writer.value(value);
  return writer.buffer.subarray(0, writer.at);
}

/**
 * The one value that the bytes are. Whatever they are: no tags, no classes, bounded nesting, and no more time and
 * memory than their length deserves. Large byte strings in it may be views of `bytes`.
 * @throws ProtocolError
 */
export function decodePlain(bytes: Uint8Array): unknown {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const value = readItem(buffer, 0, buffer.length);
  if (itemEnd() !== buffer.length)
    throw new ProtocolError(
      `malformed CBOR: ${buffer.length - itemEnd()} bytes follow the value; is the peer of the same version?`,
    );
  return value;
}
