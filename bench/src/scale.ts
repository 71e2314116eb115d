import { availableParallelism, freemem } from "node:os";
import { statfs } from "node:fs/promises";

/** How large the cases are on this machine. Every peer gets the same figures. */
export interface Scale {
  /** CPUs of the cluster, ours and Ray's. */
  cpus: number;
  /** Actors of the n-sided cases; Ray's own run had 32 on 64 CPUs. */
  actors: number;
  /** Clients of the multi client and n:n cases, as in Ray's suite. */
  clients: number;
  /** Tasks that each client submits in one iteration of "multi client tasks async"; 10,000 in Ray's suite. */
  tasksPerClient: number;
  /** Calls to each actor (1:n) or of each client (n:n) in one iteration; 5,000 in Ray's suite. */
  callsPerClient: number;
  /** Size of the value of "put gigabytes" in bytes; 800 MiB in Ray's suite. */
  putBytes: number;
  /** Size of the object store in bytes. */
  storeBytes: number;
}

const MIB = 2 ** 20;
/** From this many CPUs on the cases have Ray's full size. */
const FULL_SIZE_CPUS = 16;

/** Chooses the scale for this machine. */
export async function chooseScale(): Promise<Scale> {
  const cpus = availableParallelism();
  const full = cpus >= FULL_SIZE_CPUS;
  const putBytes = (await roomFor(800 * MIB)) ? 800 * MIB : 80 * MIB;
  return {
    cpus,
    actors: Math.max(2, Math.floor(cpus / 2)),
    clients: 4,
    tasksPerClient: full ? 10_000 : 1_000,
    callsPerClient: full ? 5_000 : 1_000,
    putBytes,
    storeBytes: Math.max(3.2 * putBytes, 512 * MIB),
  };
}

/** Each side holds the source once on its heap and up to three copies in shared memory. */
async function roomFor(bytes: number): Promise<boolean> {
  const shm = await statfs("/dev/shm").then(
    (fs) => fs.bavail * fs.bsize,
    () => 0,
  );
  return shm > 7 * bytes && freemem() > 9 * bytes;
}
