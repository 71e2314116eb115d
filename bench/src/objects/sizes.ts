import { availableParallelism, freemem } from "node:os";
import { statfs } from "node:fs/promises";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** How large the cases are. */
export interface ObjectSizes {
  /** CPUs of a cluster of one node. */
  cpus: number;
  /** Values that are put, read and moved, in bytes. */
  small: number;
  middle: number;
  large: number;
  /** What is sent from node to node, in bytes. */
  transfer: number;
  /** Nodes that a broadcast reaches. */
  targets: number;
  /** Values of the middle size that are kept before all are let go: as much as may be held at once. */
  kept: number;
  /** Bytes of the store of a single node, of each of two, and of each of a broadcast. */
  store: number;
  storeOfTwo: number;
  storeOfMany: number;
  /** Whether these are the sizes that goals were set for. */
  full: boolean;
}

/** The sizes of a run: at most 6 GiB of memory are used at any time. */
export function objectSizes(small: boolean): ObjectSizes {
  const cpus = availableParallelism();
  if (small) {
    return {
      cpus,
      small: MIB,
      middle: 4 * MIB,
      large: 32 * MIB,
      transfer: 16 * MIB,
      targets: 3,
      kept: 16,
      store: 256 * MIB,
      storeOfTwo: 128 * MIB,
      storeOfMany: 64 * MIB,
      full: false,
    };
  }
  return {
    cpus,
    small: MIB,
    middle: 64 * MIB,
    large: 512 * MIB,
    transfer: 256 * MIB,
    targets: 8,
    kept: 16,
    store: 2 * GIB,
    storeOfTwo: GIB,
    storeOfMany: 448 * MIB,
    full: true,
  };
}

/** Why this machine has no room for the full sizes; undefined where it has. */
export async function shortOfMemory(): Promise<string | undefined> {
  const shm = await statfs("/dev/shm").then(
    (fs) => fs.bavail * fs.bsize,
    () => 0,
  );
  const free = freemem();
  const [needed, neededShm] = [6 * GIB, 4 * GIB];
  if (free >= needed && shm >= neededShm) return undefined;
  const gib = (bytes: number): string => (bytes / GIB).toFixed(1);
  return (
    `the cases need ${gib(needed)} GiB of memory and ${gib(neededShm)} GiB in /dev/shm, ` +
    `and ${gib(free)} and ${gib(shm)} are free; free some, or run it with --small`
  );
}
