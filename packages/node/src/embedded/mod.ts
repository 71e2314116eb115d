/** A cluster inside one program. */
export { startEmbeddedCluster, EmbeddedCluster } from "./cluster.js";
export type { EmbeddedNode } from "./cluster.js";
export type { EmbeddedOptions, EmbeddedNodeOptions } from "./options.js";
