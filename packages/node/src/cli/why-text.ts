/** Why something waits, as text for people. The first line is the answer. */
import {
  describeResources,
  describeShape,
  describeTask,
  describeTrouble,
  startOptions,
  type ActorWhy,
  type DemandWhy,
  type GroupView,
  type NodeFit,
  type Shape,
} from "@stingray/protocol";
import { table } from "./output.js";
import { showAge, showCount } from "./values.js";
import type { ProcessState, WhyStep, WhyTrace } from "./why-trace.js";

/** Of one demand. */
const MOST_NODES = 10;
const MOST_TRIED = 10;

/** Which does not, and why, is listed with it. */
const NO_NODE = "no node of the cluster could ever have it";

export function describeTrace({ steps, silent }: WhyTrace): string {
  const blocks = steps.map((step, i) => (i === 0 ? describeStep(step) : `\nand that: ${describeStep(step)}`));
  if (silent.length > 0) {
    const names = silent.map(({ node, reason }) => `  ${node}: ${reason}`);
    blocks.push(`\nNot asked, since they did not answer:\n${names.join("\n")}`);
  }
  return blocks.join("\n");
}

function describeStep(step: WhyStep): string {
  const { about, actor, group, task } = step;
  if (group !== undefined) return describeGroup(group);
  if (actor !== undefined) return describeActor(actor);
  if (task === undefined) return describeUnknown(step);
  const facts: [string, string][] = [];
  const { owner, demand } = step;
  if (owner !== undefined) facts.push(["owner", describeProcess(owner)]);
  if (task.phaseMs > 0) facts.push([task.phase, `for ${showAge(task.phaseMs)}`]);
  const { queue } = task;
  if (queue !== undefined) {
    const leased = queue.leases === 0 ? "no worker" : showCount(queue.leases, "worker");
    facts.push([
      "queue",
      `${showCount(queue.ahead, "task")} before it, ${queue.length} in all; ${leased} leased for them`,
    ]);
  }
  if (demand !== undefined) facts.push(["demand", describeDemand(demand)]);
  if (task.attempt > 1)
    facts.push(["attempt", `${task.attempt}${task.attempts < 0 ? "" : ` of at most ${task.attempts}`}`]);
  for (const { agoMs, message } of task.failures) facts.push(["failed", `${showAge(agoMs)} ago: ${message}`]);
  const lines = [`${describeHead(step, about)}.`, facts.length === 0 ? "" : indented(table(facts))];
  if (demand !== undefined && queue !== undefined) lines.push(...describePlaces(demand, queue.shape));
  return lines.filter((line) => line !== "").join("\n");
}

/** `Task d….17 (trainStep) waits for …` */
function describeHead({ task, demand, runner, running }: WhyStep, about: string): string {
  if (task === undefined) return about;
  const kind = task.actor === undefined ? "Task" : "Call";
  const what = task.name === "" ? `${kind} ${about}` : `${kind} ${about} (${task.name})`;
  const { queue } = task;
  if (task.phase === "queued" && queue !== undefined && demand !== undefined && demand.reason !== "")
    return `${what} waits for a worker with ${describeShape(queue.shape)}: ${demand.infeasible ? NO_NODE : demand.reason}`;
  if (task.phase !== "sent" || task.at === undefined || runner === undefined)
    return what + describeTask(task).slice(task.name === "" ? `task ${task.task}`.length : task.name.length);
  const where = describeProcess(runner);
  if (runner.state === "silent")
    return `${what} is in process ${where}, which does not answer: it may be in a loop that never yields, or stopped`;
  if (runner.state !== "here") return `${what} was sent to process ${where}`;
  switch (running?.state) {
    case "running":
      return `${what} runs in process ${where}, for ${showAge(running.ms)}`;
    case "waiting":
      return `${what} has begun ${showAge(running.ms)} ago in process ${where} and awaits values${running.awaits === undefined ? "" : `, among them of task ${running.awaits}`}`;
    case "arguments":
      return `${what} is about to run in process ${where}, which fetches its arguments or loads its module`;
    case "queued": {
      const { ahead } = running;
      const behind =
        ahead === 0 ? "" : ` and ${showCount(ahead, "call")} that ${ahead === 1 ? "has" : "have"} not begun`;
      const holder =
        running.behind === undefined ? "what runs there" : `call ${running.behind}, which has the turn`;
      return `${what} is in process ${where}, behind ${holder}${behind}`;
    }
    case undefined:
      return `${what} was sent to process ${where}, which does not know it (any more)`;
  }
}

function describeProcess({ process, node, pid, state }: ProcessState): string {
  const there = [pid === undefined ? "" : `pid ${pid}`, node === undefined ? "" : `on node ${node}`];
  const known = there.filter((part) => part !== "").join(" ");
  if (state === "gone") return `${process} (gone: no node has it)`;
  if (state === "unknown") return `${process} (not on the nodes that answer)`;
  return known === "" ? process : `${process} (${known})`;
}

