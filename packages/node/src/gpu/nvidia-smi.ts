/** Reads what `nvidia-smi` prints: its list of GPUs (`-L`), and its answers to a query. No I/O. */
import type { GpuDevice } from "./device.js";

/** `nvidia-smi` with these arguments prints what {@link readQuery} reads. Drivers before 450 know no `mig.mode.current`. */
export const QUERY = [
  "--query-gpu=index,uuid,name,mig.mode.current",
  "--format=csv,noheader,nounits",
] as const;
/** And with these, what {@link readList} reads. */
export const LIST = ["-L"] as const;

/** What was printed, taken apart. */
export interface Listing {
  readonly gpus: readonly ListedGpu[];
  /** Lines that are neither about a GPU nor empty: warnings, and why there is no GPU. */
  readonly remarks: readonly string[];
}

export interface ListedGpu {
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  /** UUIDs of its parts, where it is divided. */
  readonly mig: readonly string[];
  /** Undefined: not said. */
  readonly migMode?: "on" | "off" | undefined;
}

const GPU_LINE = /^GPU (\d+): (.*?) \(UUID: (GPU-[^)\s]+)\)\s*$/;
/** Drivers before 470 wrote `MIG-GPU-<uuid>/<instance>/<compute instance>`. */
const MIG_LINE = /^\s+MIG .*?Device\s+\d+: \(UUID: (MIG-[^)\s]+)\)\s*$/;
const CSV_LINE = /^(\d+), (GPU-[^,\s]+), (.*), ([^,]*)$/;

/** What `nvidia-smi -L` printed, on both streams. */
export function readList(text: string): Listing {
  const gpus: (ListedGpu & { mig: string[] })[] = [];
  const remarks: string[] = [];
  for (const line of lines(text)) {
    const [, index, name, uuid] = GPU_LINE.exec(line) ?? [];
    const [, part] = MIG_LINE.exec(line) ?? [];
    if (index !== undefined && name !== undefined && uuid !== undefined) {
      gpus.push({ index: Number(index), name: name.trim(), uuid, mig: [] });
    } else if (part !== undefined) gpus.at(-1)?.mig.push(part);
    else remarks.push(line.trim());
  }
  return { gpus, remarks };
}

/** What `nvidia-smi` printed for {@link QUERY}, on both streams. Fields that a GPU does not have are `[N/A]` or `[Not Supported]`. */
export function readQuery(text: string): Listing {
  const gpus: ListedGpu[] = [];
  const remarks: string[] = [];
  for (const line of lines(text)) {
    const [, index, uuid, name, mode] = CSV_LINE.exec(line) ?? [];
    if (index === undefined || uuid === undefined || name === undefined) remarks.push(line.trim());
    else {
      const migMode = mode === "Enabled" ? "on" : mode === "Disabled" ? "off" : undefined;
      gpus.push({ index: Number(index), uuid, name, mig: [], migMode });
    }
  }
  return { gpus, remarks };
}

/** One list out of both, by UUID: what either did not say, the other may have. In the order of their numbers. */
export function merge(list: Listing, query: Listing): Listing {
  const modes = new Map(query.gpus.map((gpu) => [gpu.uuid, gpu.migMode]));
  const listed = new Set(list.gpus.map(({ uuid }) => uuid));
  const gpus = [
    ...list.gpus.map((gpu) => ({ ...gpu, migMode: modes.get(gpu.uuid) })),
    ...query.gpus.filter(({ uuid }) => !listed.has(uuid)),
  ].sort((a, b) => a.index - b.index);
  return { gpus, remarks: [...new Set([...list.remarks, ...query.remarks])] };
}

/** `Field "mig.mode.current" is not a valid field to query.`: the driver is old, nothing is wrong. */
const HARMLESS = /^Field ".*" is not a valid field to query/;
/** One GPU less than there should be. */
const LOST = /Unable to determine the device handle for|GPU is lost/i;

/**
 * What processes can be given: each part of a divided GPU for itself; of a GPU that is to be divided and is not, nothing.
 * @returns the devices, and what people should know of those that are missing
 */
export function devicesOf({ gpus, remarks }: Listing): { devices: GpuDevice[]; notes: string[] } {
  // Who counts what is left of them may count otherwise than nvidia-smi does.
  const byUuid = remarks.some((line) => LOST.test(line));
  const notes = remarks
    .filter((line) => line !== "" && !HARMLESS.test(line))
    .map((line) => `nvidia-smi: ${line}`);
  const devices: GpuDevice[] = [];
  for (const { index, uuid, name, mig, migMode } of gpus) {
    if (mig.length > 0) devices.push(...mig.map((part) => ({ entry: part, index, uuid, mig: part, name })));
    else if (migMode === "on") {
      notes.push(
        `GPU ${index} (${name}) is in MIG mode and has no instances: nothing can run on it; make some`,
      );
    } else devices.push({ entry: byUuid ? uuid : String(index), index, uuid, name });
  }
  return { devices, notes };
}

function lines(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line.trim() !== "");
}
