/** What a node can say of itself at any moment: its bid, and the rest of its heartbeat. */
import type { Bid, LeaseScheduler, ResourceAccount } from "@stingray/scheduler";
import type { StoreFigures } from "@stingray/protocol";
import type { ActorHost } from "../controller/actor-host.js";
import type { ActorPlacer } from "../controller/actor-placer.js";
import type { Heartbeat } from "../feed/mod.js";
import type { WorkerPool } from "../pool/pool.js";
import type { AgentConfig } from "./options.js";
import { pendingOf } from "./pending.js";

export interface NodeParts {
  labels: Readonly<Record<string, string>>;
  account: ResourceAccount;
  scheduler: LeaseScheduler;
  pool: WorkerPool;
  host: ActorHost;
  placer: ActorPlacer;
  store: StoreGauge;
}

/** What is asked of the store. */
export interface StoreGauge {
  /** Bytes. */
  readonly used: number;
  readonly capacity: number;
  figures(): StoreFigures;
}

/** What the node has to offer. While it drains, nobody asks. */
export function nodeBid(
  config: AgentConfig,
  parts: Pick<NodeParts, "labels" | "account" | "pool">,
): Omit<Bid, "sequence"> {
  return {
    node: config.node,
    agent: config.agent,
    available: atLeastNothing(parts.account.available),
    total: parts.account.total,
    labels: parts.labels,
    queued: 0,
    idleWorkers: parts.pool.idleCount,
    draining: false,
  };
}

export function nodeState(config: AgentConfig, parts: NodeParts): Omit<Heartbeat, "sequence"> {
  const { demands, draining } = parts.scheduler.snapshot();
  return {
    ...nodeBid(config, parts),
    queued: demands.length,
    draining,
    hostname: config.hostname,
    pid: process.pid,
    workers: parts.pool.size,
    actors: parts.host.size,
    storeUsed: parts.store.used,
    storeCapacity: parts.store.capacity,
    state: draining ? "DRAINING" : "ALIVE",
    pending: pendingOf(demands, parts.placer.waiting()),
    store: parts.store.figures(),
  };
}

/** Work that goes on after a wait may hold more than there is for a moment; for others that is: nothing free. */
function atLeastNothing(amounts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, Math.max(0, amount)]));
}
