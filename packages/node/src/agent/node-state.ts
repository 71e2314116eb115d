/** What a node can say of itself at any moment, besides its bid. */
import type { Bid, LeaseScheduler } from "@stingray/scheduler";
import type { StoreFigures } from "@stingray/protocol";
import type { ActorPlacer } from "../controller/actor-placer.js";
import type { Heartbeat } from "../feed/mod.js";
import type { WorkerPool } from "../pool/pool.js";
import type { AgentConfig } from "./options.js";
import { pendingOf } from "./pending.js";

export interface NodeParts {
  config: AgentConfig;
  scheduler: LeaseScheduler;
  pool: WorkerPool;
  /** Those that live here. */
  actors: number;
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

/** What the node says of itself besides its bid. */
export function nodeState({
  config,
  scheduler,
  pool,
  actors,
  placer,
  store,
}: NodeParts): Omit<Heartbeat, keyof Bid> {
  const { draining } = scheduler;
  return {
    hostname: config.hostname,
    pid: process.pid,
    workers: pool.size,
    actors,
    storeUsed: store.used,
    storeCapacity: store.capacity,
    state: draining ? "DRAINING" : "ALIVE",
    pending: pendingOf(scheduler.pending(), placer.waiting()),
    store: store.figures(),
  };
}
