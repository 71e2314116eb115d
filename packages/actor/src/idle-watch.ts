/** Notices that an actor with a durable mailbox has had no calls for long, and has its agent put it to sleep. */
import { Sleep } from "@stingray/protocol";
import type { Runtime } from "@stingray/task/internal";
import type { Activation } from "./activation.js";

/** One that could not go is asked after this long again, at least. Milliseconds. */
const AGAIN_MS = 1_000;
/** More is no time that a timer can wait for. Milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;

export class IdleWatch {
  private last = performance.now();

  private constructor(
    private readonly runtime: Runtime,
    private readonly activation: Activation,
    private readonly isQuiet: () => boolean,
    private readonly afterMs: number,
  ) {}

  /**
   * For as long as the activation lives. Does nothing for one that never sleeps.
   * @param isQuiet whether all callers have heard of what has ended: who sleeps tells nobody
   */
  static begin(runtime: Runtime, activation: Activation, isQuiet: () => boolean): void {
    const { durable, passivateAfterMs = -1 } = activation.spec;
    if (durable !== true || passivateAfterMs < 0) return;
    const watch = new IdleWatch(runtime, activation, isQuiet, passivateAfterMs);
    activation.observe({
      before: () => void (watch.last = performance.now()),
      after: () => void (watch.last = performance.now()),
    });
    watch.lookIn(passivateAfterMs);
  }

  private lookIn(ms: number): void {
    setTimeout(() => void this.look(), Math.min(ms, LONGEST_MS)).unref();
  }

  private async look(): Promise<void> {
    const { activation } = this;
    if (activation.leaving) return;
    const left = activation.pending > 0 ? this.afterMs : this.last + this.afterMs - performance.now();
    if (left > 0) {
      this.lookIn(left);
      return;
    }
    const { actor } = activation.spec;
    const going = this.isQuiet() && (await this.ownsNothing()) && (await this.ask(actor));
    if (!going) this.lookIn(Math.max(this.afterMs, AGAIN_MS));
  }

  private async ask(actor: string): Promise<boolean> {
    const { epoch } = this.activation;
    // No answer means that the agent is busy or gone; the next look is soon enough.
    return this.runtime.home.request(Sleep.idle, { actor, epoch }).then(
      ({ going }) => going,
      () => false,
    );
  }

  /** What its process owns (objects that others hold, actors that it has made) would end with it. */
  private async ownsNothing(): Promise<boolean> {
    const { activation, runtime } = this;
    if (activation.spec.shared === true) return true;
    const { table } = runtime;
    if (table.counts.owned > 0) await table.collect();
    return table.counts.owned === 0;
  }
}
