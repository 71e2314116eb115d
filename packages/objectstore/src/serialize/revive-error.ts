/** Rebuilds errors; errors.ts has the format. */
import { ERROR_CLASSES, SerializationError, StingrayError } from "@stingray/protocol";
import type { Decoder } from "./decoder.js";
import { CLASSES, Part, type ErrorClass } from "./errors.js";
import { registeredByName } from "./registry.js";

type Simple = Exclude<ErrorClass, "StingrayError" | "DOMException" | "AggregateError">;
const BUILT_IN: Readonly<Record<Simple, new (message?: string) => Error>> = {
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

export function readError(decoder: Decoder): object {
  const cls = CLASSES[decoder.byte()];
  if (cls === undefined) throw decoder.bad("an unknown class of errors");
  const parts = decoder.byte();
  const has = (part: number): boolean => (parts & part) !== 0;
  const registered = has(Part.Registered) ? decoder.name() : undefined;
  const name = has(Part.Name) ? decoder.name() : undefined;
  const message = has(Part.Message) ? decoder.name() : undefined;
  const stack = has(Part.Stack) ? decoder.name() : undefined;
  const code = cls === "StingrayError" ? decoder.name() : undefined;
  const error = withoutStack(() => create(cls, message, name, code));
  decoder.made(error);
  if (registered !== undefined) setPrototype(error, registered);
  if (name !== undefined && cls !== "DOMException") hidden(error, "name", name);
  hidden(error, "stack", stack);
  if (code !== undefined) {
    const detail = decoder.value();
    if (typeof detail === "object" && detail !== null) overwrite(error, "detail", detail);
    overwrite(error, "retryable", decoder.byte() !== 0);
    overwrite(error, "code", code);
  }
  if (has(Part.Cause)) hidden(error, "cause", decoder.value());
  if (has(Part.Errors)) hidden(error, "errors", decoder.value());
  return decoder.fieldsInto(error);
}

function create(
  cls: ErrorClass,
  message: string | undefined,
  name: string | undefined,
  code: string | undefined,
): Error {
  if (cls === "StingrayError") return new (ERROR_CLASSES.get(code ?? "") ?? StingrayError)(message ?? "");
  if (cls === "DOMException") return new DOMException(message, name);
  if (cls === "AggregateError") return new AggregateError([], message);
  return new BUILT_IN[cls](message);
}

/** The stack of the rebuilding is of no use, and taking it is slow. */
function withoutStack(run: () => Error): Error {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return run();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

function setPrototype(error: Error, name: string): void {
  const registration = registeredByName(name);
  if (registration === undefined) {
    throw new SerializationError(
      `the value has an error of class ${name}, which this process does not know: call registerSerializer(${name}) in a module that the receiver imports too`,
      { detail: { class: name } },
    );
  }
  Object.setPrototypeOf(error, registration.prototype);
}

const hidden = (error: Error, key: string, value: unknown): void => {
  Object.defineProperty(error, key, { value, writable: true, enumerable: false, configurable: true });
};
const overwrite = (error: Error, key: string, value: unknown): void => {
  Object.defineProperty(error, key, { value, writable: true, enumerable: true, configurable: true });
};
