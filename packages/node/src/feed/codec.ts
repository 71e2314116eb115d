/**
 * The one encoder of the feeds: plain CBOR (no records, no tags on byte strings), so that an observer in any
 * language can read them.
 */
import { decodePlain, encodePlain } from "@stingray/broker";
import { PROTOCOL_VERSION, ProtocolError } from "@stingray/protocol";

/** Largest feed message accepted, in bytes; a heartbeat is some hundred. */
const MAX_BYTES = 1 << 20;

/** `[version, kind, ...items]` as bytes. */
export function encodeFeed(kind: string, items: readonly unknown[]): Uint8Array {
  return encodePlain([PROTOCOL_VERSION, kind, ...items]);
}

/**
 * The items of a feed message of this version and kind.
 * @throws ProtocolError for anything else, whatever the bytes are
 */
export function decodeFeed(kind: string, data: Uint8Array): unknown[] {
  if (data.length > MAX_BYTES) {
    throw new ProtocolError(
      `malformed ${kind}: ${data.length} bytes, at most ${MAX_BYTES} are accepted; the message is dropped`,
    );
  }
  const message = parse(kind, data);
  if (!Array.isArray(message) || message.length < 2) {
    throw new ProtocolError(`malformed ${kind}: it is no array [version, kind, …]; the message is dropped`);
  }
  const [version, got, ...items] = message as unknown[];
  if (version !== PROTOCOL_VERSION) {
    throw new ProtocolError(
      `a ${kind} of protocol version ${printable(version)} arrived, this process speaks ${PROTOCOL_VERSION}; ` +
        `run the same version on all nodes of a cluster`,
    );
  }
  if (got !== kind) {
    throw new ProtocolError(`malformed ${kind}: its kind is ${printable(got)}; the message is dropped`);
  }
  return items;
}

function parse(kind: string, data: Uint8Array): unknown {
  try {
    return decodePlain(data);
  } catch (cause) {
    throw new ProtocolError(`malformed ${kind}: it is no CBOR; the message is dropped`, { cause });
  }
}

function printable(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value).slice(0, 40) : typeof value;
}
