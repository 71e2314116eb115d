/** Errors between our own parts. (Errors of user code travel as encoded values.) */
import { mapOf, optional, record, text, unknown, type Check } from "../check.js";

export interface WireError {
  code: string;
  message: string;
  /** Of an error that is none of ours, such as one of user code: `RangeError`. */
  name?: string | undefined;
  stack?: string | undefined;
  detail?: Record<string, unknown> | undefined;
  cause?: WireError | undefined;
}
export function wireErrorCheck(): Check<WireError> {
  const check: Check<WireError> = (value, at) =>
    record<WireError>({
      code: text,
      message: text,
      name: optional(text),
      stack: optional(text),
      detail: optional(mapOf(unknown)),
      cause: optional(check),
    })(value, at);
  return check;
}
