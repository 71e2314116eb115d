/** Waiting for what another process does: polls with a deadline, never a bare sleep. */

/** Resolves when `check` returns something true; fails with the last reason after `timeoutMs`. */
export async function eventually<T>(
  check: () => T | Promise<T>,
  what: string,
  timeoutMs = 5_000,
): Promise<Exclude<T, false | 0 | "" | null | undefined>> {
  const deadline = Date.now() + timeoutMs;
  let reason: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value) return value as Exclude<T, false | 0 | "" | null | undefined>;
      reason = value;
    } catch (error) {
      reason = error;
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`, { cause: reason });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What a promise rejects with; fails if it does not. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`resolved with ${String(value)} instead of rejecting`);
    },
    (error: unknown) => error,
  );
}
