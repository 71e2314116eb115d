/** Connecting to the broker, and what it can do. */
export { connectBroker } from "./connect.js";
export { requireJetStream } from "./jetstream.js";
export { FEATURES, OLDEST_SERVER, isAtLeast, serverVersion, supports } from "./features.js";
export { watchConnection } from "./watch.js";
export type { BrokerOptions, BrokerAuth, BrokerTls } from "./options.js";
export type { Feature } from "./features.js";
export type { BrokerEvent } from "./watch.js";
