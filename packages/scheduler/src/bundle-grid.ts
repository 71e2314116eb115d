/** Bundles and nodes as plain numbers, which the many steps of an assignment are cheap on. */
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

/** Amounts of the resources that are asked for, in the order of {@link Grid.names}. */
export type Amounts = readonly number[];

/** Bundles that need the same. */
export interface Kind {
  readonly need: Amounts;
  readonly indices: readonly number[];
}

/** A node while bundles are tried on it. */
export interface Spot {
  readonly node: NodeId;
  readonly total: Amounts;
  room: Amounts;
  bundles: number;
  /** Of its resources that nobody asks for: the sum of their free shares, and how many resources it has in all. */
  readonly others: number;
  readonly names: number;
}

export interface Grid {
  readonly names: readonly string[];
  /** Largest first, by the share of the largest node that each wants. */
  readonly kinds: readonly Kind[];
  readonly spots: readonly Spot[];
}

export function gridOf(open: readonly OpenBundle[], places: readonly Place[]): Grid {
  const names = [...new Set(open.flatMap(({ need }) => [...need.names()]))];
  const amounts = (of: Resources): number[] => names.map((name) => of.units(name));
  const isAsked = new Set(names);
  const spots = places.map(({ node, room, total, bundles }): Spot => {
    let others = 0;
    let count = 0;
    for (const [name, all] of total.entries()) {
      count++;
      if (!isAsked.has(name) && all > 0) others += room.units(name) / all;
    }
    return { node, total: amounts(total), room: amounts(room), bundles, others, names: count };
  });
  const kinds = new Map<string, { need: number[]; indices: number[] }>();
  for (const { index, need } of open) {
    const of = amounts(need);
    const known = kinds.get(of.join());
    if (known === undefined) kinds.set(of.join(), { need: of, indices: [index] });
    else known.indices.push(index);
  }
  const totals = [...new Map(spots.map(({ total }) => [total.join(), total])).values()];
  const sized = [...kinds.values()].map((kind) => ({ kind, size: sizeOf(kind.need, totals) }));
  sized.sort((a, b) => b.size - a.size || (a.kind.indices[0] ?? 0) - (b.kind.indices[0] ?? 0));
  return { names, kinds: sized.map(({ kind }) => kind), spots };
}

/** The largest share of any resource that it is of the node where that is least. */
function sizeOf(need: Amounts, totals: readonly Amounts[]): number {
  let least = Infinity;
  for (const total of totals) {
    let most = 0;
    for (const [i, units] of need.entries()) if (units > 0) most = Math.max(most, units / (total[i] ?? 0));
    least = Math.min(least, most);
  }
  return least;
}

export function fits(room: Amounts, need: Amounts): boolean {
  for (let i = 0; i < need.length; i++) if ((room[i] as number) < (need[i] as number)) return false;
  return true;
}

/** How many times, at most `limit`. */
export function times(room: Amounts, need: Amounts, limit: number): number {
  let most = limit;
  for (let i = 0; i < need.length; i++) {
    const units = need[i] as number;
    if (units > 0) most = Math.min(most, Math.floor((room[i] as number) / units));
  }
  return Math.max(0, most);
}

export function without(room: Amounts, need: Amounts, n = 1): Amounts {
  return room.map((units, i) => units - n * (need[i] as number));
}

/** The average free share of the node's resources if `room` of those that are asked for were free. */
export function freeShare({ total, others, names }: Spot, room: Amounts): number {
  let sum = others;
  for (let i = 0; i < room.length; i++) {
    const all = total[i] as number;
    if (all > 0) sum += (room[i] as number) / all;
  }
  return sum / Math.max(1, names);
}

/** Whether it can be seen without a search that not all fit, however they are put. */
export function isTooMuch({ names, kinds, spots }: Grid): boolean {
  for (const i of names.keys()) {
    let needed = 0;
    for (const { need, indices } of kinds) needed += (need[i] as number) * indices.length;
    for (const { room } of spots) needed -= Math.max(0, room[i] as number);
    if (needed > 0) return true;
  }
  return kinds.some(({ need, indices }) => {
    let left = indices.length;
    for (const { room } of spots) {
      left -= times(room, need, left);
      if (left <= 0) return false;
    }
    return true;
  });
}
