/** What is taken by processes that have no lease any more but are not gone yet. */
import type { ProcessId } from "@stingray/protocol";
import type { Allocation } from "./account.js";

/** A process keeps what it computes on, memory of GPUs above all, until it is gone: nobody else is given it before. */
export class EndingWorkers {
  readonly #held = new Map<ProcessId, Allocation>();

  all(): { worker: ProcessId; resources: Record<string, number>; cpuYielded: boolean }[] {
    return [...this.#held].map(([worker, { resources, cpuYielded }]) => ({ worker, resources, cpuYielded }));
  }

  /** `release` gives it back. */
  hold(worker: ProcessId, allocation: Allocation): void {
    this.#held.set(worker, allocation);
  }

  /** The process is gone, or will be there for longer than others can wait. True if something became free. */
  release(worker: ProcessId): boolean {
    const allocation = this.#held.get(worker);
    if (allocation === undefined) return false;
    this.#held.delete(worker);
    return allocation.account.release(allocation);
  }
}
