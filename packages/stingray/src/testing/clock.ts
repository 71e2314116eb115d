/** The virtual clock of a test cluster, by which reminders and delayed calls go. */
import { countDelayed, delayedUnderway } from "@stingray/actor/internal";
import { Clock } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import type { Agents } from "./agents.js";

/** All agents may take so long to deliver what is due on the way. Milliseconds. */
const ADVANCE_MS = 60_000;

/** Stands still until it is told to go on. The cluster must have been started with option `clock`. */
export class TestClock {
  /** @internal */
  constructor(private readonly agents: Agents) {
    countDelayed();
  }

  /** Milliseconds since 1970. */
  async now(): Promise<number> {
    return (await this.agents.ask(Clock.read, {})).now;
  }

  /**
   * Goes on by so many milliseconds, as soon as the delayed calls are kept that this process has made, stopping wherever a reminder is due on the way. Resolves, with the new time, when all
   * those lie in the mailboxes of their actors; their calls may still have to run.
   * @throws Error where they are not kept within 15 s; InvalidArgumentError where the clock is that of the machine
   */
  async advance(ms: number): Promise<number> {
    await eventually(
      () => {
        const left = delayedUnderway();
        if (left > 0) throw new Error(`${left} calls with delayMs are on their way to an agent`);
        return true;
      },
      { message: "what was delayed is kept" },
    );
    return (await this.agents.ask(Clock.advance, { ms }, { timeoutMs: ADVANCE_MS })).now;
  }
}
