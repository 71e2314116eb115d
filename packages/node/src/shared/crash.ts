/** What is said of actors whose common process has ended. */
import { WorkerCrashedError, encodeError, type ExitReport, type WireError } from "@stingray/protocol";
import { describeExit } from "../pool/start-error.js";

export function crashOf(worker: string, actors: number, report: ExitReport): WireError {
  const last = report.stderr.length === 0 ? "" : `; its last output:\n${report.stderr.join("\n")}`;
  const others = actors === 1 ? "one actor with shared isolation" : `${actors} actors with shared isolation`;
  return encodeError(
    new WorkerCrashedError(
      `the process ${worker} that hosts ${others} ended (${describeExit(report)}), and all of them with it${last}`,
      {
        detail: {
          pid: report.pid,
          exitCode: report.exitCode ?? null,
          signal: report.signal ?? null,
          reason: report.reason ?? null,
          stderr: report.stderr,
        },
      },
    ),
  );
}
