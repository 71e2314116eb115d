/** How far a call is in the process that runs it. */
import { ownerOf, type RunningWhy, type TaskId } from "@stingray/protocol";
import type { IncomingCall } from "../execute/call.js";

/** Undefined where the call is not among them. */
export function progressOf(
  calls: Iterable<ReadonlyMap<number, IncomingCall>>,
  task: TaskId,
  now: number,
): RunningWhy | undefined {
  const owner = ownerOf(task);
  let found: IncomingCall | undefined;
  let ahead = 0;
  for (const ofCaller of calls) {
    for (const call of ofCaller.values()) {
      if (call.owner === owner && call.taskId === task) {
        found = call;
        break;
      }
      if (call.progress === "queued") ahead++;
    }
  }
  if (found === undefined) return undefined;
  const { progress, begunAt } = found;
  const awaits = progress === "waiting" ? found.awaits : undefined;
  return {
    state: progress,
    ahead: progress === "queued" ? ahead : 0,
    ms: begunAt === undefined ? 0 : now - begunAt,
    ...(awaits === undefined ? {} : { awaits }),
  };
}
