/** What agents ask and answer each other about leases, in plain NATS requests: a bid, an ask, and what came of it. */
import { resourceAmounts, bool, list, mapOf, optional, record, text, uint } from "../check.js";
import { jobId, nodeId, processId } from "./id-checks.js";
import { shapeSpec, type Shape } from "./leases.js";

/** What a node says that it has free. Amounts in the user's units. */
export interface BidSpec {
  node: string;
  /** Process id of its agent. */
  agent: string;
  available: Record<string, number>;
  total: Record<string, number>;
  labels: Record<string, string>;
  /** Demand that waits there. */
  queued: number;
  idleWorkers: number;
  draining: boolean;
  /** Grows with every bid of the node. */
  sequence: number;
}
export const bidSpec = record<BidSpec>({
  node: nodeId,
  agent: processId,
  available: resourceAmounts,
  total: resourceAmounts,
  labels: mapOf(text),
  queued: uint,
  idleWorkers: uint,
  draining: bool,
  sequence: uint,
});

/** A directed offer, or a call to whoever has room: grant `count` leases straight to the submitter now, or say why not. */
export interface LeaseAsk {
  /** Single use: `<node of the asker>.<number>`, the numbers of an asker only grow. */
  offer: string;
  /** Process id and node of the agent that asks. */
  asker: string;
  askerNode: string;
  job: string;
  submitter: string;
  /** Where the submitter runs, if on a node. */
  submitterNode?: string | undefined;
  /** The submitter's own name of the shape. */
  key: string;
  shape: Shape;
  /** 0: only the bid is wanted. */
  count: number;
  /** Milliseconds after which nobody waits for the answer any more. */
  deadlineMs: number;
}
export const leaseAsk = record<LeaseAsk>({
  offer: text,
  asker: processId,
  askerNode: nodeId,
  job: jobId,
  submitter: processId,
  submitterNode: optional(nodeId),
  key: text,
  shape: shapeSpec,
  count: uint,
  deadlineMs: uint,
});

/** What another node granted of a call that was passed on to it. */
export interface PassedOn {
  node: string;
  granted: number;
  leases?: string[] | undefined;
}

/** What came of an ask. `reason` where not all of it was granted. */
export interface LeaseAnswer {
  /** By the node that answers. */
  granted: number;
  /** What was granted, for shapes that are to be spread. */
  leases?: string[] | undefined;
  reason?: string | undefined;
  /** Of the node that answers, after what it granted. */
  bid: BidSpec;
  passed?: PassedOn | undefined;
  /** Nodes to try next, as far as the answering one knows. */
  others?: BidSpec[] | undefined;
}
export const leaseAnswer = record<LeaseAnswer>({
  granted: uint,
  leases: optional(list(text)),
  reason: optional(text),
  bid: bidSpec,
  passed: optional(record<PassedOn>({ node: nodeId, granted: uint, leases: optional(list(text)) })),
  others: optional(list(bidSpec, 100)),
});

/** `demand` feed: room at a node, for one of those who wait for it. `hops`: how often it was handed on unused. */
export interface RoomNews {
  bid: BidSpec;
  hops: number;
}
export const roomNews = record<RoomNews>({ bid: bidSpec, hops: uint });
