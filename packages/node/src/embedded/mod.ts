/** A cluster inside one program. */
export { startEmbeddedCluster, EmbeddedCluster } from "./cluster.js";
export { AgentProcess } from "./agent-process.js";
export { planNodes } from "./options.js";
export { announceNode } from "../announce.js";
export type { AgentReady, AgentProcessOptions } from "./agent-process.js";
export type { EmbeddedNode } from "./cluster.js";
export type { EmbeddedOptions, EmbeddedNodeOptions, NodePlan } from "./options.js";
