/** What a driver needs of this package, and nothing that takes long to load: its local agent, and showing output of workers. */
export { clusterIdOf, findLocalNode, listNodeFiles, runtimeRoot } from "./runtime-files.js";
export { isAlive, processStartTime } from "./process-info.js";
export { formatLine, wantsColour } from "./logs/format.js";
export { LogPrinter } from "./logs/printer.js";
export { joinCluster } from "./join-cluster.js";
export { closeToTheDead } from "./feed/closes.js";
export type { JoinedCluster } from "./join-cluster.js";
export type { NodeFile } from "./runtime-files.js";
export type { FormatOptions, OutputLine } from "./logs/format.js";
export type { LogPrinterOptions } from "./logs/printer.js";
