/** Utilities made of actors: `import { Queue } from "stingray/util"`. */
export { ActorPool, Barrier, Queue, Semaphore } from "@stingray/util";
export type {
  BarrierOptions,
  Permit,
  PoolCall,
  QueueOptions,
  SemaphoreOptions,
  UtilityOptions,
} from "@stingray/util";
