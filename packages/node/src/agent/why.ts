/** Why something has not ended, as far as this agent can tell: asks its processes, its scheduler and its tables. */
import { rank, type Bid, type LeaseScheduler } from "@stingray/scheduler";
import {
  Agent,
  InvalidArgumentError,
  Process,
  isActorId,
  isGroupId,
  isObjectId,
  isTaskId,
  ownerOf,
  taskOf,
  type ActorWhy,
  type AgentWaits,
  type AgentWhy,
  type DemandWhy,
  type ActorTrouble,
  type GroupView,
  type NodeFit,
  type NodeId,
  type NodeView,
  type ProcessId,
  type ProcessWhy,
  type Shape,
  type TaskId,
  type WaitingTasks,
} from "@stingray/protocol";
import type { ActorEntry } from "../controller/actor-book.js";
import { describe } from "../controller/actor-directory.js";
import type { Incarnation } from "../controller/actor-host.js";
import type { ActorPlacer } from "../controller/actor-placer.js";
import * as t from "./tokens.js";

/** A process in a long loop answers nobody. Milliseconds. */
const PROCESS_MS = 2_000;
/** Nodes beyond these are only counted. */
const MOST_NODES = 50;

export interface WhyParts {
  /** The workers of this node and the drivers that it serves, with their pids where these are known. */
  processes(): { id: ProcessId; pid: number | undefined; job: string | undefined }[];
  /** Rejects where it does not answer in time. */
  askWhy(process: ProcessId, task: TaskId, timeoutMs: number): Promise<ProcessWhy>;
  askWaits(process: ProcessId, timeoutMs: number): Promise<WaitingTasks[]>;
  readonly scheduler: Pick<LeaseScheduler, "snapshot">;
  readonly placer: Pick<ActorPlacer, "waiting">;
  /** All nodes that live, as they are now. */
  nodes(): Promise<NodeView[]>;
  actor(id: string): Promise<ActorEntry | undefined>;
  hosted(actor: string): Pick<Incarnation, "state" | "worker"> | undefined;
  group(id: string): Promise<GroupView | undefined>;
  trouble(actor: string, process: string | undefined): ActorTrouble | undefined;
  readonly node: NodeId;
  /** As `LeaseEffects.now`. */
  now(): number;
}

export function serveWhy(get: t.Get): void {
  const { inbox } = get(t.TRANSPORT);
  const parts = partsOf(get);
  inbox.serve(Agent.why, ({ about, process }) => whyHere(parts, about, process as ProcessId | undefined));
  inbox.serve(Agent.waits, () => waitsHere(parts));
}

function partsOf(get: t.Get): WhyParts {
  return {
    processes: () => [
      ...get(t.POOL)
        .all()
        .filter((worker) => worker.env !== undefined)
        .map(({ id, pid, env }) => ({ id, pid, job: env?.job.job })),
      ...get(t.JOBS)
        .watched()
        .map((id) => ({ id, pid: undefined, job: get(t.JOBS).jobOfDriver(id) })),
    ],
    askWhy: (process, task, timeoutMs) =>
      get(t.PEERS).channel(process).request(Process.why, { task }, { timeoutMs }),
    askWaits: async (process, timeoutMs) => {
      const { tasks } = await get(t.PEERS).channel(process).request(Process.waits, {}, { timeoutMs });
      return tasks;
    },
    scheduler: get(t.SCHEDULER),
    placer: get(t.ACTOR_PLACER),
    nodes: async () => (await get(t.HEARTBEATS).nodes()).filter(({ state }) => state !== "DEAD"),
    actor: async (id) => get(t.ACTOR_BOOK).get(id) ?? (await get(t.ACTOR_BOOK).fetch(id)),
    hosted: (actor) => get(t.ACTOR_HOST).find(actor) ?? get(t.SHARED_ACTORS).hosted(actor),
    group: async (id) => (await get(t.GROUP_DIRECTORY).state(id, -1, 0)).view,
    trouble: (actor, process) => get(t.TROUBLES).of(actor, process),
    node: get(t.CONFIG).node,
    now: () => performance.now(),
  };
}

/**
 * @param about a task, an object, an actor or a placement group
 * @param process whom to ask about a task, by default its owner
 * @throws InvalidArgumentError where it is none of them
 */
