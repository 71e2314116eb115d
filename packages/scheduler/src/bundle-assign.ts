/** Ways to put bundles on nodes. Exact where that is cheap; where it is not, a good guess first and then a bounded search. */
import type { NodeId } from "@stingray/protocol";
import {
  fits,
  freeShare,
  gridOf,
  isTooMuch,
  times,
  without,
  type Grid,
  type OpenBundle,
  type Place,
  type Spot,
} from "./bundle-grid.js";

/** A node for each bundle, or undefined. */
export type Assign = (
  open: readonly OpenBundle[],
  places: readonly Place[],
) => Map<number, NodeId> | undefined;

/** Steps of a search that looks at all ways; a group that is harder than this waits until there is more room. */
const MOST_STEPS = 20_000;
/** How often it is seen whether a bundle fits a node before a worse way is good enough: tenths of a second. */
const MOST_LOOKS = 1_000_000;

/** What it takes to put nodes into an order, for each of them, in looks. */
const LOOKS_TO_SORT = 10;

/** As few nodes as possible, those first that have bundles of the group already, the fullest of equals. */
export const assignPacked: Assign = (open, places) => {
  const grid = gridOf(open, places);
  if (isTooMuch(grid)) return undefined;
  return packGreedily(grid) ?? search(grid, (a, b) => b.bundles - a.bundles);
};

/** What a node could take of what is left: how many of which kinds. */
interface Load {
  readonly taken: readonly (readonly [kind: number, n: number])[];
  readonly count: number;
  readonly leftover: number;
}

function packGreedily({ kinds, spots }: Grid): Map<number, NodeId> | undefined {
  const left = kinds.map(({ indices }) => [...indices]);
  const loads = new Map<Spot, Load>();
  const isLeft = ({ taken }: Load): boolean => {
    for (const [kind, n] of taken) if (n > (left[kind] as number[]).length) return false;
    return true;
  };
  let open = left.reduce((sum, indices) => sum + indices.length, 0);
  let looks = 0;
  const loadOf = (spot: Spot): Load => {
    const known = loads.get(spot);
    // As long as what it would take is left, it would take the same again.
    if (known !== undefined && isLeft(known)) return known;
    let { room } = spot;
    let count = 0;
    const taken: [number, number][] = [];
    for (const [kind, { need }] of kinds.entries()) {
      const n = times(room, need, (left[kind] as number[]).length);
      if (n === 0) continue;
      room = without(room, need, n);
      taken.push([kind, n]);
      count += n;
    }
    looks += kinds.length;
    const load = { taken, count, leftover: freeShare(spot, room) };
    loads.set(spot, load);
    return load;
  };
  const found = new Map<number, NodeId>();
  const unused = new Set(spots);
  while (open > 0) {
    let best: { spot: Spot; load: Load } | undefined;
    for (const spot of unused) {
      const load = loadOf(spot);
      if (load.count === 0) unused.delete(spot);
      else if (best === undefined || isBetter(spot, load, best)) best = { spot, load };
      if (best !== undefined && looks > MOST_LOOKS) break;
    }
    if (best === undefined) return undefined;
    const { spot, load } = best;
    for (const [kind, n] of load.taken) {
      for (const index of left[kind]?.splice(0, n) ?? []) found.set(index, spot.node);
    }
    open -= load.count;
    unused.delete(spot);
  }
  return found;
}

function isBetter(spot: Spot, load: Load, best: { spot: Spot; load: Load }): boolean {
  if (load.count !== best.load.count) return load.count > best.load.count;
  if (spot.bundles !== best.spot.bundles) return spot.bundles > best.spot.bundles;
  return load.leftover < best.load.leftover;
}

/** On the node with the fewest bundles of the group, the emptiest of equals. */
export const assignSpread: Assign = (open, places) => {
  const grid = gridOf(open, places);
  if (isTooMuch(grid)) return undefined;
  return (
    matchApart(open, places) ??
    spreadGreedily(gridOf(open, places)) ??
    search(grid, (a, b) => a.bundles - b.bundles || freeShare(b, b.room) - freeShare(a, a.room))
  );
};

