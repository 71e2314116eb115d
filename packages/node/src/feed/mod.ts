/** Heartbeats and deaths. */
export { encodeHeartbeat, decodeHeartbeat } from "./heartbeat.js";
export { encodeDeath, decodeDeath } from "./death.js";
export { publishHeartbeat, publishDeath, subscribeHeartbeats, subscribeDeaths } from "./feed.js";
export type { Heartbeat } from "./heartbeat.js";
export type { Death } from "./death.js";
export type { FeedSubscription, FeedHooks } from "./feed.js";
