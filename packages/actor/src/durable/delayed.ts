/** Calls with `delayMs`: their agents keep them like reminders until their time, and then put them into the mailbox. */
import { Reminders, StingrayError, toError, type ActorId, type KeptCall } from "@stingray/protocol";
import type { Runtime } from "@stingray/task/internal";
import type { ActorCallState } from "../call.js";

/** An agent answers within this, or is asked again. Milliseconds. */
const ASK_MS = 20_000;
/** Between tries, in milliseconds. */
const AGAIN_MS = 100;

/** Calls of this process that no agent is known to keep yet; undefined where nobody asks for them. */
let underway: Set<ActorCallState> | undefined;

/** From now on {@link delayedUnderway} counts. */
export function countDelayed(): void {
  underway ??= new Set();
}

/** A call with `delayMs` was made. */
export function madeDelayed(call: ActorCallState): void {
  underway?.add(call);
}

/**
 * How many calls with `delayMs` this process has made that no agent keeps yet, but could: what they are given is there,
 * and they have not ended. For clocks that are moved by hand.
 */
export function delayedUnderway(): number {
  const calls = [...(underway ?? [])];
  for (const call of calls) if (call.results.every(({ ready }) => ready)) underway?.delete(call);
  return calls.filter((call) => call.argumentsReady && underway?.has(call)).length;
}

export interface DelayedHooks {
  readonly id: ActorId;
  /** It can't be kept. */
  failed(call: ActorCallState, error: Error): void;
  /** It was taken back before its time. */
  cancelled(call: ActorCallState): void;
}

export class DelayedCalls {
  /** Until they are stored. */
  private readonly storing = new Map<ActorCallState, Promise<void>>();

  constructor(
    private readonly runtime: Runtime,
    private readonly hooks: DelayedHooks,
  ) {}

  /** @param args read in the background; its error is that of the call */
  keep(
    call: ActorCallState,
    number: number,
    delayMs: number,
    args: KeptCall[3] | Promise<KeptCall[3]>,
  ): void {
    const stored = this.store(call, number, delayMs, args)
      .catch((thrown: unknown) => this.hooks.failed(call, toError(thrown)))
      .finally(() => {
        this.storing.delete(call);
        underway?.delete(call);
      });
    this.storing.set(call, stored);
  }

  /** Takes it back, if its time has not come. */
  cancel(call: ActorCallState): void {
    const asked = async (): Promise<void> => {
      await this.storing.get(call);
      const { found } = await this.ask(() =>
        this.runtime.home.request(
          Reminders.cancel,
          { actor: this.hooks.id, name: this.nameOf(call) },
          { timeoutMs: ASK_MS },
        ),
      );
      if (found) this.hooks.cancelled(call);
    };
    asked().catch((thrown: unknown) => this.hooks.failed(call, toError(thrown)));
  }

  private async store(
    call: ActorCallState,
    number: number,
    delayMs: number,
    given: KeptCall[3] | Promise<KeptCall[3]>,
  ): Promise<void> {
    const { sequence, method, returns, attempt, options } = call;
    const callId = call.callId ?? `delayed/${this.runtime.process}/${sequence}`;
    const kept: KeptCall = [number, sequence, method, await given, returns, attempt, options, callId];
    const ask = {
      actor: this.hooks.id,
      name: this.nameOf(call),
      call: kept,
      timing: { delayMs },
      answer: true,
    };
    await this.ask(() => {
      const waitedMs = performance.now() - call.madeAt;
      return this.runtime.home.request(Reminders.set, { ...ask, waitedMs }, { timeoutMs: ASK_MS });
    });
  }

  /** Of the row; the names of reminders do not begin so. */
  private nameOf({ sequence }: ActorCallState): string {
    return `=${this.runtime.process}.${sequence}`;
  }

  /** Until it is answered: asking twice does no harm, since the call has an id. */
  private async ask<A>(request: () => Promise<A>): Promise<A> {
    for (;;) {
      try {
        return await request();
      } catch (thrown) {
        const error = toError(thrown);
        if (this.runtime.failed || !(error instanceof StingrayError) || !error.retryable) throw error;
        await new Promise((later) => setTimeout(later, AGAIN_MS).unref());
      }
    }
  }
}
