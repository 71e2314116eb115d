/** What a process needs to get objects from others, and to upload its own: connections, limits, pulls, pushes. */
import { ConnectionError, type DataAddress } from "@stingray/protocol";
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
  readonly #running = new Set<AbortController>();
  #closed = false;

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
    return this.#run(options.signal, (signal) =>
      new Pull(this.#name, this.#pool, this.#budget, this.#limits, { ...options, signal }).run(),
    );
  }

  /**
   * Uploads an object that this process has created there. Resolves when all of it is there.
   * @throws ObjectLostError if it is not expected there; ConnectionError if nothing can be reached; ProtocolError if it arrives damaged again and again; the signal's reason
   */
  push(options: PushOptions): Promise<void> {
    return this.#run(options.signal, (signal) =>
      new Push(this.#pool, this.#limits, { ...options, signal }).run(),
    );
  }

  /** Ends all connections; what is under way fails with a ConnectionError. */
  close(): void {
    this.#closed = true;
    for (const own of this.#running) own.abort(closed());
    this.#pool.close();
  }

  async #run(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.#closed) throw closed();
    const own = new AbortController();
    const abort = (): void => own.abort(signal?.reason);
    if (signal?.aborted === true) abort();
    signal?.addEventListener("abort", abort, { once: true });
    this.#running.add(own);
    try {
      await work(own.signal);
    } finally {
      this.#running.delete(own);
      signal?.removeEventListener("abort", abort);
    }
  }
}

function closed(): ConnectionError {
  return new ConnectionError("this process takes no part in transfers any more");
}
