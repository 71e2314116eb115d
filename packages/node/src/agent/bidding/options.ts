/** What a node's part in the scheduling is made of, and what it counts. */
import type { NatsConnection } from "@nats-io/nats-core";
import type { NodeId, ProcessId, SchedulingSpec, Subjects } from "@stingray/protocol";
import type {
  Bid,
  ClusterView,
  LeaseEffects,
  LeaseLimits,
  LeaseSchedulerOptions,
  ResourceAccount,
} from "@stingray/scheduler";
import type { FeedHooks, Heartbeat } from "../../feed/mod.js";
import type { AnsweringCounters } from "./answering.js";
import type { RequestCounters } from "./requests.js";
import type { StandingLimits } from "./standing-bids.js";

export interface BiddingOptions {
  connection: NatsConnection;
  subjects: Subjects;
  node: NodeId;
  agent: ProcessId;
  labels: Record<string, string>;
  account: ResourceAccount;
  bundles?: LeaseSchedulerOptions["bundles"];
  groups?: LeaseSchedulerOptions["groups"];
  /** Tell it the facts of every node, this one too (`view.fact`), and when one is gone (`view.remove`). */
  view: ClusterView;
  /** What the scheduler does with workers and submitters. What it asks of other nodes is done here. */
  effects: Omit<LeaseEffects, "offer" | "call" | "waiting" | "settled">;
  limits?: Partial<LeaseLimits> | undefined;
  standing?: Partial<StandingLimits> | undefined;
  /** Milliseconds between heartbeats. @defaultValue 1000 */
  heartbeatMs?: number | undefined;
  /** What the node says of itself beyond its bid. @defaultValue nothing worth knowing */
  state?: (() => Omit<Heartbeat, keyof Bid>) | undefined;
  /** @defaultValue none */
  idleWorkers?: (() => number) | undefined;
  /** A heartbeat of any node arrived. @defaultValue taken into the view, if it is not this node's own */
  heard?: ((heartbeat: Heartbeat) => void) | undefined;
  /** Whether a job is over: nothing more is granted for it. @defaultValue none is */
  isOver?: ((job: string) => boolean) | undefined;
  /** What has to be awaited before an offer of this `scheduling` can be judged. @defaultValue nothing */
  beforeUse?: ((scheduling: SchedulingSpec | undefined) => Promise<void> | undefined) | undefined;
  /** Where a submitter runs, if it is known. @defaultValue on this node */
  nodeOf?: ((process: ProcessId) => NodeId | undefined) | undefined;
  /** Another agent said where a submitter runs. */
  met?: ((process: ProcessId, node: NodeId | undefined) => void) | undefined;
  /** A message that could not be understood; it was refused. */
  onMalformed?: ((where: string, error: Error) => void) | undefined;
  feed?: FeedHooks | undefined;
}

/** Since the start. */
export interface BiddingCounters extends RequestCounters {
  /** Offers and calls that this node made. */
  offersMade: number;
  callsMade: number;
  /** What came in. */
  answered: Readonly<AnsweringCounters>;
  heartbeatsSent: number;
  heartbeatsHeard: number;
  /** News of room: told, heard, and of use. */
  roomTold: number;
  roomHeard: number;
  roomUsed: number;
}
