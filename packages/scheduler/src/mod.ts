/** Resource arithmetic, leases, bids and placement. No I/O. */
export { Resources, toUnits, UNITS } from "./amounts.js";
export { ResourceAccount, shortage } from "./account.js";
export { ClusterView } from "./view.js";
export { LabelSelector, parseLabelRule } from "./labels.js";
export { ACCELERATOR_TYPE, callClass, classesNeeded, classesOf } from "./classes.js";
export { rank } from "./strategy.js";
export { BundleBook, BundleLostError } from "./bundle-book.js";
export { planBundles } from "./bundles.js";
export { groupTarget } from "./group-route.js";
export { LeaseScheduler } from "./leases.js";
export { defaultLimits } from "./types.js";
export type { Allocation } from "./account.js";
export type { TrailEntry } from "./trail.js";
export type { NodeFacts } from "./facts.js";
export type { Bid, ViewChange } from "./view.js";
export type { LabelRule } from "./labels.js";
export type { Fit, Ranked, RankOptions } from "./strategy.js";
export type { Bundle, BundleState } from "./bundle-book.js";
export type { BundlePlan, PlanRequest } from "./bundles.js";
export type { GroupLookup, GroupPlacement, GroupTarget } from "./group-route.js";
export type { LeaseSchedulerOptions } from "./leases.js";
export type { LeaseState, LeaseEnd } from "./lease-state.js";
export type {
  Demand,
  OfferedDemand,
  OfferAnswer,
  CallAnswer,
  LeaseEffects,
  LeaseLimits,
  LeaseSnapshot,
  Reservation,
  ReserveRequest,
  WorkerFate,
} from "./types.js";
