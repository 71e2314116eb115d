/** Ways to put bundles on nodes. Exact where that is cheap; where it is not, a good guess first and then a bounded search. */
import type { NodeId } from "@stingray/protocol";
import type { Resources } from "./amounts.js";

/** A bundle that needs a node. */
export interface OpenBundle {
  readonly index: number;
  readonly need: Resources;
}

/** A node that may take some. */
export interface Place {
  readonly node: NodeId;
  readonly room: Resources;
  readonly total: Resources;
  /** Bundles of the group that are there already. */
  readonly bundles: number;
}

/** A node for each bundle, or undefined. */
export type Assign = (
  open: readonly OpenBundle[],
  places: readonly Place[],
) => Map<number, NodeId> | undefined;

/** Steps of a search that looks at all ways; a group that is harder than this waits until there is more room. */
const MOST_STEPS = 20_000;

/** A node while bundles are tried on it. */
interface Spot {
  readonly place: Place;
  room: Resources;
  bundles: number;
}

const spotsOf = (places: readonly Place[]): Spot[] =>
  places.map((place) => ({ place, room: place.room, bundles: place.bundles }));

/** The largest share of any resource of the node that `need` is. */
function share(need: Resources, total: Resources): number {
  let most = 0;
  for (const [name, units] of need.entries()) {
    const all = total.units(name);
    most = Math.max(most, all > 0 ? units / all : Infinity);
  }
  return most;
}

/** Largest first, by the share of the largest node that each wants. */
function largestFirst(open: readonly OpenBundle[], places: readonly Place[]): OpenBundle[] {
  const size = ({ need }: OpenBundle): number =>
    places.reduce((least, place) => Math.min(least, share(need, place.total)), Infinity);
  const sized = open.map((bundle) => ({ bundle, size: size(bundle) }));
  return sized.sort((a, b) => b.size - a.size || a.bundle.index - b.bundle.index).map(({ bundle }) => bundle);
}

/** As few nodes as possible, those first that have bundles of the group already, the fullest of equals. */
export const assignPacked: Assign = (open, places) => {
  const bundles = largestFirst(open, places);
  return packGreedily(bundles, places) ?? search(bundles, places, (a, b) => b.bundles - a.bundles);
};

function packGreedily(
  bundles: readonly OpenBundle[],
  places: readonly Place[],
): Map<number, NodeId> | undefined {
  const found = new Map<number, NodeId>();
  let left = [...bundles];
  let spots = spotsOf(places);
  while (left.length > 0) {
    let best: { spot: Spot; taken: OpenBundle[]; leftover: number } | undefined;
    for (const spot of spots) {
      let room = spot.room;
      const taken = left.filter(({ need }) => {
        if (!room.fits(need)) return false;
        room = room.subtract(need);
        return true;
      });
      if (taken.length === 0) continue;
      const leftover = freeShare(room, spot.place.total);
      const better =
        best === undefined ||
        taken.length > best.taken.length ||
        (taken.length === best.taken.length &&
          (spot.bundles > best.spot.bundles ||
            (spot.bundles === best.spot.bundles && leftover < best.leftover)));
      if (better) best = { spot, taken, leftover };
    }
    if (best === undefined) return undefined;
    const { spot, taken } = best;
    for (const { index } of taken) found.set(index, spot.place.node);
    left = left.filter((bundle) => !taken.includes(bundle));
    spots = spots.filter((other) => other !== spot);
  }
  return found;
}

/** The average free share of a node's resources. */
function freeShare(room: Resources, total: Resources): number {
  const shares = [...total.entries()].map(([name, all]) => (all > 0 ? room.units(name) / all : 0));
  return shares.reduce((sum, one) => sum + one, 0) / Math.max(1, shares.length);
}

/** On the node with the fewest bundles of the group, the emptiest of equals. */
export const assignSpread: Assign = (open, places) => {
  const apart = matchApart(open, places);
  if (apart !== undefined) return apart;
  const bundles = largestFirst(open, places);
  const order = (a: Spot, b: Spot): number =>
    a.bundles - b.bundles || freeShare(b.room, b.place.total) - freeShare(a.room, a.place.total);
  return search(bundles, places, order);
};

/** All on different nodes, and none where the group has one already: exact. Emptier nodes are preferred. */
export const matchApart: Assign = (open, places) => {
  const free = places
    .filter((place) => place.bundles === 0)
    .sort((a, b) => freeShare(b.room, b.total) - freeShare(a.room, a.total));
  if (free.length < open.length) return undefined;
  const byNode = new Map<Place, OpenBundle>();
  /** Gives the bundle a node, moving others on where that frees one. */
  const give = (bundle: OpenBundle, seen: Set<Place>): boolean => {
    for (const place of free) {
      if (seen.has(place) || !place.room.fits(bundle.need)) continue;
      seen.add(place);
      const other = byNode.get(place);
      if (other === undefined || give(other, seen)) {
        byNode.set(place, bundle);
        return true;
      }
    }
    return false;
  };
  for (const bundle of largestFirst(open, places)) if (!give(bundle, new Set())) return undefined;
  return new Map([...byNode].map(([place, { index }]) => [index, place.node]));
};

/** Tries the nodes for each bundle in the given order and goes back where that leads nowhere. */
function search(
  bundles: readonly OpenBundle[],
  places: readonly Place[],
  order: (a: Spot, b: Spot) => number,
): Map<number, NodeId> | undefined {
  const spots = spotsOf(places);
  const found = new Map<number, NodeId>();
  let steps = 0;
  const put = (at: number): boolean => {
    const bundle = bundles[at];
    if (bundle === undefined) return true;
    for (const spot of spots.filter(({ room }) => room.fits(bundle.need)).sort(order)) {
      if (++steps > MOST_STEPS) return false;
      spot.room = spot.room.subtract(bundle.need);
      spot.bundles++;
      if (put(at + 1)) {
        found.set(bundle.index, spot.place.node);
        return true;
      }
      spot.room = spot.room.add(bundle.need);
      spot.bundles--;
    }
    return false;
  };
  return put(0) ? found : undefined;
}
