/** How a process ended. Amounts of memory are bytes. */
import { list, number, oneOf, optional, record, text, uint } from "../check.js";
import { wireErrorCheck, type WireError } from "./wire-error.js";

/**
 * What ran out. `heap`: V8 gave up at its heap limit. `declared`: it used more than its tasks or actor had declared, and
 * the node enforces that. `machine`: its machine (or control group) was nearly out of memory, and the agent chose it to
 * make room. `kernel`: the kernel ended it for the same reason.
 */
export const MEMORY_ENDS = ["heap", "declared", "machine", "kernel"] as const;
export type MemoryEndKind = (typeof MEMORY_ENDS)[number];

/** A process that ended for want of memory. */
export interface MemoryEnd {
  kind: MemoryEndKind;
  /** Of the process, as seen last: its heap for `heap`, else its own resident memory. */
  used: number;
  /** What it may have had, where there is such a limit: of its heap, or as declared. */
  limit?: number | undefined;
  /** Of the machine or control group, where that was short. */
  total?: number | undefined;
  available?: number | undefined;
}
export const memoryEnd = record<MemoryEnd>({
  kind: oneOf(...MEMORY_ENDS),
  used: uint,
  limit: optional(uint),
  total: optional(uint),
  available: optional(uint),
});

/** How a process ended, as its agent saw it. */
export interface ExitReport {
  pid: number;
  exitCode?: number | undefined;
  signal?: string | undefined;
  /** Last lines of its standard error. */
  stderr: string[];
  /** Why the agent ended it, if it did: `cancelled`, `memory`, `job-ended`, `killed`, `draining`, … */
  reason?: string | undefined;
  /** The function or method that it was in when it ended, where that is known. */
  running?: string | undefined;
  /** The error that nobody caught, if that ended it. */
  error?: WireError | undefined;
  /** It ended for want of memory. */
  memory?: MemoryEnd | undefined;
}
export const exitReport = record<ExitReport>({
  pid: uint,
  exitCode: optional(number),
  signal: optional(text),
  stderr: list(text, 1000),
  reason: optional(text),
  running: optional(text),
  error: optional(wireErrorCheck()),
  memory: optional(memoryEnd),
});
