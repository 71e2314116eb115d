/** A cluster in one line inside a test: `import { … } from "stingray/testing"`. */
export type { Cluster } from "../cluster.js";
export { HistoryFile } from "./history.js";
export type { CallName, CallTerms, HistoryEvent } from "./history.js";
export { checkHistory } from "./history-check.js";
export type { HistoryRule, HistoryViolation } from "./history-check.js";
