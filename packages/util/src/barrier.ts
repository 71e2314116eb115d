/** `Barrier`: waits until so many have come, again and again. */
import { kill, type ActorHandle } from "@stingray/actor";
import { ConnectionError, InvalidOptionError, describe } from "@stingray/protocol";
import { get, type WaitOptions } from "@stingray/task";
import { ask, outOfTime } from "./asking.js";
import { BarrierActor } from "./barrier-actor.js";
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

/** Of a barrier. */
export type BarrierOptions = UtilityOptions;

const RemoteBarrier = utilityClass(BarrierActor);
const TAG = "barrier";

/**
 * A place where a number of parties wait for each other; when the last has come all go on, and the next round begins. It
 * lives in an actor and may be passed to tasks and actors. The place of one that gives up, or whose process ends, while
 * it waits is free again: the others go on waiting until somebody else takes it.
 */
export class Barrier implements AsyncDisposable {
  readonly #actor: ActorHandle<BarrierActor>;

  /**
   * @param parties how many wait for each other, a whole number from 1
   * @throws NotInitializedError; InvalidOptionError
   */
  constructor(parties: number, options: BarrierOptions = {}) {
    if (options instanceof Existing) {
      this.#actor = (options as Existing<BarrierActor>).handle;
      return;
    }
    if (!Number.isSafeInteger(parties) || parties < 1)
      throw new InvalidOptionError(
        `new Barrier(): parties must be a whole number from 1, got ${describe(parties)}`,
      );
    checkUtility("new Barrier()", {}, options);
    this.#actor = RemoteBarrier.options(utilityOptions("new Barrier()", options)).remote(parties);
  }

  /**
   * Waits for the others. Resolves with this one's place in the order of arrival, from 0.
   * @throws TimeoutError or the signal's reason, and then its place is free again; ActorDiedError
   */
  async wait(options: WaitOptions = {}): Promise<number> {
    const what = "Barrier.wait()";
    const { answer } = await ask({
      what,
      handle: this.#actor,
      method: this.#actor.wait,
      args: [],
      options,
      takeBack: (call) => this.#actor.drop.remote(call),
    });
    if (answer === "timeout") throw outOfTime(what, options.timeoutMs, "not all parties have come");
    if (typeof answer !== "number")
      throw new ConnectionError(
        `${what} was given up: the barrier's actor has lost sight of this process; try again`,
      );
    return answer;
  }

  /** How many wait now. @throws ActorDiedError */
  waiting(): Promise<number> {
    return get(this.#actor.waiting.remote());
  }

  /** Ends the barrier for everybody; those that wait fail with ActorDiedError. */
  async [Symbol.asyncDispose](): Promise<void> {
    await kill(this.#actor);
  }

  [WIRE](): ReturnType<typeof wireForm> {
    return wireForm(TAG, this.#actor);
  }
}

/** How barriers come back inside values. */
export function registerBarriers(): void {
  registerUtility<BarrierActor>(TAG, (existing) => new Barrier(1, existing as BarrierOptions));
}
