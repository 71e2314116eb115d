/** What is said of an actor whose process ended. */
import {
  OutOfMemoryError,
  WorkerCrashedError,
  decodeCause,
  describeMemoryEnd,
  memoryDetail,
  type ActorSpec,
  type ExitReport,
} from "@stingray/protocol";
import { lastWords } from "@stingray/task/internal";
import { describeExit } from "../pool/start-error.js";
import { describe } from "./actor-directory.js";

/**
 * The error that callers get as the cause of an ActorDiedError, or that says what they wait for.
 * @param report of the end of its process; undefined: it was gone before it was used
 * @param restarts so far
 */
export function crashError(
  spec: ActorSpec,
  report: ExitReport | undefined,
  restarts: number,
): WorkerCrashedError {
  const who = `the process of ${describe(spec)}`;
  const budget = describeBudget(spec, restarts);
  if (report === undefined) {
    return new WorkerCrashedError(`${who} ended before it was used${budget}`, { detail: detailOf(report) });
  }
  return endError(`${who} (pid ${report.pid})`, report, budget);
}

/**
 * What is said of a process that hosted actors and ended.
 * @param who `the process … (pid 12)`
 * @param after goes on after what happened
 */
export function endError(who: string, report: ExitReport, after: string): WorkerCrashedError {
  const { memory, error } = report;
  if (memory !== undefined) {
    return new OutOfMemoryError(
      `${who} ended for want of memory${whileIn(report)}: ${describeMemoryEnd(memory)}${after}`,
      { detail: { ...detailOf(report), ...memoryDetail(memory) } },
    );
  }
  return new WorkerCrashedError(`${who} ended${whyOf(report)}${after}`, {
    detail: detailOf(report),
    ...(error === undefined ? {} : { cause: decodeCause(error) }),
  });
}

function whyOf(report: ExitReport): string {
  const { error, stderr, reason } = report;
  if (error !== undefined && reason === undefined) {
    const name = error.name ?? error.code;
    return `: nobody caught ${name}: ${error.message}. It was thrown outside of what a call waits for, as in a timer or a promise without await`;
  }
  const words = lastWords(stderr).map((line) => line.trim());
  const output = words.length > 0 ? `; its last output: ${words.join(" | ")}` : "";
  return ` (${describeExit(report)})${hintOf(report)}${output}`;
}

function whileIn({ running }: ExitReport): string {
  return running === undefined ? "" : ` while it was in ${running}`;
}

/** What usually makes a process end like this. */
function hintOf({ signal, reason, exitCode }: ExitReport): string {
  if (reason !== undefined) return "";
  if (signal === "SIGKILL") return ": somebody outside of the cluster killed it, or the kernel did";
  if (signal !== undefined) return ": native code crashed, or somebody sent it the signal";
  if (exitCode === undefined) return "";
  return `: something in it called process.exit()${exitCode === 0 ? ", or somebody sent it SIGTERM" : ""}`;
}

function describeBudget({ maxRestarts }: ActorSpec, restarts: number): string {
  if (maxRestarts < 0 || restarts < maxRestarts) return "";
  if (maxRestarts === 0) return "; with maxRestarts it would have come back";
  return `; it was restarted ${restarts} time${restarts === 1 ? "" : "s"}, which is all that its maxRestarts allows`;
}

function detailOf(
  report: ExitReport | undefined,
): Record<string, string | number | null | readonly string[]> {
  return {
    pid: report?.pid ?? 0,
    exitCode: report?.exitCode ?? null,
    signal: report?.signal ?? null,
    reason: report?.reason ?? null,
    running: report?.running ?? null,
    stderr: report?.stderr ?? [],
  };
}
