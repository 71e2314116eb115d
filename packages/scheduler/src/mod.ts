/** Resource arithmetic, leases, bids and placement. No I/O. */
export { Resources, toUnits, UNITS } from "./amounts.js";
export { ResourceAccount, shortage } from "./account.js";
export { ClusterView } from "./view.js";
export { LabelSelector, parseLabelRule } from "./labels.js";
export { rank } from "./strategy.js";
export { LeaseScheduler } from "./leases.js";
export { defaultLimits } from "./types.js";
export type { Allocation } from "./account.js";
export type { Bid, ViewChange } from "./view.js";
export type { LabelRule } from "./labels.js";
export type { Fit, Ranked, RankOptions } from "./strategy.js";
export type { LeaseSchedulerOptions } from "./leases.js";
export type { LeaseState, LeaseEnd } from "./lease-state.js";
export type {
  Demand,
  OfferedDemand,
  OfferAnswer,
  LeaseEffects,
  LeaseLimits,
  LeaseSnapshot,
  Reservation,
  ReserveRequest,
} from "./types.js";
