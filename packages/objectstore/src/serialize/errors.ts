/**
 * Errors. Written as: tag, u8 class (index in CLASSES), u8 which parts there are, then those parts in this order:
 * string registered class, string name, string message, string stack, string code and value detail and u8 retryable
 * (StingrayError only), value cause, value errors, varint count of { string name, value } own fields.
 */
import { StingrayError, ERROR_CLASSES, SerializationError } from "@stingray/protocol";
import type { Encoder } from "./encoder.js";
import { Tag } from "./format.js";

export const Part = { Registered: 1, Name: 2, Message: 4, Stack: 8, Cause: 16, Errors: 32 } as const;

/** On the wire by index. Append only. */
export const CLASSES = [
  "Error",
  "EvalError",
  "RangeError",
  "ReferenceError",
  "SyntaxError",
  "TypeError",
  "URIError",
  "AggregateError",
  "StingrayError",
  "DOMException",
] as const;
export type ErrorClass = (typeof CLASSES)[number];

const BUILT_IN = new Map<object, number>(
  [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, AggregateError].map(
    (cls, index) => [cls.prototype as object, index],
  ),
);
const STINGRAY = CLASSES.indexOf("StingrayError");
const DOM_EXCEPTION = CLASSES.indexOf("DOMException");

/** Own fields that travel in parts of their own. */
const OWN_PARTS = new Set(["name", "message", "stack", "cause", "errors"]);
const STINGRAY_PARTS = new Set([...OWN_PARTS, "code", "retryable", "detail"]);

interface Kind {
  readonly index: number;
  /** What it is called if its class can't be rebuilt. */
  readonly name: string | undefined;
}

function kindOf(error: Error): Kind {
  if (error instanceof DOMException) return { index: DOM_EXCEPTION, name: error.name };
  const ownName = Object.hasOwn(error, "name") ? error.name : undefined;
  const prototype = Object.getPrototypeOf(error) as object;
  const direct = BUILT_IN.get(prototype);
  if (direct !== undefined) return { index: direct, name: ownName };
  if (error instanceof StingrayError) {
    const known = ERROR_CLASSES.get(error.code);
    return { index: STINGRAY, name: known?.name === error.name ? undefined : error.name };
  }
  // A user's class: the nearest built-in ancestor, and its name, if need be from the class.
  let index = 0;
  let above: object | null = prototype;
  while (above !== null && !BUILT_IN.has(above)) above = Object.getPrototypeOf(above) as object | null;
  if (above !== null) index = BUILT_IN.get(above) as number;
  const inherited = String(error.name);
  const className = (error.constructor as { name?: unknown } | undefined)?.name;
  const isDefault = inherited === CLASSES[index] && typeof className === "string" && className !== "";
  return { index, name: isDefault ? className : inherited };
}

/** @param registered the name of its class, if that has a serializer without a codec */
export function writeError(encoder: Encoder, error: Error, registered: string | undefined): void {
  const { index, name } = kindOf(error);
  const sendName = registered === undefined || Object.hasOwn(error, "name") ? name : undefined;
  const hasMessage = Object.hasOwn(error, "message") || index === DOM_EXCEPTION;
  const stack: unknown = error.stack;
  const hasCause = Object.hasOwn(error, "cause");
  const hasErrors = Object.hasOwn(error, "errors");
  encoder.tag(Tag.Error);
  encoder.byte(index);
  encoder.byte(
    (registered === undefined ? 0 : Part.Registered) |
      (sendName === undefined ? 0 : Part.Name) |
      (hasMessage ? Part.Message : 0) |
      (typeof stack === "string" ? Part.Stack : 0) |
      (hasCause ? Part.Cause : 0) |
      (hasErrors ? Part.Errors : 0),
  );
  if (registered !== undefined) encoder.string(registered);
  if (sendName !== undefined) encoder.string(String(sendName));
  if (hasMessage) encoder.string(String(error.message));
  if (typeof stack === "string") encoder.string(stack);
  if (index === STINGRAY) {
    const { code, detail, retryable } = error as StingrayError;
    encoder.string(code);
    writeField(encoder, "detail", detail);
    encoder.byte(retryable ? 1 : 0);
  }
  if (hasCause) writeField(encoder, "cause", error.cause);
  if (hasErrors) writeField(encoder, "errors", (error as AggregateError).errors);
  const parts = index === STINGRAY ? STINGRAY_PARTS : OWN_PARTS;
  const names = Object.keys(error).filter((key) => !parts.has(key));
  encoder.count(names.length);
  for (const key of names) {
    encoder.string(key);
    writeField(encoder, key, (error as unknown as Record<string, unknown>)[key]);
  }
}

/**
 * An error often drags along what can't be sent (sockets, callbacks). It must arrive all the same, so such a field
 * is replaced by a text that says what was there.
 */
function writeField(encoder: Encoder, name: string, value: unknown): void {
  const mark = encoder.mark();
  try {
    encoder.child(name, value);
  } catch (thrown) {
    if (!(thrown instanceof SerializationError)) throw thrown;
    encoder.rollback(mark);
    encoder.child(name, `[not sent: ${thrown.message}]`);
  }
}
