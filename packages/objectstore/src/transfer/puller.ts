/** What a process needs to get objects from others, and to upload its own: connections, limits, pulls, pushes. */
import type { DataAddress } from "@stingray/protocol";
import { Budget } from "./budget.js";
import { PULL_LIMITS, type PullLimits } from "./limits.js";
import { Pool } from "./pool.js";
import { Pull, type PullOptions } from "./pull.js";
import { Push, type PushOptions } from "./push.js";

export interface PullerOptions extends Partial<PullLimits> {
  /** This process. Others know it by this name, and `accept` of a data port gets it as `peer`. */
  readonly name: string;
  /** The data port of this process, where others may be sent for what it has. Default: it serves nobody. */
  readonly serves?: (() => DataAddress | undefined) | undefined;
}

export class Puller {
  readonly #name: string;
  readonly #limits: PullLimits;
  readonly #pool: Pool;
  readonly #budget: Budget;

  constructor(options: PullerOptions) {
    const { name, serves, ...limits } = options;
    this.#name = name;
    const given = Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
    this.#limits = { ...PULL_LIMITS, ...given };
    this.#pool = new Pool({ name, serves: serves ?? (() => undefined), limits: this.#limits });
    this.#budget = new Budget(this.#limits.inFlightBytes);
  }

  /** Bytes that were asked for and are not here. */
  get inFlight(): number {
    return this.#budget.taken;
  }

  /**
   * Fetches an object, or what is missing of it, from all sources at once. Once it has settled, however it did, nothing
   * is written to `into` any more.
   * @throws ObjectLostError if no source is left, `detail`: `object`, `sources` with the reason of each; the signal's reason
   */
  pull(options: PullOptions): Promise<void> {
    return new Pull(this.#name, this.#pool, this.#budget, this.#limits, options).run();
  }

  /**
   * Uploads an object that this process has created there. Resolves when all of it is there.
   * @throws ObjectLostError if it is not expected there; ConnectionError if nothing can be reached; the signal's reason
   */
  push(options: PushOptions): Promise<void> {
    return new Push(this.#pool, this.#limits, options).run();
  }

  /** Ends all connections; what is under way fails. */
  close(): void {
    this.#pool.close();
  }
}
