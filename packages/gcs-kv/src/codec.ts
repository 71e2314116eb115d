/** Rows to bytes and back: CBOR of `[version, write id, value]`. */
import { randomBytes } from "node:crypto";
import { Encoder } from "cbor-x";
import { InvalidArgumentError, ProtocolError, type Check } from "@stingray/protocol";

/** Version of this envelope. */
export const ROW_VERSION = 1;

// Plain CBOR that other implementations read; bytes are copied, because rows outlive the message they came in.
const codec = new Encoder({
  useRecords: false,
  mapsAsObjects: true,
  tagUint8Array: false,
  copyBuffers: true,
});

const writer = randomBytes(9).toString("base64url");
let writes = 0;

/**
 * Names one write. A writer whose answer was lost finds its own id in the row and so knows that the write was done;
 * without it a retried compare-and-set would take its own first attempt for somebody else's.
 */
export const newWriteId = (): string => `${writer}.${(writes++).toString(36)}`;

/** A row as it was read: decoded, and the id of the write that made it. */
export interface Decoded<T> {
  value: T;
  write: string;
}

/** @throws InvalidArgumentError where the value does not pass the table's own checker */
export function encodeRow<T>(value: T, write: string, check: Check<T>, at: string): Uint8Array {
  try {
    check(value, at);
  } catch (cause) {
    throw new InvalidArgumentError(
      `a row that does not fit its table was to be written at ${at}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  return codec.encode([ROW_VERSION, write, value]);
}

/** @throws ProtocolError where the bytes are no row of this version or the row does not pass its checker */
export function decodeRow<T>(bytes: Uint8Array, check: Check<T>, at: string): Decoded<T> {
  let row: unknown;
  try {
    row = codec.decode(bytes);
  } catch (cause) {
    throw new ProtocolError(`the row at ${at} is not CBOR (${bytes.length} bytes); delete it`, { cause });
  }
  if (!Array.isArray(row) || row.length < 3 || typeof row[1] !== "string") {
    throw new ProtocolError(`the row at ${at} was not written by this library; delete it`);
  }
  if (row[0] !== ROW_VERSION) {
    throw new ProtocolError(
      `the row at ${at} has version ${String(row[0])}, this process reads ${ROW_VERSION}; run one version of the library in a cluster`,
    );
  }
  return { value: check(row[2], at), write: row[1] };
}
