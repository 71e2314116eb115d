/** Follows what a task or an actor waits for, from process to process. */
import {
  isActorId,
  isGroupId,
  isObjectId,
  ownerOf,
  taskOf,
  type ActorWhy,
  type AgentWhy,
  type DemandWhy,
  type GroupView,
  type NodeView,
  type ObjectId,
  type ProcessId,
  type RunningWhy,
  type TaskId,
  type TaskWhy,
} from "@stingray/protocol";
import type { Asked } from "./ask-nodes.js";

/** Asks all nodes about a task (as `process` knows it, by default its owner) or an actor. */
export type AskWhy = (about: string, process?: string) => Promise<Asked<AgentWhy>[]>;

/**
 * What is known of the process that owns or runs something. `silent`: it is there and does not answer; `gone`: no node
 * knows it; `unknown`: nor do those that answer, and others don't.
 */
export interface ProcessState {
  process: string;
  state: "here" | "silent" | "gone" | "unknown";
  /** Where it is. */
  node?: string | undefined;
  pid?: number | undefined;
}

/** One thing that waits, or is waited for. */
export interface WhyStep {
  about: string;
  owner?: ProcessState | undefined;
  task?: TaskWhy | undefined;
  /** Where it was sent to. */
  runner?: ProcessState | undefined;
  running?: RunningWhy | undefined;
  demand?: DemandWhy | undefined;
  actor?: ActorWhy | undefined;
  group?: GroupView | undefined;
}

export interface WhyTrace {
  /** The first is what was asked about, each of the others what the one before waits for. */
  steps: WhyStep[];
  /** Nodes that did not answer. */
  silent: { node: string; reason: string }[];
}

/** A chain may go in a circle, or be of any length. */
const MOST_STEPS = 12;

/** `about`: a task, an object, an actor or a placement group. */
export async function traceWhy(about: string, ask: AskWhy): Promise<WhyTrace> {
  const trace: WhyTrace = { steps: [], silent: [] };
  let next: string | undefined = isObjectId(about) ? taskOf(about) : about;
  while (next !== undefined && trace.steps.length < MOST_STEPS) {
    const answers = await ask(next);
    trace.silent = silentOf(answers);
    const step: WhyStep = isActorId(next)
      ? actorStep(next, answers)
      : isGroupId(next)
        ? groupStep(next, answers)
        : await taskStep(next, answers, ask);
    trace.steps.push(step);
    const following = waitedFor(step);
    next = trace.steps.some((one) => one.about === following) ? undefined : following;
  }
  return trace;
}

/** Whether anybody knows what was asked about. */
export function isKnown({ task, actor, group, owner }: WhyStep): boolean {
  return task !== undefined || actor !== undefined || group !== undefined || owner?.state === "silent";
}

function actorStep(about: string, answers: readonly Asked<AgentWhy>[]): WhyStep {
  const found = answered(answers).flatMap(({ answer }) => answer.actor ?? []);
  return { about, actor: found.find(({ wait, hosted }) => (wait ?? hosted) !== undefined) ?? found[0] };
}

/** The newest of what the agents have of it. */
function groupStep(about: string, answers: readonly Asked<AgentWhy>[]): WhyStep {
  const found = answered(answers).flatMap(({ answer }) => answer.group ?? []);
  return { about, group: found.toSorted((a, b) => b.revision - a.revision)[0] };
}

async function taskStep(about: string, answers: readonly Asked<AgentWhy>[], ask: AskWhy): Promise<WhyStep> {
  const owner = ownerOf(about as TaskId);
  const found = answered(answers).find(({ answer }) => answer.process?.process === owner);
  const step: WhyStep = { about, owner: stateOf(owner, found, answers) };
  if (found === undefined) return step;
  const { task, demand } = found.answer;
  Object.assign(step, { task, ...(demand === undefined ? {} : { demand }) });
  if (task?.phase !== "sent" || task.at === undefined) return step;
  const { process } = task.at;
  const others = process === owner ? answers : await ask(about, process);
  const there = answered(others).find(({ answer }) => answer.process?.process === process);
  step.runner = stateOf(process, there, others);
  if (there?.answer.running !== undefined) step.running = there.answer.running;
  return step;
}

/** What it waits for in turn, where that can be asked about. */
function waitedFor({ task, running, actor }: WhyStep): string | undefined {
  const shape = task?.queue?.shape ?? (actor?.wait === undefined ? undefined : actor.placement);
  if (shape?.scheduling?.kind === "group") return shape.scheduling.group;
  if (running?.awaits !== undefined) return running.awaits;
  if (running?.behind !== undefined) return running.behind;
  if (task?.phase === "waiting") {
    const object = task.missing?.[0]?.object;
    return object === undefined ? undefined : taskOf(object as ObjectId);
  }
  if (task?.phase !== "queued" || task.actor === undefined) return undefined;
  return task.actor.state === "alive" ? undefined : task.actor.actor;
}

type Answered = { node: NodeView; answer: AgentWhy };

function answered(answers: readonly Asked<AgentWhy>[]): Answered[] {
  return answers.flatMap((one) => (one.kind === "answered" ? [{ node: one.node, answer: one.answer }] : []));
}

function silentOf(answers: readonly Asked<AgentWhy>[]): WhyTrace["silent"] {
  return answers.flatMap((one) =>
    one.kind === "failed" ? [{ node: one.node.node, reason: one.reason }] : [],
  );
}

function stateOf(
  process: ProcessId | string,
  found: Answered | undefined,
  answers: readonly Asked<AgentWhy>[],
): ProcessState {
  const all = answers.every(({ kind }) => kind === "answered");
  if (found === undefined) return { process, state: all ? "gone" : "unknown" };
  const { pid, state = "here" } = found.answer.process ?? {};
  return { process, state, node: found.node.node, ...(pid === undefined ? {} : { pid }) };
}