function describeUnknown({ about, owner }: WhyStep): string {
  if (owner === undefined)
    return `${about} is not known here: it has ended and was forgotten, or belongs to another cluster.`;
  const { process } = owner;
  switch (owner.state) {
    case "here":
      return `Process ${describeProcess(owner)} has never submitted ${about}: look at the number again.`;
    case "silent":
      return (
        `Process ${describeProcess(owner)}, which owns ${about}, does not answer: ` +
        `it may be in a loop that never yields, or stopped. Nobody else knows of its tasks.`
      );
    case "gone":
      return (
        `Process ${process}, which submitted ${about}, is not in this cluster: it has ended, and its tasks with it, ` +
        `or it belongs to another cluster.`
      );
    case "unknown":
      return `Process ${process}, which submitted ${about}, is on none of the nodes that answer.`;
  }
}

function describeActor(actor: ActorWhy): string {
  const {
    className,
    name,
    state,
    trouble,
    wait,
    placement,
    hosted,
    node,
    process,
    cause,
    restarts,
    maxRestarts,
  } = actor;
  const who = `Actor ${actor.actor} (${className}${name === undefined ? "" : ` "${name}"`})`;
  const facts: [string, string][] = [["creator", actor.creator]];
  if (maxRestarts !== 0)
    facts.push(["restarts", `${restarts}${maxRestarts < 0 ? "" : ` of at most ${maxRestarts}`}`]);
  let head: string;
  let places: string[] = [];
  if (wait !== undefined) {
    const why = wait.infeasible ? NO_NODE : wait.reason;
    head = `${who} is ${state}: it waits for a place with ${describeShape(placement)}: ${why}`;
    facts.push(["waits", `for ${showAge(wait.waitingMs)}`]);
    places = describePlaces(wait, placement);
  } else if (trouble !== undefined) head = `${who} is ${state}, and ${describeTrouble(trouble)}`;
  else if (state === "ALIVE")
    head = `${who} is alive in process ${process ?? "?"} on node ${node ?? "?"}: it waits for nothing`;
  else if (state === "PASSIVE") head = `${who} sleeps, since it had nothing to do: the next call wakes it`;
  else if (state === "DEAD") head = `${who} is dead: ${cause ?? "no reason is known"}`;
  else if (hosted?.process !== undefined)
    head = `${who} is ${state}: its class is being loaded and its constructor run, in process ${hosted.process} on node ${hosted.node}`;
  else if (hosted !== undefined || node !== undefined)
    head = `${who} is ${state}: node ${hosted?.node ?? node ?? "?"} has a place for it, and starts a process`;
  else head = `${who} is ${state}: no agent says that it looks for a place for it`;
  if (cause !== undefined && state !== "DEAD") facts.push(["lost", cause]);
  return [`${head}.`, indented(table(facts)), ...places].join("\n");
}

function describeGroup({ group, name, state, strategy, bundles, nodes, cause }: GroupView): string {
  const who = `Placement group ${group}${name === undefined ? "" : ` "${name}"`}`;
  const why = cause === undefined ? "" : `: ${cause.message}`;
  const head: Record<GroupView["state"], string> = {
    PENDING: `${who} is PENDING, as its bundles have no places yet${why}`,
    CREATED: `${who} is CREATED: all its bundles have their places`,
    RESCHEDULING: `${who} is RESCHEDULING, as bundles were lost with their nodes${why}`,
    REMOVED: `${who} was removed${why}`,
  };
  const rows = bundles
    .slice(0, MOST_NODES)
    .map((resources, i) => [
      `bundle ${i}`,
      describeResources(resources),
      nodes[i] ? `on node ${nodes[i]}` : "no node",
    ]);
  const more = bundles.length - rows.length;
  const lines = [`${head[state]}.`, `  strategy ${strategy}`, indented(table(rows))];
  return [...lines, ...(more > 0 ? [`  and ${showCount(more, "more bundle")}`] : [])].join("\n");
}

function describeDemand({ want, waitingMs, infeasible }: DemandWhy): string {
  const since = waitingMs > 0 ? `, for ${showAge(waitingMs)}` : "";
  return `${showCount(want, "worker")} asked for${since}${infeasible ? "; INFEASIBLE" : ""}`;
}

/** What the nodes say, what was tried, and what can be done. */
function describePlaces(demand: DemandWhy, shape: Shape): string[] {
  const lines: string[] = [];
  const shown = demand.nodes.slice(0, MOST_NODES);
  if (shown.length > 0) {
    lines.push("Nodes:", indented(table(shown.map(describeFit))));
    const more = demand.nodes.length - shown.length + demand.more;
    if (more > 0) lines.push(`  and ${showCount(more, "more node")}`);
  }
  // What this node found where no node can do it is what the nodes say above.
  const tried = demand.trail.filter(({ kind }) => !demand.infeasible || kind !== "local").slice(-MOST_TRIED);
  if (tried.length > 0) {
    const rows = tried.map(({ agoMs, whom, kind, answer }) => [`${showAge(agoMs)} ago`, kind, whom, answer]);
    lines.push("Last decisions:", indented(table(rows)));
  }
  if (demand.infeasible)
    lines.push(
      `It stays queued until a node joins that can: stingray start ${startOptions(shape)}, or ask for what there is.`,
    );
  return lines;
}

function describeFit({ node, fit, reason }: NodeFit): string[] {
  const words: Record<NodeFit["fit"], string> = { now: "has room", later: "busy", never: "can't" };
  return [node, words[fit], reason];
}

const indented = (text: string): string => text.replace(/^/gm, "  ");
