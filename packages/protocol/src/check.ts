/**
 * Small checking decoders for what comes off the wire. A checker returns the value, typed, or throws
 * `ProtocolError` naming where it was wrong; the edge (one place in the RPC layer) catches, counts and answers.
 * They build no new objects for what is already right: hot messages are checked, not copied.
 */
import { ProtocolError } from "./errors.js";

/** Returns `value` as `T`, or throws `ProtocolError` with `at` in its text. */
export type Check<T> = (value: unknown, at: string) => T;
/** The type that a checker yields. */
export type Checked<C> = C extends Check<infer T> ? T : never;

function fail(at: string, wanted: string, value: unknown): never {
  const got = value === null ? "null" : Array.isArray(value) ? `array of ${value.length}` : typeof value;
  throw new ProtocolError(`malformed message: ${at} must be ${wanted}, got ${got}`);
}

/** Longest text accepted in a message, in UTF-16 units. Bulk data travels as bytes. */
export const MAX_TEXT = 1 << 20;

export const text: Check<string> = (value, at) =>
  typeof value === "string" && value.length <= MAX_TEXT
    ? value
    : fail(at, "text of at most 1 Mi units", value);

export const uint: Check<number> = (value, at) =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0
    ? value
    : fail(at, "a whole number from 0", value);

export const number: Check<number> = (value, at) =>
  typeof value === "number" ? value : fail(at, "a number", value);

/** A number that can be compared and added up: neither NaN nor without end. */
export const finite: Check<number> = (value, at) =>
  typeof value === "number" && Number.isFinite(value) ? value : fail(at, "a finite number", value);

/** The most that there may be of a resource; of memory, which is counted in bytes. */
export const MAX_AMOUNT = 1e11;
export const MAX_MEMORY_BYTES = 1e13;

/** What is there of each resource, in the user's units: named, from 0 to the most that can be counted. */
export const resourceAmounts: Check<Record<string, number>> = (value, at) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) fail(at, "a map", value);
  for (const [name, amount] of Object.entries(value)) {
    const most = name === "memory" ? MAX_MEMORY_BYTES : MAX_AMOUNT;
    if (name === "") fail(at, "a map with names", value);
    if (!(typeof amount === "number" && amount >= 0 && amount <= most))
      fail(`${at}.${name}`, `a number from 0 to ${most}`, amount);
  }
  return value as Record<string, number>;
};

export const bool: Check<boolean> = (value, at) =>
  typeof value === "boolean" ? value : fail(at, "true or false", value);

export const bytes: Check<Uint8Array> = (value, at) =>
  value instanceof Uint8Array ? value : fail(at, "bytes", value);

/** Anything; for bodies that are checked later. */
export const unknown: Check<unknown> = (value) => value;

export function optional<T>(check: Check<T>): Check<T | undefined> {
  return (value, at) => (value === undefined || value === null ? undefined : check(value, at));
}

export function oneOf<const T extends string | number>(...allowed: readonly T[]): Check<T> {
  const set = new Set<unknown>(allowed);
  return (value, at) => (set.has(value) ? (value as T) : fail(at, allowed.join(" or "), value));
}

/** A value that a predicate accepts, such as one of the id shapes. */
export function shape<T>(is: (value: unknown) => value is T, wanted: string): Check<T> {
  return (value, at) => (is(value) ? value : fail(at, wanted, value));
}

/**
 * Checks items in order. Where each lies is only put into words when one of them fails, by checking that one again:
 * hot messages pay nothing for texts that nobody reads.
 */
function eachAt(
  items: readonly unknown[],
  count: number,
  checkOf: (i: number) => Check<unknown>,
  at: string,
): void {
  let i = 0;
  try {
    for (; i < count; i++) checkOf(i)(items[i], at);
  } catch (error) {
    checkOf(i)(items[i], `${at}[${i}]`);
    throw error;
  }
}

/** An array whose items all pass. `max` bounds what a peer can make us loop over. */
export function list<T>(check: Check<T>, max = 1_000_000): Check<T[]> {
  return (value, at) => {
    if (!Array.isArray(value) || value.length > max) fail(at, `an array of at most ${max}`, value);
    eachAt(value, value.length, () => check, at);
    return value as T[];
  };
}

/** An array of at least as many items as checkers (a newer peer may send more), each passing its own. */
export function tuple<T extends unknown[]>(...checks: { [K in keyof T]: Check<T[K]> }): Check<T> {
  return (value, at) => {
    if (!Array.isArray(value)) fail(at, "an array", value);
    eachAt(value, checks.length, (i) => checks[i] as Check<unknown>, at);
    return value as unknown as T;
  };
}

/** A plain map with the named fields, each passing its own; other fields are left alone (a newer peer may send more). */
export function record<T extends object>(fields: { [K in keyof T]-?: Check<T[K]> }): Check<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  return (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) fail(at, "a map", value);
    const out = value as Record<string, unknown>;
    let i = 0;
    try {
      for (; i < names.length; i++) {
        const name = names[i] as keyof T & string;
        // An absent option is absent, not null.
        if (fields[name](out[name], at) === undefined && name in out) delete out[name];
      }
    } catch (error) {
      const name = names[i] as keyof T & string;
      fields[name](out[name], `${at}.${name}`);
      throw error;
    }
    return value as T;
  };
}

/** A plain map from text to values that all pass. */
export function mapOf<T>(check: Check<T>): Check<Record<string, T>> {
  return (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) fail(at, "a map", value);
    const items = value as Record<string, unknown>;
    let failing = "";
    try {
      for (failing of Object.keys(items)) check(items[failing], at);
    } catch (error) {
      check(items[failing], `${at}.${failing}`);
      throw error;
    }
    return value as Record<string, T>;
  };
}
