/** What is told of a worker that ended, or that could not be started or prepared. */
import {
  ConnectionError,
  RuntimeEnvError,
  TimeoutError,
  type ExitReport,
  type StingrayError,
} from "@stingray/protocol";

/** `exit code 1`, `signal SIGKILL`, with the agent's reason if it has one. */
export function describeExit(report: ExitReport): string {
  const how =
    report.signal === undefined ? `exit code ${report.exitCode ?? "unknown"}` : `signal ${report.signal}`;
  return report.reason === undefined ? how : `${how}: ${report.reason}`;
}

/**
 * For those who wait for the worker.
 * @param cause what was thrown while it was prepared; undefined: it ended before
 * @param report of its end, if that is known
 * @param lines the last ones of its standard error
 */
export function startError(
  pid: number,
  cause: Error | undefined,
  report: ExitReport | undefined,
  lines: readonly string[],
): StingrayError {
  if (cause instanceof RuntimeEnvError && report === undefined) return cause;
  const stderr = report?.stderr ?? lines;
  const detail = { pid, stderr, exitCode: report?.exitCode ?? null, signal: report?.signal ?? null };
  return new RuntimeEnvError(
    `worker process ${pid} could not be prepared for its job: ${whatHappened(cause, report)}. ` +
      `Mend the runtime environment (workingDir, setup, execArgv, envVars) or the module that failed` +
      (stderr.length > 0 ? `; its last output:\n${stderr.join("\n")}` : ""),
    cause === undefined ? { detail } : { cause, detail },
  );
}

/** How it ended says more than that it could not be spoken to. */
function whatHappened(cause: Error | undefined, report: ExitReport | undefined): string {
  const silent = cause instanceof TimeoutError || cause instanceof ConnectionError;
  if (cause !== undefined && !silent) return cause.message;
  return report === undefined
    ? "did not answer in time"
    : `ended before it was ready (${describeExit(report)})`;
}
