/** Checking what users give as options: unknown names are refused with the nearest valid one, wrong types by name. */
import { InvalidOptionError } from "./errors.js";

/** Says what is wanted instead, or undefined where the value will do. */
export type OptionRule = (value: unknown) => string | undefined;
export type OptionRules = Readonly<Record<string, OptionRule>>;

const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A resource amount: 0 or more, finite. */
export const amount: OptionRule = (v) =>
  typeof v === "number" && Number.isFinite(v) && v >= 0 ? undefined : "a number from 0";
/** GPUs: a fraction below 1 (devices are shared) or a whole number. */
export const gpuAmount: OptionRule = (v) =>
  amount(v) ??
  ((v as number) < 1 || Number.isInteger(v) ? undefined : "a fraction below 1 or a whole number");
export const optionText: OptionRule = (v) =>
  typeof v === "string" && v !== "" ? undefined : "a text that is not empty";
export const optionBool: OptionRule = (v) => (typeof v === "boolean" ? undefined : "true or false");
export const wholeNumber: OptionRule = (v) =>
  Number.isSafeInteger(v) && (v as number) >= 0 ? undefined : "a whole number from 0";
export const positiveWhole: OptionRule = (v) =>
  Number.isSafeInteger(v) && (v as number) >= 1 ? undefined : "a whole number from 1";
/** A count that may also be Infinity. */
export const count: OptionRule = (v) =>
  v === Infinity || wholeNumber(v) === undefined ? undefined : "a whole number from 0, or Infinity";
export const positiveCount: OptionRule = (v) =>
  v === Infinity || positiveWhole(v) === undefined ? undefined : "a whole number from 1, or Infinity";
/** Milliseconds above 0. */
export const milliseconds: OptionRule = (v) =>
  typeof v === "number" && v > 0 && !Number.isNaN(v) ? undefined : "milliseconds, more than 0";
/** Longest distance to a time that is kept. Milliseconds: a hundred years. */
const MAX_AHEAD_MS = 100 * 365.25 * 24 * 3_600_000;
/** Milliseconds until something that is kept until then. */
export const millisecondsAhead: OptionRule = (v) =>
  milliseconds(v) === undefined && (v as number) <= MAX_AHEAD_MS
    ? undefined
    : "milliseconds, more than 0 and at most a hundred years";
/** The longest that a timer counts; a longer one would fire at once. Milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** A time limit as a timer can keep it: undefined where there is none, or one of more than 24 days. */
export const timerMs = (limit: number | undefined): number | undefined =>
  limit !== undefined && limit <= MAX_TIMER_MS ? limit : undefined;
export const finiteNumber: OptionRule = (v) => (Number.isFinite(v) ? undefined : "a number");
export const amounts: OptionRule = (v) =>
  isPlainObject(v) && Object.values(v).every((x) => amount(x) === undefined)
    ? undefined
    : "a map from resource to amount";
export const texts: OptionRule = (v) =>
  isPlainObject(v) && Object.values(v).every((x) => typeof x === "string")
    ? undefined
    : "a map from text to text";
export const textList: OptionRule = (v) =>
  Array.isArray(v) && v.every((x) => typeof x === "string") ? undefined : "a list of texts";
export const textOrList: OptionRule = (v) =>
  (typeof v === "string" && v !== "") ||
  (Array.isArray(v) && v.length > 0 && v.every((x) => typeof x === "string" && x !== ""))
    ? undefined
    : "a text or a list of texts";
export const abortSignal: OptionRule = (v) => (v instanceof AbortSignal ? undefined : "an AbortSignal");
export function choice(...allowed: readonly string[]): OptionRule {
  return (v) =>
    typeof v === "string" && allowed.includes(v) ? undefined : allowed.map((a) => `"${a}"`).join(" or ");
}
export function mapOfRule(rule: OptionRule, wanted: string): OptionRule {
  return (v) =>
    isPlainObject(v) && Object.values(v).every((x) => rule(x) === undefined)
      ? undefined
      : `a map from name to ${wanted}`;
}
/** An object with options of its own. */
export function nested(rules: OptionRules): OptionRule {
  return (v) => {
    if (!isPlainObject(v)) return `an object with ${Object.keys(rules).join(", ")}`;
    for (const [name, value] of Object.entries(v)) {
      const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
      if (rule === undefined) return `an object without "${name}"${suggestion(name, rules)}`;
      const wanted = value === undefined ? undefined : rule(value);
      if (wanted !== undefined) return `an object whose ${name} is ${wanted}`;
    }
    return undefined;
  };
}

/**
 * @param where what the options were given to, for the message, for example `remote(square)`
 * @throws InvalidOptionError for an unknown or ill-typed option. An option that is `undefined` counts as not given.
 */
export function checkOptions(where: string, rules: OptionRules, given: unknown): void {
  if (given === undefined) return;
  if (!isPlainObject(given))
    throw new InvalidOptionError(`${where}: options must be an object, got ${describe(given)}`);
  for (const [name, value] of Object.entries(given)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (rule === undefined) {
      throw new InvalidOptionError(`${where}: unknown option "${name}"${suggestion(name, rules)}`, {
        detail: { option: name },
      });
    }
    const wanted = value === undefined ? undefined : rule(value);
    if (wanted !== undefined) {
      throw new InvalidOptionError(`${where}: option "${name}" must be ${wanted}, got ${describe(value)}`, {
        detail: { option: name },
      });
    }
  }
}

function suggestion(name: string, rules: OptionRules): string {
  const names = Object.keys(rules);
  const nearest = nearestOf(name, names);
  return nearest === undefined ? `; the options are ${names.join(", ")}` : `; did you mean "${nearest}"?`;
}

/** The one of the names that was probably meant; undefined where none is near. */
export function nearestOf(name: string, names: readonly string[]): string | undefined {
  const given = name.toLowerCase();
  const [nearest] = names
    .map((n) => ({ n, lower: n.toLowerCase() }))
    .map(({ n, lower }) => ({ n, d: distance(given, lower), related: isRelated(given, lower) }))
    .filter(({ d, related }) => related || d <= Math.max(2, Math.floor(name.length / 2)))
    .sort((a, b) => a.d - b.d);
  return nearest?.n;
}

/** Shortest text that says something where it is part of another. */
const TELLING = 3;

/** Another form of the same word (`maxRetry`, `maxRetries`), or the word with something put before it. */
function isRelated(a: string, b: string): boolean {
  const shorter = a.length < b.length ? a : b;
  if (shorter.length < TELLING) return false;
  if (a.includes(b) || b.includes(a)) return true;
  let shared = 0;
  while (shared < shorter.length && a[shared] === b[shared]) shared++;
  return shared >= TELLING && shared >= shorter.length - 2;
}

/** A value for a message: short, never throwing. */
export function describe(value: unknown): string {
  if (typeof value === "string") return value.length > 40 ? `"${value.slice(0, 40)}…"` : `"${value}"`;
  if (typeof value === "function") return `a function${value.name ? ` (${value.name})` : ""}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) {
    const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
    return typeof name === "string" && name !== "Object" ? withArticle(name) : "an object";
  }
  return String(value);
}

const withArticle = (name: string): string => `${/^[AEIOU]/i.test(name) ? "an" : "a"} ${name}`;

/** What instances of a class of ours are called in messages, where users know them by another name. */
export function nameForMessages(cls: abstract new (...args: never[]) => object, name: string): void {
  Object.defineProperty(cls, "name", { value: name });
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(
        previous[j]! + 1,
        row[j - 1]! + 1,
        previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1),
      );
    }
    previous = row;
  }
  return previous[b.length]!;
}
