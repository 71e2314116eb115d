/** The process behind a `Semaphore`: permits, who holds them, and who waits for one. */
import { currentCall } from "@stingray/actor/internal";
import { Held } from "./held.js";
import { WaitingCalls, type Unserved } from "./waiting.js";

export class SemaphoreActor {
  #free: number;
  readonly #waiting = new WaitingCalls<undefined, "done">();
  readonly #held = new Held<true>(() => this.#giveBack());

  constructor(permits: number) {
    this.#free = permits;
  }

  /** @param timeoutMs -1 for no limit, 0 for at once or never */
  async acquire(id: number, timeoutMs: number): Promise<"done" | Unserved> {
    const call = currentCall();
    if (this.#free > 0 && this.#waiting.size === 0) {
      if (!this.#held.give(call.caller, id, true)) return "dropped";
      this.#free--;
      return "done";
    }
    const turn = await this.#waiting.wait(call, id, undefined, timeoutMs);
    return typeof turn === "string" ? turn : turn.served;
  }

  /** Gives a permit back, or gives up waiting for it. False where there was neither. */
  release(id: number): boolean {
    const { caller } = currentCall();
    if (this.#held.take(caller, id) !== true) return this.#waiting.drop(caller, id);
    this.#giveBack();
    return true;
  }

  available(): number {
    return this.#free;
  }

  #giveBack(): void {
    this.#free++;
    for (let next = this.#waiting.peek(); next !== undefined && this.#free > 0; next = this.#waiting.peek()) {
      if (!this.#held.give(next.caller, next.id, true)) {
        this.#waiting.drop(next.caller, next.id);
        continue;
      }
      this.#free--;
      next.serve("done");
    }
  }
}
