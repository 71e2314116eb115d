/** Leases of workers. A demand is a level, not an event: sending it again changes nothing, sending 0 withdraws it. */
import {
  bool,
  finite,
  list,
  mapOf,
  number,
  oneOf,
  optional,
  record,
  text,
  tuple,
  uint,
  type Check,
  type Checked,
} from "../check.js";
import { exitReport, type ExitReport } from "./exits.js";
import { groupId, processId, nodeId, jobId } from "./id-checks.js";
import { Op } from "./op.js";
import { type WireError, wireErrorCheck } from "./wire-error.js";

/** What a worker must offer. Amounts are in the user's units, cut to multiples of 0.0001. */
export interface Shape {
  /** For example `{ CPU: 1, GPU: 0.5, special: 2 }`. */
  resources: Record<string, number>;
  /** Runtime environment beyond the job's own, if any. */
  runtimeEnv?: RuntimeEnvSpec | undefined;
  scheduling?: SchedulingSpec | undefined;
  labels?: Record<string, string> | undefined;
  priority?: number | undefined;
  /** The worker ends after this many tasks of this shape. */
  maxCalls?: number | undefined;
  /** Bytes of large arguments by the node where they lie: it runs there if there is room soon, else anywhere. */
  near?: Record<string, number> | undefined;
  /** No process with leases of others: its tasks may have their worker ended, or must not end with that of others. */
  alone?: boolean | undefined;
}
export interface RuntimeEnvSpec {
  envVars?: Record<string, string> | undefined;
  workingDir?: string | undefined;
  execArgv?: string[] | undefined;
  setup?: string | undefined;
}
/**
 * `node`: affinity, hard unless soft. `group`: in a bundle of a placement group, -1 for any of them; `capture`: what it
 * submits goes to the group, too.
 */
export type SchedulingSpec =
  | { kind: "default" }
  | { kind: "spread" }
  | { kind: "node"; node: string; soft: boolean }
  | { kind: "group"; group: string; bundle: number; capture: boolean };

export const runtimeEnvSpec = record<RuntimeEnvSpec>({
  envVars: optional(mapOf(text)),
  workingDir: optional(text),
  execArgv: optional(list(text, 1000)),
  setup: optional(text),
});
const kindOnly = record<{ kind: SchedulingSpec["kind"] }>({
  kind: oneOf("default", "spread", "node", "group"),
});
const affinitySpec = record<{ node: string; soft: boolean }>({ node: text, soft: bool });
const groupPlaceSpec = record<{ group: string; bundle: number; capture: boolean }>({
  group: groupId,
  bundle: finite,
  capture: bool,
});
const schedulingSpec: Check<SchedulingSpec> = (value, at) => {
  const { kind } = kindOnly(value, at);
  if (kind === "node") affinitySpec(value, at);
  else if (kind === "group") groupPlaceSpec(value, at);
  return value as SchedulingSpec;
};
export const shapeSpec = record<Shape>({
  resources: mapOf(number),
  runtimeEnv: optional(runtimeEnvSpec),
  scheduling: optional(schedulingSpec),
  labels: optional(mapOf(text)),
  priority: optional(finite),
  maxCalls: optional(uint),
  near: optional(mapOf(finite)),
  alone: optional(bool),
});

/**
 * `[50, job, key, shape, want, got?]` submitter -> its agent: I could use `want` more leases of this shape than I hold.
 * `key` is the submitter's own name of the shape, echoed in every answer. `got` is how many leases of this key have
 * reached it so far: those that were granted and are still on their way are not meant.
 */
export const leaseDemand = tuple<
  [op: 50, job: string, key: string, shape: Shape, want: number, got?: number | undefined]
>(oneOf(Op.LeaseDemand), jobId, text, shapeSpec, uint, optional(uint));
export type LeaseDemand = Checked<typeof leaseDemand>;

/** `[51, lease, workerUsable]` submitter -> granting agent: the worker is free. An unknown lease is no error. */
export const leaseReturn = tuple<[op: 51, lease: string, workerUsable: boolean]>(
  oneOf(Op.LeaseReturn),
  text,
  bool,
);

/** `[52, key, lease, worker, node, agent]` granting agent -> submitter. Lowers the demand of that key by one. */
export const leaseGrant = tuple<
  [op: 52, key: string, lease: string, worker: string, node: string, agent: string]
>(oneOf(Op.LeaseGrant), text, text, processId, nodeId, processId);
export type LeaseGrant = Checked<typeof leaseGrant>;

/**
 * `[53, lease]` granting agent -> submitter: others wait; send nothing more, take back what has not begun, and return it
 * when the rest is done. An unknown lease is returned at once.
 */
export const leaseRevoke = tuple<[op: 53, lease: string]>(oneOf(Op.LeaseRevoke), text);

/** `[54, lease, worker, report]` granting agent -> submitter: the worker ended while leased. */
export const leaseLost = tuple<[op: 54, lease: string, worker: string, report: ExitReport]>(
  oneOf(Op.LeaseLost),
  text,
  processId,
  exitReport,
);
export type LeaseLost = Checked<typeof leaseLost>;

/**
 * `[55, key, error, part?]` agent -> submitter: no worker of this shape can be had; all tasks waiting for it fail with this
 * error. With `part`: not by this node, which had promised so many leases to the submitter's agent; others may have some.
 */
export const leaseFailed = tuple<[op: 55, key: string, error: WireError, part?: number | undefined]>(
  oneOf(Op.LeaseFailed),
  text,
  wireErrorCheck(),
  optional(uint),
);
/**
 * What a reason for waiting is for: `note`: to be shown to who asks; `busy`: it has taken long, the user should know;
 * `infeasible`: no node of the cluster can ever do it, the user should know.
 */
export const PENDING_NOTICES = ["note", "busy", "infeasible"] as const;
export type PendingNotice = (typeof PENDING_NOTICES)[number];

/** `[56, key, reason, notice?]` agent -> submitter: still waiting, and why. Without `notice`: `busy`. */
export const leasePending = tuple<[op: 56, key: string, reason: string, notice: PendingNotice | undefined]>(
  oneOf(Op.LeasePending),
  text,
  text,
  optional(oneOf(...PENDING_NOTICES)),
);

/**
 * `[57, key, lease, coming, promised?]` agent -> submitter, for shapes that are to be spread: a place was found for this lease, on
 * whatever node, and it is granted as soon as it has a worker; keep a task for it. `coming` false: it is not granted
 * after all. While another node is asked, a name of the offer stands for the lease. The grant may come first.
 * With `promised`, for any shape: a node had promised the lease to the submitter's agent, which counts it as one that is
 * on its way until it hears in `got` of LeaseDemand that it is not.
 */
export const leaseComing = tuple<
  [op: 57, key: string, lease: string, coming: boolean, promised?: boolean | undefined]
>(oneOf(Op.LeaseComing), text, text, bool, optional(bool));
