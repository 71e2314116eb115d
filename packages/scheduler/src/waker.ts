/** One timer for all that only time can change. Nothing is set while nobody waits. */
import type { LeaseEffects } from "./types.js";

/** `soon`: somebody waits while leases are held. `later`: somebody waits. `someday`: only old notes to be cleared. */
export type Urgency = "soon" | "later" | "someday" | "never";

const PERIOD_MS: Record<Exclude<Urgency, "never">, number> = { soon: 50, later: 250, someday: 5_000 };

export class Waker {
  #cancel: (() => void) | undefined;
  #dueAt = Infinity;

  constructor(
    private readonly effects: Pick<LeaseEffects, "now" | "defer">,
    private readonly wake: () => void,
  ) {}

  /** Wakes at the latest after the period of the urgency; a timer that is set already is only ever brought forward. */
  set(urgency: Urgency): void {
    if (urgency === "never") return this.stop();
    const at = this.effects.now() + PERIOD_MS[urgency];
    if (at >= this.#dueAt) return undefined;
    this.stop();
    this.#dueAt = at;
    this.#cancel = this.effects.defer(PERIOD_MS[urgency], () => {
      this.#cancel = undefined;
      this.#dueAt = Infinity;
      this.wake();
    });
    return undefined;
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#dueAt = Infinity;
  }
}
