/** What ends a wait early: the options of `get`, `wait` and their kin. */
import { abortSignal, milliseconds, type OptionRules } from "@stingray/protocol";

/** What ends a wait early. */
export interface WaitOptions {
  /** Milliseconds; 0 looks without waiting. @defaultValue no limit */
  timeoutMs?: number | undefined;
  /** Ends the wait with its reason; what was waited for goes on. */
  signal?: AbortSignal | undefined;
}

/** The same options with what is left of their time. @param end of it, by `performance.now()` */
export function timeLeft(options: WaitOptions, end: number): WaitOptions {
  if (options.timeoutMs === undefined) return options;
  return { ...options, timeoutMs: Math.max(0, Math.ceil(end - performance.now())) };
}

export const WAIT_RULES: OptionRules = {
  timeoutMs: (v) => (v === 0 ? undefined : milliseconds(v)),
  signal: abortSignal,
};
