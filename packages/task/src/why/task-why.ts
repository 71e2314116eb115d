/** What is known of a submitted task: why it has not ended. */
import {
  taskIdOf,
  type MissingArgument,
  type ProcessId,
  type TaskWhy,
  type WaitingTasks,
} from "@stingray/protocol";
import type { EncodedArgs } from "../objects/args.js";
import type { ShapeQueue } from "../submit/shape-queue.js";
import type { PendingTask } from "../submit/task.js";

/** Arguments, and names of functions, beyond these are left out. */
const MOST_MISSING = 20;
const MOST_NAMES = 10;

export interface TaskView {
  readonly process: ProcessId;
  /** The tasks of this process that have not ended. */
  find(sequence: number): PendingTask | undefined;
  queueOf(task: PendingTask): ShapeQueue;
}

/** @param now of `performance.now()` */
export function whyOfTask(task: PendingTask, view: TaskView, now: number): TaskWhy {
  const { settings, phase, attempt, failures, lease } = task;
  const why: TaskWhy = {
    task: taskIdOf(view.process, task.sequence),
    name: settings.definition.name,
    phase,
    phaseMs: now - task.since,
    attempt: attempt + 1,
    attempts: Number.isFinite(settings.maxRetries) ? settings.maxRetries + 1 : -1,
    failures: (failures ?? []).map(({ at, message }) => ({ agoMs: now - at, message })),
  };
  if (phase === "waiting") why.missing = missingOf(task.args, view);
  if (phase === "queued") why.queue = queueOf(task, view.queueOf(task));
  if (phase === "backoff" && task.nextAt !== undefined) why.nextMs = Math.max(0, task.nextAt - now);
  if (phase === "sent" && lease !== undefined) {
    const ahead = [...lease.inFlight].indexOf(task);
    why.at = { process: lease.worker, node: lease.node, ahead: Math.max(0, ahead) };
  }
  return why;
}

/** The arguments that have no value yet. */
export function missingOf(args: EncodedArgs, view: Pick<TaskView, "find">): MissingArgument[] {
  const missing: MissingArgument[] = [];
  for (const slot of args.slots ?? []) {
    if (slot.kind !== "object" || slot.entry.ready) continue;
    const { id, owner, owned, sequence } = slot.entry;
    const maker = owned ? view.find(sequence) : undefined;
    const known = maker && { name: maker.settings.definition.name, phase: maker.phase };
    missing.push({ object: id, owner, ...known });
    if (missing.length === MOST_MISSING) break;
  }
  return missing;
}

function queueOf(task: PendingTask, queue: ShapeQueue): NonNullable<TaskWhy["queue"]> {
  const { key, shape, length, leases, pending } = queue;
  let ahead = 0;
  for (const other of queue.waiting()) {
    if (other === task) break;
    ahead++;
  }
  return {
    key,
    shape,
    length,
    leases: leases.size,
    ahead,
    ...(pending === undefined ? {} : { reason: pending.reason, infeasible: pending.notice === "infeasible" }),
  };
}

/** Those that wait, by what for. What was sent is left out: it is on its way. */
export function waitingTasksOf(tasks: Iterable<PendingTask>, view: TaskView, now: number): WaitingTasks[] {
  const groups = new Map<string, WaitingTasks>();
  for (const task of tasks) {
    const { phase, settings } = task;
    if (phase === "sent" || phase === "ended") continue;
    const key = phase === "queued" ? settings.shapeKey : phase;
    const ms = now - task.since;
    const { name } = settings.definition;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, groupOf(task, view, ms));
    else {
      group.count++;
      if (!group.names.includes(name) && group.names.length < MOST_NAMES) group.names.push(name);
      if (ms > group.ms) Object.assign(group, { ms, example: taskIdOf(view.process, task.sequence) });
    }
  }
  return [...groups.values()];
}

function groupOf(task: PendingTask, view: TaskView, ms: number): WaitingTasks {
  const { phase, settings } = task;
  const example = taskIdOf(view.process, task.sequence);
  const group: WaitingTasks = { phase, count: 1, names: [settings.definition.name], example, ms };
  if (phase !== "queued") return group;
  const { key, shape, pending } = view.queueOf(task);
  Object.assign(group, { key, shape });
  if (pending !== undefined) {
    group.reason = pending.reason;
    group.infeasible = pending.notice === "infeasible";
  }
  return group;
}
