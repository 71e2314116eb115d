/**
 * With STINGRAY_TRACE set, every process of a cluster says when it reached which phase of its start and its end. The
 * times are of one clock, so that lines of several processes can be put in order.
 */
import { performance } from "node:perf_hooks";

const wanted = (process.env["STINGRAY_TRACE"] ?? "") !== "";

/** `12:03:04.567 driver 812 +345 ms: agents ready`, the milliseconds counted from the start of the process. */
export function trace(role: "driver" | "agent" | "worker", phase: string): void {
  if (!wanted) return;
  const time = new Date().toISOString().slice(11, 23);
  process.stderr.write(
    `stingray: trace ${time} ${role} ${process.pid} +${Math.round(performance.now())} ms: ${phase}\n`,
  );
}
