/** Which tasks were submitted in which task or call, as far as they have not ended. */
import type { PendingTask } from "./task.js";

export class TaskTree {
  private readonly children = new Map<string, Set<PendingTask>>();

  add(task: PendingTask): void {
    if (task.parent === undefined) return;
    const siblings = this.children.get(task.parent);
    if (siblings === undefined) this.children.set(task.parent, new Set([task]));
    else siblings.add(task);
  }

  remove(task: PendingTask): void {
    if (task.parent === undefined) return;
    const siblings = this.children.get(task.parent);
    siblings?.delete(task);
    if (siblings?.size === 0) this.children.delete(task.parent);
  }

  /** In the order of submission. */
  of(parent: string): readonly PendingTask[] {
    return [...(this.children.get(parent) ?? [])];
  }
}
