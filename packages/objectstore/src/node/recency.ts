/**
 * Objects in memory that may go, by what it costs to let them go, the least recently used first. Readers leave the
 * time of their use on the file, so nothing is told; it is looked at when room is needed.
 */
import { closeSync, constants, fstatSync } from "node:fs";
import type { MappedFiles } from "../shm/native.js";
import type { Entry } from "./entry.js";
import { openFile } from "./segment.js";

/**
 * - `copies`: of other nodes' objects, dropped for nothing
 * - `saved`: on disk as well
 * - `primaries`: must be written to disk first
 */
export type Kind = "copies" | "saved" | "primaries";

/** Files looked at in one go: some 20 µs each. */
const LOOK = 100;

export interface RecencyHooks {
  readonly files: MappedFiles | undefined;
  held(object: string): boolean;
  path(entry: Entry): string;
  /** Its file is not there any more. */
  lost(entry: Entry): void;
}

export class Recency {
  private readonly kinds = {
    copies: new Map<string, Entry>(),
    saved: new Map<string, Entry>(),
    primaries: new Map<string, Entry>(),
  } satisfies Record<Kind, Map<string, Entry>>;

  constructor(private readonly hooks: RecencyHooks) {}

  /** Files an object where it belongs now, as used last of all. */
  note(entry: Entry): void {
    this.remove(entry);
    const kind = kindOf(entry);
    if (kind !== undefined) this.kinds[kind].set(entry.object, entry);
  }

  /** Another of the same name, that was made beside it, stays where it is. */
  remove(entry: Entry): void {
    for (const list of Object.values(this.kinds))
      if (list.get(entry.object) === entry) list.delete(entry.object);
  }

  /** The least recently used that nobody holds or sees. Looks at a hundred objects at most, and at others the next time. */
  oldest(kind: Kind): Entry | undefined {
    const list = this.kinds[kind];
    const used: Entry[] = [];
    const pinned: Entry[] = [];
    let found: Entry | undefined;
    let left = LOOK;
    for (const entry of list.values()) {
      if (left-- === 0) break;
      const look = this.look(entry);
      if (look === "idle") {
        found = entry;
        break;
      }
      list.delete(entry.object);
      if (look === "used") used.push(entry);
      else if (look === "pinned") pinned.push(entry);
      else this.hooks.lost(entry);
    }
    used.sort((a, b) => a.usedAt - b.usedAt);
    found ??= used.find((entry) => this.look(entry) === "idle");
    for (const entry of [...used, ...pinned]) list.set(entry.object, entry);
    return found;
  }

  /** Nobody holds it, sees it, or has used it since the last look. */
  isIdle(entry: Entry): boolean {
    return this.look(entry) === "idle";
  }

  private look(entry: Entry): "idle" | "used" | "pinned" | "missing" {
    const { segment } = entry;
    const { files } = this.hooks;
    if (segment === undefined || this.hooks.held(entry.object)) return "pinned";
    const fd = openFile(this.hooks.path(entry), segment.ino, constants.O_RDONLY);
    if (fd === undefined) return "missing";
    try {
      const { mtimeMs } = fstatSync(fd);
      if (mtimeMs > entry.usedAt) {
        entry.usedAt = mtimeMs;
        return "used";
      }
      return files === undefined || files.lock(fd, "exclusive") ? "idle" : "pinned";
    } finally {
      closeSync(fd);
    }
  }
}

function kindOf({ state }: Entry): Kind | undefined {
  if (state.at !== "memory") return undefined;
  if (state.role === "copy") return "copies";
  return state.saved ? "saved" : "primaries";
}
