/** Heartbeats, deaths, and where large objects are. */
export { encodeHeartbeat, decodeHeartbeat } from "./heartbeat.js";
export { encodeDeath, decodeDeath } from "./death.js";
export { encodeObjectNews, decodeObjectNews } from "./locations.js";
export {
  publishHeartbeat,
  publishDeath,
  publishObjectNews,
  subscribeHeartbeatOf,
  subscribeHeartbeats,
  subscribeDeaths,
  subscribeObjectNews,
} from "./feed.js";
export {
  decodeProcessNews,
  encodeProcessNews,
  publishProcessNews,
  subscribeProcessNews,
} from "./process-news.js";
export type { Heartbeat } from "./heartbeat.js";
export type { Death } from "./death.js";
export type { ObjectNews } from "./locations.js";
export type { FeedSubscription, FeedHooks } from "./feed.js";
