/** The node agent, clusters inside a program, and what a machine's processes know of each other. */
export { Agent } from "./agent/agent.js";
export { startEmbeddedCluster, EmbeddedCluster } from "./embedded/mod.js";
export { captureOutput, LogPrinter, formatLine, NAME_MARKER } from "./logs/mod.js";
export { clusterIdOf, findLocalNode, listNodeFiles, runtimeRoot } from "./runtime-files.js";
export { sweepDeadNodes } from "./sweep.js";
export type { AgentIdentity, StopOptions } from "./agent/agent.js";
export type { AgentOptions } from "./agent/options.js";
export type { EmbeddedNode, EmbeddedNodeOptions, EmbeddedOptions } from "./embedded/mod.js";
export type {
  CaptureOptions,
  OutputCapture,
  StreamNumber,
  OutputLine,
  LogPrinterOptions,
} from "./logs/mod.js";
export type { NodeFile } from "./runtime-files.js";
export type { WorkerConfig } from "./worker-config.js";
