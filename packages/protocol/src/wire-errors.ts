/** Errors of our own parts, to and from their form on the wire. */
import { ERROR_CLASSES, ErrorCode, StingrayError, errorTexts, toError, type ErrorDetail } from "./errors.js";
import { wireErrorCheck, type WireError } from "./messages/wire-error.js";

/** The depth to which causes are followed. */
const MAX_CAUSES = 8;

export function encodeError(thrown: unknown, depth = 0): WireError {
  const error = toError(thrown);
  const { name, message, stack } = errorTexts(error);
  const wire: WireError =
    error instanceof StingrayError
      ? { code: error.code, message }
      : { code: ErrorCode.StingrayError, message, name: name === "Error" ? className(error) : name };
  if (stack !== undefined) wire.stack = stack;
  if (error instanceof StingrayError && Object.keys(error.detail).length > 0)
    wire.detail = { ...error.detail };
  if (error.cause !== undefined && depth < MAX_CAUSES) wire.cause = encodeError(error.cause, depth + 1);
  return wire;
}

/** An error that was written down as JSON; undefined for anything else. */
export function decodeWireError(json: Uint8Array): WireError | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(json));
    return wireErrorCheck()(value, "error");
  } catch {
    return undefined;
  }
}

/** The error rebuilt in its own class; an unknown code (a newer peer) becomes a StingrayError that names it. */
export function decodeError(wire: WireError): StingrayError {
  const cls = ERROR_CLASSES.get(wire.code);
  const options: { cause?: unknown; detail?: ErrorDetail } = {};
  if (wire.cause !== undefined) options.cause = decodeCause(wire.cause);
  if (wire.detail !== undefined) options.detail = wire.detail as ErrorDetail;
  const error = new (cls ?? StingrayError)(cls ? wire.message : `${wire.code}: ${wire.message}`, options);
  if (wire.stack !== undefined) error.stack = wire.stack;
  return error;
}

const NATIVE: ReadonlyMap<string, ErrorConstructor> = new Map(
  [RangeError, ReferenceError, SyntaxError, TypeError, URIError, EvalError].map((cls) => [cls.name, cls]),
);

/** What user code threw is an error of its own kind again; of a class that is not known here, an Error under its name. */
export function decodeCause(wire: WireError): Error {
  if (wire.name === undefined) return decodeError(wire);
  const options = wire.cause === undefined ? undefined : { cause: decodeCause(wire.cause) };
  const error = new (NATIVE.get(wire.name) ?? Error)(wire.message, options);
  if (error.name !== wire.name)
    Object.defineProperty(error, "name", { value: wire.name, configurable: true, writable: true });
  if (wire.stack !== undefined) error.stack = wire.stack;
  return error;
}

/** A subclass that sets no name of its own is told by that of its class. */
function className(error: Error): string {
  const own: unknown = (Object.getPrototypeOf(error) as { constructor?: { name?: unknown } } | null)
    ?.constructor?.name;
  return typeof own === "string" && own !== "" ? own : "Error";
}
