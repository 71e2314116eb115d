/** For a body that never yields: it can't see a message, but it can look for a file in its node's directory. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TaskId } from "@stingray/protocol";

/** A task or a call of an actor. */
interface Marked {
  mark: string | undefined;
}

/** Where the mark of a task lies; its worker looks there when user code asks `isCancelled()`. */
export function markPath(dir: string, task: TaskId): string {
  return join(dir, `cancel-${task}`);
}

export function setMark(task: Marked, path: string): void {
  task.mark = path;
  writeFile(path, "").catch(() => {}); // its signal and force are left
}

export function removeMark(task: Marked): void {
  if (task.mark !== undefined) rm(task.mark, { force: true }).catch(() => {}); // goes with its directory
}
