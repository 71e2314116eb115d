/** How the nodes of a cluster find each other room: standing bids, calls and offers. */
export { Bidding } from "./bidding.js";
export { STANDING_LIMITS } from "./standing-bids.js";
export type { BiddingCounters, BiddingOptions } from "./options.js";
export type { StandingLimits } from "./standing-bids.js";
