/** What an agent and its workers tell each other, and what a worker prints. */
import { list, mapOf, number, oneOf, optional, text, tuple, uint, type Checked } from "../check.js";
import { processId, jobId } from "./id-checks.js";
import { Op } from "./op.js";

/**
 * `[60, lease, submitter, resources, gpus, visible]` agent -> worker, before the grant goes out: a lease on you. `gpus`:
 * numbers of its GPUs, for `context().gpuIds`. `visible`: CUDA_VISIBLE_DEVICES while its tasks run, empty for none;
 * absent on a node that offers no GPUs, where the variable is left alone.
 */
export const workerAssign = tuple<
  [
    op: 60,
    lease: string,
    submitter: string,
    resources: Record<string, number>,
    gpus: number[],
    visible: string | undefined,
  ]
>(oneOf(Op.WorkerAssign), text, processId, mapOf(number), list(uint, 1024), optional(text));
export type WorkerAssign = Checked<typeof workerAssign>;
/** `[61, reason]` agent -> worker: end, after what runs now and at most the agent's grace time. */
export const workerExit = tuple<[op: 61, reason: string]>(oneOf(Op.WorkerExit), text);
/** `[62, lease]` worker -> agent: every task of this lease awaits `get`; its CPUs may be used by others (also on this worker). */
export const workerBlocked = tuple<[op: 62, lease: string]>(oneOf(Op.WorkerBlocked), text);
/** `[63, lease]` worker -> agent: it goes on (accounting may be over total for a moment; work is never stopped for it). */
export const workerUnblocked = tuple<[op: 63, lease: string]>(oneOf(Op.WorkerUnblocked), text);
/** `[64, reason]` worker -> agent: it began the last call that it may run. No new leases; those that it has are asked back. */
export const workerRetired = tuple<[op: 64, reason: string]>(oneOf(Op.WorkerRetired), text);

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
