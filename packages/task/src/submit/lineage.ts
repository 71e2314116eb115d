/** Lineage in memory: what a result in a store was made by is kept, so that it can be made again. */
import type { PendingTask } from "./task.js";

export interface LineageHost {
  /** Runs the task again. False where it can't be. */
  rebuild(task: PendingTask): boolean;
  /** Lets go of its arguments. */
  release(task: PendingTask): void;
}

/** The arguments of a task that has ended stay pinned while a result that could be lost is referenced. */
export function keepForRebuild(task: PendingTask, host: LineageHost): void {
  let alive = task.results.filter((entry) => !entry.freed).length;
  if (alive === 0) {
    host.release(task);
    return;
  }
  for (const entry of task.results) {
    if (entry.freed) continue;
    entry.rebuild = () => host.rebuild(task);
    entry.onFree = () => {
      if (--alive === 0 && task.phase === "ended") host.release(task);
    };
  }
}

/** Nothing of it can be lost. It may have been kept in an earlier life, while its arguments were pinned. */
export function letGo(task: PendingTask, host: LineageHost): void {
  for (const entry of task.results) entry.rebuild = entry.onFree = undefined;
  host.release(task);
}
