/** What ends a wait early: the options of `get`, `wait` and their kin. */
import { abortSignal, milliseconds, type OptionRules } from "@stingray/protocol";

/** What ends a wait early. */
export interface WaitOptions {
  /** Milliseconds; 0 looks without waiting. @defaultValue no limit */
  timeoutMs?: number | undefined;
  /** Ends the wait with its reason; what was waited for goes on. */
  signal?: AbortSignal | undefined;
}
export const WAIT_RULES: OptionRules = {
  timeoutMs: (v) => (v === 0 ? undefined : milliseconds(v)),
  signal: abortSignal,
};
