/**
 * Who waits for whom, as a graph of calls and tasks, and which of them never can go on. Pure: what is known of each is
 * passed in.
 */
import type { WaitPart } from "@stingray/protocol";

/** A task or call that is known to wait. Whatever is not in a graph may go on. */
export interface Waiter {
  readonly task: string;
  readonly name: string;
  readonly actor?: string | undefined;
  /** For its turn, which the calls in `waits` have. */
  readonly queued: boolean;
  /** It goes on when any of these is over. */
  readonly waits: readonly WaitPart[];
}

export type WaitGraph = ReadonlyMap<string, Waiter>;

/** Those that can't go on unless somebody from outside steps in: the largest set that only waits for itself. */
export function stuckIn(graph: WaitGraph): Set<string> {
  const stuck = new Set(graph.keys());
  // Backwards from those that can go on, so that each wait is looked at as often as one of its tasks is freed.
  const usedBy = new Map<string, string[]>();
  const free: string[] = [];
  for (const [task, { waits }] of graph) {
    for (const { of } of waits) {
      for (const other of of) {
        const users = usedBy.get(other);
        if (users === undefined) usedBy.set(other, [task]);
        else users.push(task);
      }
    }
    if (canGoOn(graph, stuck, task)) free.push(task);
  }
  for (let task = free.pop(); task !== undefined; task = free.pop()) {
    if (!stuck.delete(task)) continue;
    for (const user of usedBy.get(task) ?? [])
      if (stuck.has(user) && canGoOn(graph, stuck, user)) free.push(user);
  }
  return stuck;
}

function canGoOn(graph: WaitGraph, stuck: ReadonlySet<string>, task: string): boolean {
  const { waits } = graph.get(task) ?? { waits: [] };
  return (
    waits.length === 0 ||
    waits.some(({ needs, of }) => of.filter((other) => !stuck.has(other)).length >= needs)
  );
}

/** What each of the stuck ones waits for among the stuck ones. */
function edges(graph: WaitGraph, stuck: ReadonlySet<string>, task: string): string[] {
  const { waits = [] } = graph.get(task) ?? {};
  return waits.flatMap(({ of }) => of.filter((other) => stuck.has(other)));
}

/** The shortest way from `task` back to itself, which it begins with; undefined where there is none. */
export function cycleThrough(
  graph: WaitGraph,
  stuck: ReadonlySet<string>,
  task: string,
): string[] | undefined {
  const from = new Map<string, string>();
  const ahead = [task];
  for (let at = ahead.shift(); at !== undefined; at = ahead.shift()) {
    for (const next of edges(graph, stuck, at)) {
      if (next === task) {
        const way: string[] = [];
        for (let step = at; step !== task; step = from.get(step) ?? task) way.push(step);
        return [task, ...way.reverse()];
      }
      if (from.has(next)) continue;
      from.set(next, at);
      ahead.push(next);
    }
  }
  return undefined;
}

/** All that a task waits for, directly or not. */
function reach(graph: WaitGraph, stuck: ReadonlySet<string>, task: string): Set<string> {
  const found = new Set<string>();
  const ahead = [task];
  for (let at = ahead.pop(); at !== undefined; at = ahead.pop()) {
    for (const next of edges(graph, stuck, at)) {
      if (found.has(next)) continue;
      found.add(next);
      ahead.push(next);
    }
  }
  return found;
}

/**
 * Of the queued calls that wait for one another in a circle with `task`, the one that is to fail: whoever looks, from
 * wherever, comes to the same. Undefined where `task` is in no circle.
 */
export function victimWith(graph: WaitGraph, stuck: ReadonlySet<string>, task: string): string | undefined {
  const below = reach(graph, stuck, task);
  if (!below.has(task)) return undefined;
  const circle = [...below].filter(
    (other) => graph.get(other)?.queued === true && reach(graph, stuck, other).has(task),
  );
  return circle.toSorted()[0];
}
