/** Room on disk between being taken and being an object's. */
import type { Creation } from "./rooms.js";

/** Bytes on disk that were taken for these creations, and are not yet theirs. */
export interface DiskShare {
  readonly for: ReadonlySet<Creation>;
  left: number;
}

/** Two shares as one. */
export const joined = (first: DiskShare, second: DiskShare): DiskShare => ({
  for: new Set([...first.for, ...second.for]),
  get left() {
    return first.left + second.left;
  },
  set left(bytes) {
    // Each goes back by itself, so it does not matter of which it is taken.
    const less = first.left + second.left - bytes;
    const ofFirst = Math.min(less, first.left);
    first.left -= ofFirst;
    second.left -= less - ofFirst;
  },
});
