/** What an agent and its workers tell each other, and what a worker prints. */
import { list, mapOf, number, oneOf, text, tuple, uint, type Checked } from "../check.js";
import { processId, jobId } from "./id-checks.js";
import { Op } from "./op.js";

/**
 * `[60, lease, submitter, resources, gpus]` agent -> worker, before the grant goes out: a lease on you. GPU numbers
 * are set as CUDA_VISIBLE_DEVICES before its first task runs.
 */
export const workerAssign = tuple<
  [op: 60, lease: string, submitter: string, resources: Record<string, number>, gpus: number[]]
>(oneOf(Op.WorkerAssign), text, processId, mapOf(number), list(uint, 1024));
export type WorkerAssign = Checked<typeof workerAssign>;
/** `[61, reason]` agent -> worker: end, after what runs now and at most the agent's grace time. */
export const workerExit = tuple<[op: 61, reason: string]>(oneOf(Op.WorkerExit), text);
/** `[62, lease]` worker -> agent: every task of this lease awaits `get`; its CPUs may be used by others (also on this worker). */
export const workerBlocked = tuple<[op: 62, lease: string]>(oneOf(Op.WorkerBlocked), text);
/** `[63, lease]` worker -> agent: it goes on (accounting may be over total for a moment; work is never stopped for it). */
export const workerUnblocked = tuple<[op: 63, lease: string]>(oneOf(Op.WorkerUnblocked), text);

/** `[80, job, pid, name, stream, lines]` agent -> driver: output of a worker. `stream` 1 stdout, 2 stderr. */
export const logs = tuple<[op: 80, job: string, pid: number, name: string, stream: 1 | 2, lines: string[]]>(
  oneOf(Op.Logs),
  jobId,
  uint,
  text,
  oneOf(1, 2),
  list(text),
);
export type Logs = Checked<typeof logs>;