function spreadGreedily({ kinds, spots }: Grid): Map<number, NodeId> | undefined {
  const found = new Map<number, NodeId>();
  const shares = new Map(spots.map((spot) => [spot, freeShare(spot, spot.room)]));
  for (const { need, indices } of kinds) {
    for (const index of indices) {
      let best: Spot | undefined;
      for (const spot of spots) {
        if (best !== undefined && spot.bundles > best.bundles) continue;
        if (!fits(spot.room, need)) continue;
        const fewer = best === undefined || spot.bundles < best.bundles;
        if (fewer || (shares.get(spot) ?? 0) > (shares.get(best as Spot) ?? 0)) best = spot;
      }
      if (best === undefined) return undefined;
      best.room = without(best.room, need);
      best.bundles++;
      shares.set(best, freeShare(best, best.room));
      found.set(index, best.node);
    }
  }
  return found;
}

/** All on different nodes, and none where the group has one already: exact. Emptier nodes are preferred. */
export const matchApart: Assign = (open, places) => {
  const usable = places.filter((place) => place.bundles === 0);
  if (usable.length < open.length) return undefined;
  const grid = gridOf(open, usable);
  if (isTooMuch(grid)) return undefined;
  const { kinds } = grid;
  const spots = grid.spots
    .map((spot) => ({ spot, share: freeShare(spot, spot.room) }))
    .sort((a, b) => b.share - a.share)
    .map(({ spot }) => spot);
  /** Which kind has the node. */
  const holds = new Map<Spot, number>();
  let looks = 0;
  /** Gives one of the kind a node, moving others on where that frees one. */
  const give = (first: number): boolean => {
    const seen = new Set<Spot>();
    const asked = new Set([first]);
    /** By kind: the node that one of it would give up, and for which kind. */
    const gives = new Map<number, { spot: Spot; to: number }>();
    for (const kind of asked) {
      const need = kinds[kind]?.need ?? [];
      for (const spot of spots) {
        if (seen.has(spot)) continue;
        looks++;
        if (!fits(spot.room, need)) continue;
        seen.add(spot);
        const holder = holds.get(spot);
        if (holder === undefined) {
          holds.set(spot, kind);
          for (let by = kind; by !== first;) {
            const gift = gives.get(by);
            if (gift === undefined) break;
            holds.set(gift.spot, gift.to);
            by = gift.to;
          }
          return true;
        }
        if (!asked.has(holder)) gives.set(holder, { spot, to: kind });
        asked.add(holder);
      }
      if (looks > MOST_LOOKS) return false;
    }
    return false;
  };
  for (const [kind, { indices }] of kinds.entries()) {
    for (let n = 0; n < indices.length; n++) if (!give(kind)) return undefined;
  }
  const left = kinds.map(({ indices }) => [...indices]);
  return new Map([...holds].map(([spot, kind]) => [left[kind]?.shift() as number, spot.node]));
};

/** Tries the nodes for each bundle in the given order and goes back where that leads nowhere. */
function search(grid: Grid, order: (a: Spot, b: Spot) => number): Map<number, NodeId> | undefined {
  const bundles = grid.kinds.flatMap(({ need, indices }) => indices.map((index) => ({ need, index })));
  const found = new Map<number, NodeId>();
  let steps = 0;
  let looks = 0;
  const put = (at: number): boolean => {
    const bundle = bundles[at];
    if (bundle === undefined) return true;
    looks += grid.spots.length * LOOKS_TO_SORT;
    const tried = new Set<string>();
    for (const spot of grid.spots.filter(({ room }) => fits(room, bundle.need)).sort(order)) {
      // What led nowhere on one node does not on one that is like it either.
      const like = `${spot.room.join()}/${spot.bundles}`;
      if (tried.has(like)) continue;
      tried.add(like);
      if (++steps > MOST_STEPS || looks > MOST_LOOKS) return false;
      const { room } = spot;
      spot.room = without(room, bundle.need);
      spot.bundles++;
      if (put(at + 1)) {
        found.set(bundle.index, spot.node);
        return true;
      }
      spot.room = room;
      spot.bundles--;
    }
    return false;
  };
  return put(0) ? found : undefined;
}
