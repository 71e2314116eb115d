/** The process behind a `Barrier`: who waits in this generation. */
import { currentCall } from "@stingray/actor/internal";
import { WaitingCalls, type Unserved } from "./waiting.js";

export class BarrierActor {
  readonly #waiting = new WaitingCalls<undefined, number>();

  constructor(readonly parties: number) {}

  /**
   * Its place in the order of arrival.
   * @param timeoutMs -1 for no limit, 0 for at once or never
   */
  async wait(id: number, timeoutMs: number): Promise<number | Unserved> {
    const call = currentCall();
    if (this.#waiting.size === this.parties - 1 && call.caller.closed === undefined) {
      this.#waiting.serveAll((index) => index);
      return this.parties - 1;
    }
    const turn = await this.#waiting.wait(call, id, undefined, timeoutMs);
    return typeof turn === "string" ? turn : turn.served;
  }

  /** The caller has given up. False where it does not wait any more. */
  drop(id: number): boolean {
    return this.#waiting.drop(currentCall().caller, id);
  }

  waiting(): number {
    return this.#waiting.size;
  }
}
