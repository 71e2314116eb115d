/** Errors that a submitter makes for tasks that did not come back. */
import {
  DRAINING,
  OutOfMemoryError,
  TaskCancelledError,
  TaskTimeoutError,
  WorkerCrashedError,
  decodeCause,
  describeMemoryEnd,
  memoryDetail,
  type ExitReport,
  type StingrayError,
} from "@stingray/protocol";
import { lastWords } from "./last-words.js";

export function cancelled(name: string): TaskCancelledError {
  return new TaskCancelledError(`${name} was cancelled`);
}

/** Each of them would have been another worker's end, or a lease that its agent never told it of. */
export function sentBackTooOften(name: string, times: number): WorkerCrashedError {
  return new WorkerCrashedError(
    `${name} was sent back unstarted by ${times} workers in a row; read the logs of the workers, and submit it again`,
  );
}

/** Why a task whose worker ended has failed. */
export function workerEnded(
  name: string,
  report: ExitReport | undefined,
  node: string,
  attempts: number,
  task: {
    /** Where the worker was ended for a task, it was another one. */
    ofOther: boolean;
    timeoutMs?: number | undefined;
  } = { ofOther: false },
): StingrayError {
  const tries = attempts > 1 ? `, after ${attempts} attempts` : "";
  if (report === undefined) {
    return new WorkerCrashedError(
      `the worker that ran ${name} can't be reached: its node ${node} is gone or cut off${tries}; ` +
        "give the task more maxRetries, or look at that node",
    );
  }
  const { pid, exitCode, signal, stderr, reason, memory, error } = report;
  const detail = {
    pid,
    node,
    exitCode: exitCode ?? null,
    signal: signal ?? null,
    reason: reason ?? null,
    stderr,
  };
  if (task.ofOther && (reason === "cancelled" || reason === "timeout")) {
    const why = reason === "cancelled" ? "was cancelled by force" : "took longer than its timeoutMs";
    return new WorkerCrashedError(
      `the worker of ${name} (pid ${pid} on node ${node}) was ended for another task in it that ${why}${tries}`,
      { detail },
    );
  }
  if (reason === "cancelled")
    return new TaskCancelledError(`${name} was cancelled and its worker (pid ${pid}) ended`, { detail });
  if (reason === "timeout") {
    return new TaskTimeoutError(
      `${name} took longer than its timeoutMs (${task.timeoutMs ?? "?"} ms) and its worker (pid ${pid}) was ended${tries}`,
      { detail },
    );
  }
  const how = signal !== undefined ? `by signal ${signal}` : `with exit code ${exitCode ?? "?"}`;
  const words = lastWords(stderr).map((line) => line.trim());
  const output = words.length > 0 ? `; its last output: ${words.join(" | ")}` : "";
  if (memory !== undefined) {
    return new OutOfMemoryError(
      `the worker that ran ${name} (pid ${pid} on node ${node}) ended for want of memory${tries}: ${describeMemoryEnd(memory)}`,
      { detail: { ...detail, ...memoryDetail(memory) } },
    );
  }
  if (reason === DRAINING) {
    return new WorkerCrashedError(
      `${name} still ran on node ${node} when that node, which was drained, had to go, and its worker (pid ${pid}) was ` +
        "ended; give the drain a longer deadline, or the task maxRetries, so that it is run again on another node",
      { detail },
    );
  }
  const why = reason !== undefined ? ` (${reason})` : "";
  // What nobody caught is told as the cause, with its class and stack.
  const cause = error === undefined ? undefined : decodeCause(error);
  return new WorkerCrashedError(
    `the worker that ran ${name} (pid ${pid} on node ${node}) ended ${how}${why}${tries}${output}`,
    cause === undefined ? { detail } : { cause, detail },
  );
}
