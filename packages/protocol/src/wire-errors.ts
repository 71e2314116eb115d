/** Errors of our own parts, to and from their form on the wire. */
import { ERROR_CLASSES, ErrorCode, StingrayError, toError, type ErrorDetail } from "./errors.js";
import type { WireError } from "./messages/wire-error.js";

/** The depth to which causes are followed. */
const MAX_CAUSES = 8;

export function encodeError(thrown: unknown, depth = 0): WireError {
  const error = toError(thrown);
  const wire: WireError = {
    code: error instanceof StingrayError ? error.code : ErrorCode.StingrayError,
    message: error.message,
  };
  if (error.stack !== undefined) wire.stack = error.stack;
  if (error instanceof StingrayError && Object.keys(error.detail).length > 0)
    wire.detail = { ...error.detail };
  if (error.cause !== undefined && depth < MAX_CAUSES) wire.cause = encodeError(error.cause, depth + 1);
  return wire;
}

/** The error rebuilt in its own class; an unknown code (a newer peer) becomes a StingrayError that names it. */
export function decodeError(wire: WireError): StingrayError {
  const cls = ERROR_CLASSES.get(wire.code);
  const options: { cause?: unknown; detail?: ErrorDetail } = {};
  if (wire.cause !== undefined) options.cause = decodeError(wire.cause);
  if (wire.detail !== undefined) options.detail = wire.detail as ErrorDetail;
  const error = new (cls ?? StingrayError)(cls ? wire.message : `${wire.code}: ${wire.message}`, options);
  if (wire.stack !== undefined) error.stack = wire.stack;
  return error;
}
