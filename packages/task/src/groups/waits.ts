/** Waits for what an agent is asked for. */
import { ConnectionError } from "@stingray/protocol";
import type { Runtime } from "../runtime.js";

/** How often it is asked of another agent when the one that was asked is gone. */
const MOST_TRIES = 5;
/** Before it is asked again, twice as long each time. Milliseconds. */
const FIRST_PAUSE_MS = 50;
/** How long another agent is waited for, in milliseconds. */
const REACH_MS = 10_000;

/** Asks again while an agent is to be had: the one that was asked may have died meanwhile. */
export async function retried<T>(
  runtime: Runtime,
  signal: AbortSignal | undefined,
  ask: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      const again = error instanceof ConnectionError && tries < MOST_TRIES && signal?.aborted !== true;
      if (!again) throw error;
      // An agent that is there may be without the broker for a moment: asked at once, it would say the same.
      await new Promise((over) => setTimeout(over, FIRST_PAUSE_MS * 2 ** tries));
      if (!(await runtime.home.reached(REACH_MS))) throw error;
    }
  }
}

/** The promise, or a rejection with the signal's reason. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
