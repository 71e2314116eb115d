/** Reminders as users give them: calls that an actor with a durable mailbox gets at a time. */
import {
  finiteNumber,
  millisecondsAhead,
  optionText,
  type OptionRule,
  type OptionRules,
} from "./option-check.js";

/** When a reminder comes. One of them, or `everyMs` with a first time given by `delayMs` or `at`. */
export interface ReminderTime {
  /** After so many milliseconds. */
  delayMs?: number | undefined;
  /** At a time; one that is past comes at once. In milliseconds since 1970, or a Date. */
  at?: number | Date | undefined;
  /** Again and again, so many milliseconds apart, at least 1. @defaultValue the first one after as many */
  everyMs?: number | undefined;
  /** Again and again: a cron expression of five fields (minute, hour, day, month, weekday) or six (second first). */
  cron?: string | undefined;
  /** Of the cron expression: an IANA name such as "Europe/Paris". @defaultValue "UTC" */
  timeZone?: string | undefined;
}

/** Names the reminder among those of its actor; one of the same name is replaced. */
interface ReminderName {
  name: string;
}

type Callable = (...args: never[]) => unknown;
type MethodOf<T, K extends keyof T> = T[K] extends (...args: infer A) => unknown
  ? [] extends A
    ? { method: K; args?: Readonly<A> | undefined }
    : { method: K; args: Readonly<A> }
  : never;

/** A method of an actor class, with arguments that fit it. */
export type ReminderCall<T> = {
  [K in keyof T & string]: T[K] extends Callable ? MethodOf<T, K> : never;
}[keyof T & string];

/** A call of `T` that comes at a time: by `setReminder`. */
export type Reminder<T> = ReminderName & ReminderTime & ReminderCall<T>;

/** Any class, where none is given. */
export type AnyActor = Record<string, (...args: unknown[]) => unknown>;

/** The same where the class is not looked at. */
export interface LooseReminder extends ReminderName, ReminderTime {
  method: string;
  args?: readonly unknown[] | undefined;
}

/** A reminder that is set, by `listReminders`. Times in milliseconds since 1970, by the clock of the agents. */
export interface ReminderView {
  name: string;
  method: string;
  /** When it comes next. */
  nextAt: number;
  everyMs?: number | undefined;
  cron?: string | undefined;
  timeZone?: string | undefined;
  /** How often it has come. */
  fired: number;
}

/** The end of the year 9999. Milliseconds since 1970. */
const LAST_TIME = 253_402_300_799_999;
const time: OptionRule = (v) => {
  const ms: unknown = v instanceof Date ? v.getTime() : v;
  return finiteNumber(ms) === undefined && Math.abs(ms as number) <= LAST_TIME
    ? undefined
    : "milliseconds since 1970 or a valid Date, at most in the year 9999";
};
const reminderName: OptionRule = (v) =>
  optionText(v) ??
  ((v as string).length <= 256 && !(v as string).startsWith("=")
    ? undefined
    : `a text of at most 256 characters that does not begin with "="`);
const argList: OptionRule = (v) => (Array.isArray(v) ? undefined : "a list of arguments");

export const REMINDER_RULES: OptionRules = {
  name: reminderName,
  method: optionText,
  args: argList,
  delayMs: millisecondsAhead,
  at: time,
  everyMs: (v) => millisecondsAhead(v) ?? ((v as number) >= 1 ? undefined : "milliseconds, at least 1"),
  cron: optionText,
  timeZone: optionText,
};
