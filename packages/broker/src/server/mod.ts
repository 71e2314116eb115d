/** The broker process: finding or installing nats-server, and running one that ends with its parent. */
export { findNatsServer } from "./find.js";
export { EmbeddedBroker } from "./embedded.js";
export { startServer } from "./start.js";
export type { FindOptions, FoundServer } from "./find.js";
export type { EmbeddedBrokerOptions } from "./embedded.js";
export type { StartServerOptions, RunningServer } from "./start.js";
export type { ServerPorts } from "./ports.js";
