/** The line of one member of the cluster (a node with its workers, or the driver) to the broker. */
import { InvalidOptionError, amount, checkOptions } from "@stingray/protocol";
import { OPEN, type GateRules } from "./gate-rules.js";

/** What can happen to the line of a node or the driver to the broker. */
export interface LineFaults {
  /**
   * Cuts it, until {@link heal}. What is on the way waits and arrives then, as with a network that is away for a while.
   * @param o `refuse`: connections are closed at once and not taken again. @defaultValue false
   */
  cut(o?: { refuse?: boolean | undefined }): Promise<void>;
  /** Makes every byte `latencyMs` late, each way, and lets no more than `bytesPerSecond` pass. Undone by {@link heal}. */
  delay(latencyMs: number, o?: { bytesPerSecond?: number | undefined }): Promise<void>;
  /** As if nothing had been. */
  heal(): Promise<void>;
}

export class Line implements LineFaults {
  private rules: GateRules = OPEN;

  constructor(
    private readonly name: string,
    /** Where its member finds the broker. */
    readonly url: string,
    private readonly apply: (rules: GateRules) => Promise<void>,
  ) {}

  cut(o: { refuse?: boolean | undefined } = {}): Promise<void> {
    return this.change({ cut: o.refuse === true ? "refused" : "silent" });
  }

  delay(latencyMs: number, o: { bytesPerSecond?: number | undefined } = {}): Promise<void> {
    checkOptions(
      `delay() of ${this.name}`,
      { latencyMs: amount, bytesPerSecond: amount },
      { latencyMs, ...o },
    );
    return this.change({ latencyMs, bytesPerSecond: o.bytesPerSecond ?? Infinity });
  }

  heal(): Promise<void> {
    return this.change(OPEN);
  }

  private async change(to: Partial<GateRules>): Promise<void> {
    this.rules = { ...this.rules, ...to };
    await this.apply(this.rules);
  }
}

/** Where there is no gate: says how to get one. */
export class DirectLine implements LineFaults {
  constructor(
    private readonly name: string,
    readonly url: string,
  ) {}

  cut(): Promise<void> {
    return this.refuse("cut()");
  }
  delay(): Promise<void> {
    return this.refuse("delay()");
  }
  async heal(): Promise<void> {
    // Nothing can have happened to it.
  }

  private refuse(what: string): Promise<never> {
    return Promise.reject(
      new InvalidOptionError(
        `${what}: ${this.name} is connected to the broker directly; start the cluster with testCluster({ gates: true })`,
      ),
    );
  }
}
