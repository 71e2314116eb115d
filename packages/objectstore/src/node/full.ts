/** The error of a store that has no room, with its figures. */
import { ObjectStoreFullError } from "@stingray/protocol";

/** Bytes. */
export interface FullDetail {
  readonly requested: number;
  readonly used: number;
  readonly capacity: number;
  readonly onDisk: number;
  /** 0: this node has no spill directory. */
  readonly diskLimit: number;
}

/** `what`: for what there is no room; `why`: why nothing helped. */
export function storeFull(what: string, why: string, detail: FullDetail): ObjectStoreFullError {
  const { requested, used, capacity, onDisk, diskLimit } = detail;
  const disk = diskLimit > 0 ? `${onDisk} of ${diskLimit} on disk` : "nothing may go to disk";
  const hint =
    diskLimit > 0
      ? "release references, raise objectStoreMemory, or give spillDir more room"
      : "release references, raise objectStoreMemory, or set spillDir";
  return new ObjectStoreFullError(
    `the object store has no room for ${what}: ${requested} bytes requested, ${used} of ${capacity} used in memory, ${disk} (${why}); ${hint}`,
    { detail: { ...detail } },
  );
}
