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
  const where = report.running === undefined ? how : `${how} in ${report.running}`;
  return report.reason === undefined ? where : `${where}: ${report.reason}`;
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
  const limit = limitOf(cause);
  if (limit !== undefined) {
    return new RuntimeEnvError(`no worker process could be started: ${cause?.message}; ${limit}`, { cause });
  }
  const stderr = report?.stderr ?? lines;
  const detail = { pid, stderr, exitCode: report?.exitCode ?? null, signal: report?.signal ?? null };
  return new RuntimeEnvError(
    `worker process ${pid} could not be prepared for its job: ${whatHappened(cause, report)}. ` +
      `Mend the runtime environment (workingDir, setup, execArgv, envVars) or the module that failed` +
      (stderr.length > 0 ? `; its last output:\n${stderr.join("\n")}` : ""),
    cause === undefined ? { detail } : { cause, detail },
  );
}

/** What a machine that has no room for another process is short of, and what to do about it. */
const LIMITS: Readonly<Record<string, string>> = {
  EMFILE:
    "the node agent has as many files open as one process may; raise the limit (ulimit -n) under which it is started, or start fewer workers",
  ENFILE:
    "as many files are open as the system may have; raise its limit (fs.file-max), or start fewer workers",
  EAGAIN:
    "the user has as many processes as are allowed; raise the limit (ulimit -u, or that of the container), or start fewer workers",
  ENOMEM: "the machine is out of memory; start fewer workers, or give them more of it",
};

function limitOf(cause: NodeJS.ErrnoException | undefined): string | undefined {
  return cause?.syscall?.startsWith("spawn") === true ? LIMITS[cause.code ?? ""] : undefined;
}

/** How it ended says more than that it could not be spoken to. */
function whatHappened(cause: Error | undefined, report: ExitReport | undefined): string {
  const silent = cause instanceof TimeoutError || cause instanceof ConnectionError;
  if (cause !== undefined && !silent) return cause.message;
  return report === undefined
    ? "did not answer in time"
    : `ended before it was ready (${describeExit(report)})`;
}
