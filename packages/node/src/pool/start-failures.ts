/** Environments whose workers can't be started: not tried again and again for nothing. */
import { RuntimeEnvError, type StingrayError } from "@stingray/protocol";

/** As many in a row may fail before there are pauses. */
const FREE = 3;
/** The first pause, in milliseconds; each further failure doubles it. */
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 30_000;
/** Environments that are remembered. */
const REMEMBERED = 1_000;

interface Failures {
  inARow: number;
  at: number;
  last: StingrayError;
}

/** What failed in a row, by environment. Times in milliseconds, on a clock that never goes back. */
export class StartFailures {
  private readonly byEnv = new Map<string, Failures>();

  /** @param startedAt of two that fail side by side only the first counts */
  failed(env: string, error: StingrayError, startedAt: number, now: number): void {
    const known = this.byEnv.get(env);
    if (known !== undefined && startedAt < known.at) return;
    this.byEnv.delete(env); // the newest at the end
    this.byEnv.set(env, { inARow: (known?.inARow ?? 0) + 1, at: now, last: error });
    for (const oldest of this.byEnv.keys()) {
      if (this.byEnv.size <= REMEMBERED) break;
      this.byEnv.delete(oldest);
    }
  }

  succeeded(env: string): void {
    this.byEnv.delete(env);
  }

  /** Why no worker of this environment is started now; undefined if one may be. */
  refusal(env: string, now: number): RuntimeEnvError | undefined {
    const known = this.byEnv.get(env);
    if (known === undefined || known.inARow < FREE) return undefined;
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** (known.inARow - FREE), MAX_PAUSE_MS);
    const left = Math.ceil(known.at + pause - now);
    if (left <= 0) return undefined;
    return new RuntimeEnvError(
      `${known.inARow} workers of this environment in a row could not be prepared; the next one is tried in ${left} ms. ` +
        `The last time: ${known.last.message}`,
      { cause: known.last, detail: known.last.detail },
    );
  }
}