export async function whyHere(parts: WhyParts, about: string, process?: ProcessId): Promise<AgentWhy> {
  if (isActorId(about)) {
    const entry = await parts.actor(about);
    return entry === undefined ? {} : { actor: await actorWhy(parts, entry) };
  }
  if (isGroupId(about)) {
    const group = await parts.group(about);
    return group === undefined ? {} : { group };
  }
  const task = isObjectId(about) ? taskOf(about) : isTaskId(about) ? about : undefined;
  if (task === undefined)
    throw new InvalidArgumentError(`${about} is no id of a task, an object, an actor or a placement group`);
  const asked = process ?? ownerOf(task);
  const here = parts.processes().find(({ id }) => id === asked);
  if (here === undefined) return {};
  const state = (state: "here" | "silent"): AgentWhy => ({
    process: { process: asked, state, ...(here.pid === undefined ? {} : { pid: here.pid }) },
  });
  let answer: ProcessWhy;
  try {
    answer = await parts.askWhy(asked, task, PROCESS_MS);
  } catch {
    return state("silent");
  }
  const key = answer.task?.queue?.key;
  const demand = key === undefined ? undefined : await demandWhy(parts, asked, key);
  return { ...state("here"), ...answer, ...(demand === undefined ? {} : { demand }) };
}

/** What waits in the processes that are here. Those that don't answer in time are named. */
export async function waitsHere(parts: WhyParts): Promise<AgentWaits> {
  const waits: AgentWaits = { processes: [], silent: [], actors: [] };
  const { demands } = parts.scheduler.snapshot();
  await Promise.all(
    parts.processes().map(async ({ id, job }) => {
      try {
        const tasks = await parts.askWaits(id, PROCESS_MS);
        for (const group of tasks) {
          const demand = demands.find(({ submitter, key }) => submitter === id && key === group.key);
          if (demand === undefined || demand.reason === "") continue;
          group.reason = demand.reason;
          group.infeasible = demand.waitsFor === "never";
        }
        if (tasks.length > 0) waits.processes.push({ process: id, job, tasks });
      } catch {
        waits.silent.push(id);
      }
    }),
  );
  for (const { spec, wait } of parts.placer.waiting()) {
    const { why: reason, infeasible, ms } = wait;
    const { actor, placement: shape } = spec;
    waits.actors.push({ actor, what: describe(spec), shape, reason, ms, infeasible });
  }
  return waits;
}

async function demandWhy(parts: WhyParts, submitter: ProcessId, key: string): Promise<DemandWhy | undefined> {
  const found = parts.scheduler
    .snapshot()
    .demands.find((demand) => demand.submitter === submitter && demand.key === key);
  if (found === undefined) return undefined;
  const { want, waitingMs, reason, waitsFor, shape } = found;
  const now = parts.now();
  const trail = found.trail.map(({ at, kind, node, class: name, answer, times }) => ({
    agoMs: Math.max(0, now - at),
    whom: node ?? (name === undefined ? parts.node : `class ${name}`),
    kind,
    answer: times > 1 ? `${answer} (${times} times)` : answer,
  }));
  const infeasible = waitsFor === "never";
  return { want, waitingMs, reason, infeasible, trail, ...(await fitsOf(parts, shape)) };
}

async function actorWhy(parts: WhyParts, { value }: ActorEntry): Promise<ActorWhy> {
  const { spec, state, restarts, node, process, cause } = value;
  const why: ActorWhy = {
    actor: spec.actor,
    className: spec.className,
    state,
    job: spec.job,
    creator: spec.creator,
    restarts,
    maxRestarts: spec.maxRestarts,
    placement: spec.placement,
  };
  if (spec.name !== undefined) why.name = spec.name;
  if (node !== undefined) why.node = node;
  if (process !== undefined) why.process = process;
  if (cause !== undefined) why.cause = cause.message;
  const trouble = state === "DEAD" ? undefined : parts.trouble(spec.actor, process);
  if (trouble !== undefined) why.trouble = trouble;
  const here = parts.hosted(spec.actor);
  if (here !== undefined && here.state !== "over") {
    const process = here.worker === undefined ? {} : { process: here.worker };
    why.hosted = { node: parts.node, state: here.state, ...process };
  }
  const search = parts.placer.waiting().find((one) => one.spec.actor === spec.actor);
  if (search !== undefined) {
    const { why: reason, infeasible, ms } = search.wait;
    const fits = await fitsOf(parts, spec.placement);
    why.wait = { want: 1, waitingMs: ms, reason, infeasible, trail: [], ...fits };
  }
  return why;
}

/** What every node has to say to it. In a group it is not up to the nodes. */
async function fitsOf(parts: WhyParts, shape: Shape): Promise<{ nodes: NodeFit[]; more: number }> {
  if (shape.scheduling?.kind === "group") return { nodes: [], more: 0 };
  const bids = (await parts.nodes()).map((view): Bid => ({
    ...view,
    node: view.node as NodeId,
    agent: view.agent as ProcessId,
    queued: 0,
    idleWorkers: 0,
    draining: view.state === "DRAINING",
    sequence: 0,
  }));
  const ranked = rank(shape, bids, { random: () => 0 });
  const nodes = ranked.slice(0, MOST_NODES).map(({ node, fit, reason }) => ({ node, fit, reason }));
  return { nodes, more: ranked.length - nodes.length };
}
