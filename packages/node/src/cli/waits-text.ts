/** All that waits in a cluster, as text for people. */
import { describeShape, type AgentWaits, type WaitingTasks } from "@stingray/protocol";
import type { Asked } from "./ask-nodes.js";
import { showAge, showCount } from "./values.js";

export interface ClusterWaits {
  cluster: string;
  servers: string[];
  nodes: Asked<AgentWaits>[];
}

/** Names beyond these are only counted. */
const MOST_NAMES = 3;

/** Two lines for each group of tasks of one process that wait for the same, and for each actor; the longest wait first. */
export function describeWaits({ cluster, servers, nodes }: ClusterWaits): string {
  const entries: { ms: number; text: string }[] = [];
  const remarks: string[] = [];
  for (const one of nodes) {
    if (one.kind === "failed") {
      remarks.push(`Node ${one.node.node} does not answer: ${one.reason}`);
      continue;
    }
    const { processes, actors, silent } = one.answer;
    for (const { process, job, tasks } of processes)
      for (const group of tasks) entries.push({ ms: group.ms, text: describeGroup(group, process, job) });
    for (const { actor, what, shape, reason, ms, infeasible } of actors)
      entries.push({
        ms,
        text: `${what} waits for a place with ${describeShape(shape)}: ${reason}${infeasible ? ` (${INFEASIBLE})` : ""}\n    for ${showAge(ms)}; more: stingray why ${actor}`,
      });
    for (const process of silent)
      remarks.push(
        `Process ${process} on node ${one.node.node} does not answer: it may be in a loop that never yields, or stopped.`,
      );
  }
  entries.sort((a, b) => b.ms - a.ms);
  const head = `Cluster "${cluster}" on ${servers.join(", ")}: `;
  const lines = entries.map(({ text }) => `  ${text}`);
  return [
    head + (entries.length === 0 ? "nothing waits." : "waiting, the longest first:"),
    ...lines,
    ...remarks,
  ].join("\n");
}

const INFEASIBLE = "INFEASIBLE: no node could ever do it";

function describeGroup(group: WaitingTasks, process: string, job: string | undefined): string {
  const { count, names, example, ms, phase, shape, reason, infeasible } = group;
  const call = phase === "queued" && shape === undefined;
  const shown = names.slice(0, MOST_NAMES).join(", ");
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : "";
  const what = `${showCount(count, call ? "call" : "task")} (${shown}${more})`;
  const verb = count === 1 ? "waits" : "wait";
  const state: Record<WaitingTasks["phase"], string> = {
    waiting: `${verb} for arguments`,
    queued: shape === undefined ? verb : `${verb} for ${describeShape(shape)}`,
    backoff: `${verb} for the next attempt`,
    sent: `${count === 1 ? "was" : "were"} sent`,
    ended: "ended",
  };
  const why = reason === undefined || reason === "" ? "" : `: ${reason}`;
  const mark = infeasible === true ? ` (${INFEASIBLE})` : "";
  const whose = job === undefined ? "" : ` of job ${job}`;
  return `${what} ${state[phase]}${why}${mark}\n    for ${showAge(ms)}, by ${process}${whose}; more: stingray why ${example}`;
}
