/** What this machine has to offer, where nobody says otherwise. Its GPUs are looked for elsewhere: that takes time. */
import { readFileSync, statfsSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";

export interface Capacity {
  cpus: number;
  /** Bytes that tasks may declare. */
  memory: number;
  /** Bytes of the object store. */
  objectStoreMemory: number;
}

/** Of the memory; the rest is for tasks and for everybody else. */
const STORE_SHARE = 0.3;
const TASK_SHARE = 0.5;
/** Of the free shared memory: a full /dev/shm hurts other programs too. */
const SHM_SHARE = 0.8;

/**
 * What a node may use of this machine: processors and memory as far as the container lets us.
 * @param nodes on this machine that share its memory. @defaultValue 1
 */
export function machineCapacity(nodes = 1): Capacity {
  const memory = memoryLimit();
  return {
    cpus: availableParallelism(),
    memory: Math.floor((memory * TASK_SHARE) / nodes),
    objectStoreMemory: Math.floor(Math.min(memory * STORE_SHARE, sharedMemoryFree() * SHM_SHARE) / nodes),
  };
}

/** Memory of the machine, or of the control group where that is less. */
function memoryLimit(): number {
  const total = totalmem();
  const limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"].map(readNumber);
  return Math.min(total, ...limits.filter((limit) => limit !== undefined && limit > 0).map(Number));
}

function readNumber(path: string): number | undefined {
  try {
    const value = Number(readFileSync(path, "utf8"));
    return Number.isFinite(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Unlimited where there is no /dev/shm: the store then lies in files elsewhere. */
function sharedMemoryFree(): number {
  try {
    const stats = statfsSync("/dev/shm");
    return stats.bavail * stats.bsize;
  } catch {
    return Infinity;
  }
}
