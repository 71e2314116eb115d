/** A worker keeps how it does where its agent can read it at any time, also while this loop stands still and after its end. */
import { closeSync, ftruncateSync, openSync } from "node:fs";
import { toError } from "@stingray/protocol";
import { mappedFiles } from "@stingray/objectstore";
import { PAGE_BYTES, VitalsWriter, marks } from "@stingray/task/internal";
import { fatalReportName, vitalsPath } from "../vitals-files.js";
import type { WorkerConfig } from "../worker-config.js";

/**
 * Undefined where memory can't be shared: the agent then knows less.
 * @param pending calls that this process has and that have not ended
 */
export function keepVitals(
  { storeDir, worker }: Pick<WorkerConfig, "storeDir" | "worker">,
  pending: () => number,
): VitalsWriter | undefined {
  reportFatal(storeDir, worker);
  const files = mappedFiles();
  if (files === undefined) return undefined;
  const fd = openSync(vitalsPath(storeDir, worker), "w+", 0o600);
  try {
    ftruncateSync(fd, PAGE_BYTES);
    // Mapped as long as the process lives.
    const mapping = files.map(fd, PAGE_BYTES, "shared", true);
    if (mapping === undefined) return undefined;
    const writer = new VitalsWriter(mapping.buffer, pending);
    marks.current = writer;
    process.on("uncaughtExceptionMonitor", (error) => {
      if (!isCaught()) writer.lastWords(toError(error));
    });
    writer.start();
    return writer;
  } finally {
    closeSync(fd);
  }
}

/** Whether user code sees to errors that nobody else catches, so that the process goes on. */
function isCaught(): boolean {
  return process.listenerCount("uncaughtException") > 0 || process.hasUncaughtExceptionCaptureCallback();
}

/** Unless the user wants that report elsewhere, Node writes it where the agent looks for it. */
function reportFatal(directory: string, worker: string): void {
  const { report } = process;
  if (report === undefined || report.reportOnFatalError) return;
  Object.assign(report, {
    reportOnFatalError: true,
    directory,
    filename: fatalReportName(worker),
    compact: true,
    excludeNetwork: true,
  });
}
