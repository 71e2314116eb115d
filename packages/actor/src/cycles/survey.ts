/** Asks processes what calls and tasks wait for, as far as that can be followed. */
import { ownerOf, type NodeId, type ProcessId, type TaskId, type WaitState } from "@stingray/protocol";
import type { Waiter, WaitGraph } from "./wait-graph.js";

/** What is asked: the runtime's `waitStates`. */
export interface Asked {
  ask(
    process: ProcessId,
    node: NodeId | undefined,
    tasks: readonly string[],
    side: "owner" | "runner",
  ): Promise<WaitState[]>;
}

/** A graph with more is not looked at to its end: what lies beyond is taken for one that moves. */
const MOST_WAITERS = 5_000;

/** What was found, and how each of them stood. */
interface Survey {
  readonly graph: WaitGraph;
  /** Equal for two surveys between which a waiter has not moved. */
  readonly standing: ReadonlyMap<string, string>;
}

/**
 * All that the given calls wait for, directly or not, and that did not move from before the second of two looks at all
 * of it until after the first: so there was a moment in which all of it was true.
 */
export async function surveyOf(tasks: readonly string[], asked: Asked): Promise<WaitGraph> {
  const first = await look(tasks, asked);
  if (first.graph.size === 0) return first.graph;
  const second = await look(tasks, asked);
  const graph = new Map<string, Waiter>();
  for (const [task, waiter] of second.graph)
    if (first.standing.get(task) === second.standing.get(task)) graph.set(task, waiter);
  return graph;
}

async function look(tasks: readonly string[], asked: Asked): Promise<Survey> {
  const graph = new Map<string, Waiter>();
  const standing = new Map<string, string>();
  const seen = new Set<string>(tasks);
  let ahead = [...tasks];
  while (ahead.length > 0 && graph.size < MOST_WAITERS) {
    const found = await statesOf(ahead, asked);
    ahead = [];
    for (const state of found) {
      const { task, name, actor, waits } = state;
      if ((state.state !== "waits" && state.state !== "queued") || waits === undefined) continue;
      graph.set(task, { task, name: name ?? task, actor, queued: state.state === "queued", waits });
      standing.set(task, JSON.stringify(state));
      for (const { of } of waits) {
        for (const other of of) {
          if (seen.has(other)) continue;
          seen.add(other);
          ahead.push(other);
        }
      }
    }
  }
  return { graph, standing };
}

/** As their owners see them, or, where these have sent them on, as those see them who have them. */
async function statesOf(tasks: readonly string[], asked: Asked): Promise<WaitState[]> {
  const owned = await inGroups(
    tasks.map((task) => ({ task, process: ownerOf(task as TaskId), node: undefined })),
    asked,
    "owner",
  );
  const sent = owned.flatMap(({ task, state, at }) =>
    state === "sent" && at !== undefined
      ? [{ task, process: at.process as ProcessId, node: at.node as NodeId | undefined }]
      : [],
  );
  const there = await inGroups(sent, asked, "runner");
  return [...owned.filter(({ state }) => state !== "sent"), ...there];
}

interface Place {
  readonly task: string;
  readonly process: ProcessId;
  readonly node: NodeId | undefined;
}

/** One question for each process. */
async function inGroups(
  places: readonly Place[],
  asked: Asked,
  side: "owner" | "runner",
): Promise<WaitState[]> {
  const groups = new Map<ProcessId, { node: NodeId | undefined; tasks: string[] }>();
  for (const { task, process, node } of places) {
    const group = groups.get(process);
    if (group === undefined) groups.set(process, { node, tasks: [task] });
    else group.tasks.push(task);
  }
  const answers = [...groups].map(([process, { node, tasks }]) => asked.ask(process, node, tasks, side));
  return (await Promise.all(answers)).flat();
}
