/** `maxCalls`: how often this process has run each function that may run only so often in one process. */
import { Op } from "@stingray/protocol";
import type { Home } from "../home.js";
import type { DefinitionKey } from "../registry.js";

/** Counts calls; tells the agent once, with the first function that is used up, that this worker is to be replaced. */
export class CallLimits {
  private readonly counts = new Map<string, number>();
  private told = false;

  constructor(private readonly home: () => Home) {}

  /** Counts a call that is about to start. False, and not counted: this process may not run the function any more. */
  admits({ module, name, hash }: DefinitionKey, maxCalls: number | undefined): boolean {
    if (maxCalls === undefined) return true;
    const key = `${module}#${name}#${hash}`;
    const count = (this.counts.get(key) ?? 0) + 1;
    if (count > maxCalls) return false;
    this.counts.set(key, count);
    if (count === maxCalls && !this.told) {
      this.told = true;
      this.home().send([Op.WorkerRetired, `it has run ${name} ${count} times (maxCalls)`]);
    }
    return true;
  }
}
