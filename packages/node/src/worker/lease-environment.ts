/** What native libraries in a worker read from the environment when they are first used: its GPUs and its threads. */

const GPUS = "CUDA_VISIBLE_DEVICES";
const ORDER = "CUDA_DEVICE_ORDER";
const THREADS = "OMP_NUM_THREADS";

let entered: unknown;
let threads: string | undefined;

/**
 * CUDA shows exactly the devices of the lease that runs, and none where it has none; a node that offers no GPUs leaves
 * the variables alone. OpenMP uses as many threads as the lease has CPUs, at least one, unless the user has said how many.
 */
export function enterLease(lease: {
  readonly resources: Readonly<Record<string, number>>;
  readonly visible: string | undefined;
}): void {
  if (lease === entered) return;
  entered = lease;
  const { env } = process;
  if (lease.visible !== undefined && env[GPUS] !== lease.visible) env[GPUS] = lease.visible;
  // Numbers are those of nvidia-smi; left to itself, CUDA counts the fastest first.
  if (lease.visible !== undefined && lease.visible !== "") env[ORDER] ??= "PCI_BUS_ID";
  if (env[THREADS] !== threads) return; // not by us
  threads = String(Math.max(1, Math.floor(lease.resources["CPU"] ?? 1)));
  env[THREADS] = threads;
}
