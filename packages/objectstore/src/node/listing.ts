/** What is in the store, for people. */
import type { StoredObject, StoreState } from "@stingray/protocol";
import type { Core } from "./core.js";
import type { Entry } from "./entry.js";
import { isUnseen } from "./segment.js";

export interface Listing {
  objects: StoredObject[];
  /** Objects beyond the limit, and their bytes. */
  more: number;
  moreBytes: number;
}

/** At most `limit` objects, the largest first. */
export function list(core: Core, limit: number): Listing {
  const all = [...core.entries.all(), ...core.entries.unfinished()].sort((a, b) => b.size - a.size);
  const shown = all.slice(0, limit);
  const bytes = (entries: readonly Entry[]): number => entries.reduce((sum, { size }) => sum + size, 0);
  return {
    objects: shown.map((entry) => describe(core, entry)),
    more: all.length - shown.length,
    moreBytes: bytes(all) - bytes(shown),
  };
}

function describe(core: Core, entry: Entry): StoredObject {
  const { object, size, state, segment, origin, born } = entry;
  const held = core.holds.held(object);
  const seen =
    !held && segment !== undefined && state.at !== "writing" && !isUnseen(core.pathOf(entry), core.files);
  return {
    object,
    size,
    state: stateOf(entry),
    copy: state.at !== "gone" && state.role === "copy",
    pinned: held || seen,
    ...(origin === undefined ? {} : { origin }),
    ageMs: Math.max(0, Date.now() - born),
  };
}

/** As others are told it. */
export function stateOf({ state }: Entry): StoreState {
  switch (state.at) {
    case "writing":
    case "gone":
      return "writing";
    case "memory":
    case "spilling":
      return "memory";
    case "spilled":
    case "restoring":
      return "spilled";
    case "disk":
      return "disk";
  }
}
