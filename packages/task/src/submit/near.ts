/** Where the large arguments of a task lie: it had better run there than have them fetched. */
import type { NodeId } from "@stingray/protocol";
import type { PendingTask } from "./task.js";

/** A node is worth going to when it saves fetching this much. Bytes. */
export const WORTH_GOING = 1024 * 1024;
/** Queues at a time. */
const MOST_QUEUES = 64;
/** Nodes that are named at most. */
const MOST_NODES = 3;

/**
 * The nodes at which a task is better off than at home, with the bytes of its arguments that lie there: those with most,
 * or at least half of it. Rounded down to a power of four, so that many tasks have the same. Undefined where there is none,
 * or where the user has said where it is to run.
 */
export function nearOf(task: PendingTask, home: NodeId): Record<NodeId, number> | undefined {
  const { slots } = task.args;
  const scheduling = task.settings.shape.scheduling;
  if (slots === undefined || (scheduling !== undefined && scheduling.kind !== "default")) return undefined;
  let bytes: Map<NodeId, number> | undefined;
  for (const slot of slots) {
    if (slot.kind !== "object" || slot.entry.state.kind !== "stored") continue;
    const [size, copies] = slot.entry.state.location;
    bytes ??= new Map();
    for (const [node] of copies) bytes.set(node as NodeId, (bytes.get(node as NodeId) ?? 0) + size);
  }
  if (bytes === undefined) return undefined;
  const atHome = bytes.get(home) ?? 0;
  const better = [...bytes].filter(([, there]) => there - atHome >= WORTH_GOING);
  if (better.length === 0) return undefined;
  better.sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  const most = better[0]?.[1] ?? 0;
  const rounded = 4 ** Math.floor(Math.log2(most) / 2);
  const nodes = better.filter(([, there]) => 2 * there >= most).slice(0, MOST_NODES);
  return Object.fromEntries(nodes.map(([node]) => [node, rounded]));
}

/** Names of queues whose tasks are to run near some nodes. */
export class NearNames {
  private readonly names = new Map<string, string>();
  private count = 0;

  /**
   * The name of the queue for this shape and these nodes; undefined where there are too many.
   * @param forget drops the queue of a name if nothing is in it; false where it is needed
   */
  nameFor(key: string, near: Record<NodeId, number>, forget: (name: string) => boolean): string | undefined {
    const what = `${key} near ${JSON.stringify(near)}`;
    let name = this.names.get(what);
    if (name !== undefined) return name;
    for (const [other, queue] of this.names) if (forget(queue)) this.names.delete(other);
    if (this.names.size >= MOST_QUEUES) return undefined;
    // A new one each time: an agent may remember what it granted under the old one.
    this.names.set(what, (name = `${what} #${++this.count}`));
    return name;
  }
}
