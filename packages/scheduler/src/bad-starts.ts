/** Environments in which a node could not start a worker a moment ago: what others offer goes elsewhere meanwhile. */

/** An environment is not tried again for others for so long. Milliseconds. */
const AVOID_MS = 5_000;

export class BadStarts {
  readonly #failed = new Map<string, { readonly at: number; readonly why: string }>();

  /** @param env of the ask, see `Ask.env` */
  add(env: string, error: Error, now: number): void {
    for (const [other, { at }] of this.#failed) if (now - at >= AVOID_MS) this.#failed.delete(other);
    this.#failed.set(env, { at: now, why: error.message });
  }

  /** Why it is not tried now; undefined if it may be. */
  reason(env: string, now: number): string | undefined {
    const failed = this.#failed.get(env);
    if (failed === undefined || now - failed.at >= AVOID_MS) return undefined;
    return `could not start a worker for it: ${failed.why}`;
  }
}
