/** A drain in words. */
import type { DrainView } from "@stingray/protocol";
import { showBytes } from "../../cli/values.js";

/** `2 running tasks, 1 actor, 12 objects (200 MiB) left, 28 s to go`. */
export function describeLeft({ left, leftMs }: DrainView): string {
  const parts = [
    some(left.tasks, "worker with running tasks", "workers with running tasks"),
    some(left.actors, "actor"),
    some(left.objects, "object", "objects", ` (${showBytes(left.bytes)})`),
    some(left.owners, "worker that owns objects of others' use", "workers that own objects of others' use"),
  ].filter((part) => part !== "");
  const what = parts.length === 0 ? "nothing left" : `${parts.join(", ")} left`;
  return `${what}, ${Math.ceil(leftMs / 1000)} s to the deadline`;
}

/** What became of all, one line each. `lost`: something is not there any more that somebody may have wanted. */
export function describeOutcome(id: string, { done, notes }: DrainView): { lines: string[]; lost: boolean } {
  const moved = [
    some(done.movedActors, "actor"),
    some(done.movedObjects, "object", "objects", ` (${showBytes(done.movedBytes)})`),
  ].filter((part) => part !== "");
  const lines = [
    `node ${id} was drained and has left${moved.length === 0 ? "" : `: ${moved.join(" and ")} moved to other nodes`}`,
  ];
  if (done.endedTasks > 0) {
    lines.push(
      `${some(done.endedTasks, "worker")} still ran tasks at the deadline and ended; those with maxRetries run again elsewhere`,
    );
  }
  const losses = [
    some(done.lostObjects, "object", "objects", ` (${showBytes(done.lostBytes)}) that no other node took`),
    some(done.endedActors, "actor", "actors", " that could not move"),
    some(done.endedOwners, "worker", "workers", " with objects that others hold references to"),
  ].filter((part) => part !== "");
  if (losses.length > 0) lines.push(`lost with it: ${losses.join(", ")}`);
  return { lines: [...lines, ...notes.map((note) => `  ${note}`)], lost: losses.length > 0 };
}

function some(count: number, one: string, many = `${one}s`, more = ""): string {
  return count === 0 ? "" : `${count} ${count === 1 ? one : many}${more}`;
}
