/**
 * Saves that wait for themselves: a snapshot is taken when no call runs, and a call runs that awaits, maybe through others,
 * what has ended but is not saved yet, or what may not begin before the save. Nothing would ever open such a circle.
 */
import { surveyOf, type Asked } from "../cycles/survey.js";
import { stuckIn, type Waiter } from "../cycles/wait-graph.js";
import type { WaitState } from "@stingray/protocol";

/** Pauses between looks: a save that waits for a moment is the usual case. Milliseconds. */
const FIRST_MS = 20;
const LONGEST_MS = 500;

export interface SaveCircleHooks {
  /** Calls that run. */
  running(): string[];
  /** Whether this call waits for the save: to be answered, or to begin. */
  waitsForSave(task: string): boolean;
  /** No call that runs can go on before the save. */
  open(): void;
}

export class SaveCircles {
  private timer: NodeJS.Timeout | undefined;
  private pauseMs = FIRST_MS;
  private readonly asked: Asked;

  constructor(
    asked: Asked,
    private readonly hooks: SaveCircleHooks,
  ) {
    this.asked = {
      // Only whoever looks for these circles is to see them: others would have a call fail that need not.
      ask: async (process, node, tasks, side) => {
        const states = await asked.ask(process, node, tasks, side);
        return side === "runner" ? states.map((state) => this.seen(state)) : states;
      },
    };
  }

  /** A save waits until no call runs. */
  begin(): void {
    this.stop();
    this.pauseMs = FIRST_MS;
    this.again();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private again(): void {
    const timer = setTimeout(() => void this.look(timer), this.pauseMs).unref();
    this.timer = timer;
  }

  private async look(timer: NodeJS.Timeout): Promise<void> {
    const running = this.hooks.running();
    const graph: ReadonlyMap<string, Waiter> = await surveyOf(running, this.asked);
    if (this.timer !== timer) return;
    const now = this.hooks.running();
    const stuck = stuckIn(graph);
    if (now.length > 0 && now.every((task) => stuck.has(task))) {
      this.hooks.open();
      this.pauseMs = FIRST_MS;
    } else this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_MS);
    this.again();
  }

  private seen(state: WaitState): WaitState {
    const { task } = state;
    if (state.state !== "moves" || !this.hooks.waitsForSave(task)) return state;
    const of = this.hooks.running();
    return { task, state: "waits", waits: [{ needs: of.length, of }] };
  }
}
