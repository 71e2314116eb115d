/** Placement groups: what they are made of, and what is known of them. */
import { bool, list, mapOf, number, oneOf, optional, record, text, uint, type Check } from "../check.js";
import { groupId, jobId } from "./id-checks.js";
import { type WireError, wireErrorCheck } from "./wire-error.js";

/** How the bundles of a group are put on nodes. */
export const GROUP_STRATEGIES = ["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"] as const;
/**
 * PACK: as few nodes as possible. SPREAD: different nodes where there are enough. STRICT_PACK: one node, or it waits.
 * STRICT_SPREAD: all on different nodes, or it waits.
 */
export type GroupStrategy = (typeof GROUP_STRATEGIES)[number];

/**
 * PENDING: nothing is reserved yet. CREATED: all bundles are. RESCHEDULING: some were lost with their nodes and are to
 * be placed anew; the others go on. REMOVED: for good.
 */
export const GROUP_STATES = ["PENDING", "CREATED", "RESCHEDULING", "REMOVED"] as const;
export type GroupStateName = (typeof GROUP_STATES)[number];

/** More bundles than this are refused. */
export const MAX_BUNDLES = 1_000;
/** What each bundle reserves, in the user's units. */
export const bundleList: Check<Record<string, number>[]> = list(mapOf(number), MAX_BUNDLES);

/** A group as it is asked for. */
export interface GroupSpec {
  group: string;
  /** It ends with this job, unless detached. */
  job: string;
  detached: boolean;
  name?: string | undefined;
  namespace: string;
  strategy: GroupStrategy;
  bundles: Record<string, number>[];
}
const specFields = {
  group: groupId,
  job: jobId,
  detached: bool,
  name: optional(text),
  namespace: text,
  strategy: oneOf(...GROUP_STRATEGIES),
  bundles: bundleList,
};
export const groupSpec = record<GroupSpec>(specFields);

/** A group as its users see it. */
export interface GroupView extends GroupSpec {
  state: GroupStateName;
  /** The node of each bundle, by index; empty text where it has none. */
  nodes: string[];
  /** Grows with every change. */
  revision: number;
  /** REMOVED: why. PENDING, RESCHEDULING: what it waits for, if known. */
  cause?: WireError | undefined;
}
export const groupView = record<GroupView>({
  ...specFields,
  state: oneOf(...GROUP_STATES),
  nodes: list(text, MAX_BUNDLES),
  revision: uint,
  cause: optional(wireErrorCheck()),
});

/** Bundles of one group that one node is to reserve. */
export interface BundleReservation {
  group: string;
  job: string;
  detached: boolean;
  /** Names this try of its planner; what a later message with another name says is not about it. */
  attempt: string;
  bundles: { index: number; resources: Record<string, number> }[];
  /** After so many milliseconds without a commit they are given back. */
  deadlineMs: number;
}
export const bundleReservation = record<BundleReservation>({
  group: groupId,
  job: jobId,
  detached: bool,
  attempt: text,
  bundles: list(
    record<{ index: number; resources: Record<string, number> }>({ index: uint, resources: mapOf(number) }),
    MAX_BUNDLES,
  ),
  deadlineMs: uint,
});
