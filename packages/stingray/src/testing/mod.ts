/** A cluster in one line inside a test: `import { testCluster, eventually } from "stingray/testing"`. */
export { testCluster, TestCluster } from "./cluster.js";
export { TestClock } from "./clock.js";
export { eventually, rejection } from "@stingray/protocol/testing";
export { collectGarbage } from "./garbage.js";
export { TestBroker } from "./broker.js";
export { TestNode } from "./node.js";
export { MarkedProcesses, TestProcess, isRunning } from "./processes.js";
export type { EventuallyOptions, Truthy } from "@stingray/protocol/testing";
export type { LineFaults } from "./network/line.js";
export type { TestClusterOptions } from "./options.js";
export type { TestNodeState } from "./node.js";
export { HistoryFile } from "./history.js";
export type { CallName, CallTerms, HistoryEvent } from "./history.js";
export { checkHistory } from "./history-check.js";
export type { HistoryRule, HistoryViolation } from "./history-check.js";
