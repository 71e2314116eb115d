/** States of values: from what messages say, and for what is lost. */
import { encode } from "@stingray/objectstore";
import { ObjectLostError, ValueKind, type ValueDesc } from "@stingray/protocol";
import type { ObjectState } from "./entry.js";

/** The state of an object that is gone for good. */
export function lostState(message: string): ObjectState {
  return { kind: "error", bytes: encode(new ObjectLostError(message)).bytes() };
}

/** Bytes of a message lie in the frame they came in; a small value kept for long must not keep the whole frame. */
function compact(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength > 2 * bytes.byteLength + 256
    ? Uint8Array.prototype.slice.call(bytes)
    : bytes;
}

/** What a description says about a value. */
export function stateOf(desc: ValueDesc): ObjectState {
  switch (desc[0]) {
    case ValueKind.Inline:
      return { kind: "inline", bytes: compact(desc[1]) };
    case ValueKind.Stored:
      return { kind: "stored", location: desc[1] };
    case ValueKind.Error:
      return { kind: "error", bytes: compact(desc[1]) };
    case ValueKind.Unknown:
      return lostState(desc[1]);
  }
}
