/** Utilities made of actors. They may be passed to tasks and actors. */
import { registerBarriers } from "./barrier.js";
import { registerQueues } from "./queue.js";
import { registerSemaphores } from "./semaphore.js";

export { ActorPool } from "./pool.js";
export { Queue } from "./queue.js";
export { Semaphore } from "./semaphore.js";
export { Barrier } from "./barrier.js";
export type { PoolCall } from "./pool.js";
export type { QueueOptions } from "./queue.js";
export type { Permit, SemaphoreOptions } from "./semaphore.js";
export type { BarrierOptions } from "./barrier.js";
export type { UtilityOptions } from "./made-of.js";

registerQueues();
registerSemaphores();
registerBarriers();
