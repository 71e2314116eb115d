/** Errors as values: what a task threw, for whoever gets its result. */
import { decode, encode } from "@stingray/objectstore";
import { StingrayError, decodeError, errorTexts, toError } from "@stingray/protocol";

/** An error as a value. One that can't be sent as it is goes with its message, name and stack only. */
export function encodeThrown(error: Error): Uint8Array {
  try {
    return encode(error, { path: "error" }).bytes();
  } catch {
    const { name, message, stack } = errorTexts(error);
    const plain =
      error instanceof StingrayError ? decodeError({ code: error.code, message }) : new Error(message);
    if (!(error instanceof StingrayError)) plain.name = name;
    if (stack !== undefined) plain.stack = stack;
    return encode(plain).bytes();
  }
}

/** The inverse of {@link encodeThrown}. */
export function decodeThrown(bytes: Uint8Array): Error {
  return toError(decode(bytes, { views: false }));
}
