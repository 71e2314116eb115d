/** Waiting for what another process does: polls with a deadline, never a bare sleep. */
import { readFileSync } from "node:fs";

/** Resolves when `check` returns something true; fails with the last reason after `timeoutMs`. */
export async function eventually<T>(
  check: () => T | Promise<T>,
  what: string,
  timeoutMs = 15_000,
): Promise<Exclude<T, false | 0 | "" | null | undefined>> {
  const deadline = performance.now() + timeoutMs;
  let reason: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value) return value as Exclude<T, false | 0 | "" | null | undefined>;
      reason = value;
    } catch (error) {
      reason = error;
    }
    if (performance.now() > deadline)
      throw new Error(`${what}: not within ${timeoutMs} ms (${String(reason)})`, { cause: reason });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Whether a process runs; one that ended and was not yet collected does not. */
export function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX] /s.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}
