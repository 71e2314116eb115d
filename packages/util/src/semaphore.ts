/** `Semaphore`: so many at a time, over all processes. */
import { kill, type ActorHandle } from "@stingray/actor";
import { ConnectionError, InvalidOptionError, StingrayError, describe } from "@stingray/protocol";
import { get, type WaitOptions } from "@stingray/task";
import { ask, outOfTime } from "./asking.js";
import {
  Existing,
  WIRE,
  checkUtility,
  registerUtility,
  utilityClass,
  utilityOptions,
  wireForm,
  type UtilityOptions,
} from "./made-of.js";
import { SemaphoreActor } from "./semaphore-actor.js";

/** Of a semaphore. */
export type SemaphoreOptions = UtilityOptions;

const RemoteSemaphore = utilityClass(SemaphoreActor);
const TAG = "semaphore";

/** A share in a semaphore, held by this process: `await using permit = await semaphore.acquire()`. */
export interface Permit extends AsyncDisposable {
  /** Gives it back, once; resolves when it is back. */
  release(): Promise<void>;
}

/**
 * A number of permits that live in an actor; who asks first is served first. It may be passed to tasks and actors. Permits
 * belong to the process that acquired them: those of a process that ends, however it ends, or that can't be reached any
 * more, come back. They do not come back when only a task ends: release them, or use `await using`.
 */
export class Semaphore implements AsyncDisposable {
  readonly #actor: ActorHandle<SemaphoreActor>;

  /**
   * @param permits how many may be held at a time, a whole number from 1
   * @throws NotInitializedError; InvalidOptionError
   */
  constructor(permits: number, options: SemaphoreOptions = {}) {
    if (options instanceof Existing) {
      this.#actor = (options as Existing<SemaphoreActor>).handle;
      return;
    }
    if (!Number.isSafeInteger(permits) || permits < 1)
      throw new InvalidOptionError(
        `new Semaphore(): permits must be a whole number from 1, got ${describe(permits)}`,
      );
    checkUtility("new Semaphore()", {}, options);
    this.#actor = RemoteSemaphore.options(utilityOptions("new Semaphore()", options)).remote(permits);
  }

  /**
   * Waits for a permit.
   * @throws TimeoutError, and then none is held; the signal's reason; ActorDiedError
   */
  async acquire(options: WaitOptions = {}): Promise<Permit> {
    const permit = await this.#acquire("Semaphore.acquire()", options, false);
    if (permit === undefined)
      throw outOfTime("Semaphore.acquire()", options.timeoutMs, "all permits are held by others");
    return permit;
  }

  /** A permit if one is free and nobody waits for it; else undefined. @throws ActorDiedError */
  tryAcquire(): Promise<Permit | undefined> {
    return this.#acquire("Semaphore.tryAcquire()", {}, true);
  }

  /** How many permits nobody holds. @throws ActorDiedError */
  available(): Promise<number> {
    return get(this.#actor.available.remote());
  }

  /** Ends the semaphore for everybody; those that wait fail with ActorDiedError. */
  async [Symbol.asyncDispose](): Promise<void> {
    await kill(this.#actor);
  }

  [WIRE](): ReturnType<typeof wireForm> {
    return wireForm(TAG, this.#actor);
  }

  async #acquire(what: string, options: WaitOptions, now: boolean): Promise<Permit | undefined> {
    const { id, answer } = await ask({
      what,
      handle: this.#actor,
      method: this.#actor.acquire,
      args: [],
      options,
      now,
      takeBack: (call) => this.#actor.release.remote(call),
    });
    if (answer === "timeout") return undefined;
    if (answer !== "done")
      throw new ConnectionError(
        `${what} was given up: the semaphore's actor has lost sight of this process; try again`,
      );
    let released: Promise<void> | undefined;
    const release = (): Promise<void> => (released ??= this.#release(id));
    return { release, [Symbol.asyncDispose]: release };
  }

  async #release(id: number): Promise<void> {
    try {
      await get(this.#actor.release.remote(id));
    } catch (error) {
      // With the actor's process all permits are gone.
      if (!(error instanceof StingrayError)) throw error;
    }
  }
}

/** How semaphores come back inside values. */
export function registerSemaphores(): void {
  registerUtility<SemaphoreActor>(TAG, (existing) => new Semaphore(1, existing as SemaphoreOptions));
}
