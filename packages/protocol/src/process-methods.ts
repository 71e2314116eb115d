/** Request methods that every driver and worker serves. */
import { list, oneOf, record, uint } from "./check.js";
import { empty, method } from "./method.js";
import { taskId } from "./messages/id-checks.js";
import { processMemory, type ProcessMemory } from "./messages/store.js";
import { WAIT_SIDES, waitState, type WaitSide, type WaitState } from "./messages/waits-for.js";
import { processWhy, waitingTasks, type ProcessWhy, type WaitingTasks } from "./messages/why.js";

/** Served by every driver and worker. */
export const Process = {
  /** Still there? Asked by the home agent of a driver whose end shows nowhere else: it has no socket to the agent. */
  ping: method<object, object>("process.ping", empty, empty),
  /** The objects that it owns or borrows, by what is known of their values; at most `limit` of them, largest first. */
  memory: method<{ limit: number }, ProcessMemory>("process.memory", record({ limit: uint }), processMemory),
  /** What it knows of a task that it has submitted or runs. */
  why: method<{ task: string }, ProcessWhy>("process.why", record({ task: taskId }), processWhy),
  /** The tasks that it has submitted and that wait, by what they wait for. */
  waits: method<object, { tasks: WaitingTasks[] }>(
    "process.waits",
    empty,
    record({ tasks: list(waitingTasks, 10_000) }),
  ),
  /**
   * What keeps these tasks and calls from going on, as this process sees them: as the one that submitted them, or as the
   * one that runs them. In the order asked for.
   */
  waitStates: method<{ tasks: string[]; side: WaitSide }, { states: WaitState[] }>(
    "process.waitStates",
    record({ tasks: list(taskId, 10_000), side: oneOf(...WAIT_SIDES) }),
    record({ states: list(waitState, 10_000) }),
  ),
} as const;
