/** Which node is best for a shape: hybrid, spread, affinity and labels, with a reason for each that is not. */
import type { NodeId, ProcessId, Shape } from "@stingray/protocol";
import { shortage } from "./account.js";
import { Resources } from "./amounts.js";
import { GpuPool } from "./gpus.js";
import { LabelSelector } from "./labels.js";
import type { Bid } from "./view.js";

/** `now`: has room. `later`: could, but is full. `never`: can't as it is, or must not. */
export type Fit = "now" | "later" | "never";

/** A node and how good it is. `score` is from 0 (best) up; within one `fit` the best comes first. */
export interface Ranked {
  readonly node: NodeId;
  readonly agent: ProcessId;
  readonly fit: Fit;
  readonly score: number;
  /** For people: why it is where it is in the list. */
  readonly reason: string;
}

export interface RankOptions {
  /** From 0 (inclusive) to 1 (exclusive). */
  random: () => number;
  /** Bytes of the arguments that a node already has; more is better and comes before anything else. Default: none. */
  localBytes?: (node: NodeId) => number;
  /** Up to this share of use nodes are packed, above it work is spread. Default 0.5. */
  packUntil?: number;
  /** The best of this share of the nodes are chosen from at random (at least one). Default 0.2. */
  topShare?: number;
}

/** Its reason is a text for people, so it is only made when somebody reads it. */
class Scored implements Ranked {
  constructor(
    readonly node: NodeId,
    readonly agent: ProcessId,
    readonly fit: Fit,
    readonly score: number,
    readonly bytes: number,
    readonly tie: number,
    private readonly why: () => string,
  ) {}

  get reason(): string {
    return this.why();
  }
}

const ORDER: Record<Fit, number> = { now: 0, later: 1, never: 2 };
/** Scores are compared after rounding to this, so that equal loads are equal. */
const STEP = 1e6;

/**
 * All candidates, the best first, those that can't take the shape last.
 * @throws InvalidOptionError for bad amounts or selectors in the shape.
 */
export function rank(shape: Shape, candidates: readonly Bid[], o: RankOptions): Ranked[] {
  const request = Resources.from(shape.resources);
  const selector = new LabelSelector(shape.labels);
  const scored = candidates.map((bid) => score(shape, request, selector, bid, o));
  scored.sort(
    (a, b) =>
      ORDER[a.fit] - ORDER[b.fit] ||
      b.bytes - a.bytes ||
      a.score - b.score ||
      a.tie - b.tie ||
      (a.node < b.node ? -1 : 1),
  );
  return shuffleBest(scored, shape, o);
}

/** A bid is ranked for many requests: what it says is read once. */
const read = new WeakMap<Record<string, number>, Resources>();

function resourcesOf(amounts: Record<string, number>): Resources {
  let resources = read.get(amounts);
  if (resources === undefined) read.set(amounts, (resources = Resources.from(amounts)));
  return resources;
}

function score(shape: Shape, request: Resources, selector: LabelSelector, bid: Bid, o: RankOptions): Scored {
  const { node, agent } = bid;
  const never = (why: () => string): Scored => new Scored(node, agent, "never", Infinity, 0, 0, why);
  const wanted = shape.scheduling?.kind === "node" ? shape.scheduling : undefined;
  if (wanted !== undefined && !wanted.soft && wanted.node !== node)
    return never(() => `is not ${wanted.node}`);
  if (bid.draining) return never(() => "is draining");
  const mismatch = selector.mismatch(bid.labels);
  if (mismatch !== undefined) return never(() => mismatch);
  const total = resourcesOf(bid.total);
  const free = resourcesOf(bid.available);
  const short = (): string => shortage(request, total, free);
  if (!total.fits(request) || !GpuPool.isPossible(request.units("GPU"))) return never(short);

  const use = utilization(request, total, free);
  const used = (): string => `${percent(use)} used with it`;
  let points: number;
  let why: () => string;
  if (wanted !== undefined && wanted.node === node) [points, why] = [0, () => "the node that was asked for"];
  else if (shape.scheduling?.kind === "spread") [points, why] = [1 + use, used];
  // Below the mark a fuller node is better, by less than any step above the mark.
  else if (use <= (o.packUntil ?? 0.5)) [points, why] = [1 + (1 - use) / STEP, () => `${used()}, packed`];
  else [points, why] = [1 + use, used];
  const movable = shape.scheduling === undefined || shape.scheduling.kind === "default";
  const bytes = movable ? (o.localBytes?.(node) ?? 0) : 0;
  const tie = bid.queued - Math.min(bid.idleWorkers, 1) / 2;
  return free.fits(request)
    ? new Scored(node, agent, "now", points, bytes, tie, why)
    : new Scored(node, agent, "later", points, bytes, tie, short);
}

/** The largest used share of any resource that is asked for (of CPUs when none is), with the request added. */
function utilization(request: Resources, total: Resources, free: Resources): number {
  let most = 0;
  const names = request.isEmpty() ? ["CPU"] : request.names();
  for (const name of names) {
    const all = total.units(name);
    if (all > 0) most = Math.max(most, (all - free.units(name) + request.units(name)) / all);
  }
  return Math.round(most * STEP) / STEP;
}

/** Many submitters see the same bids: choosing at random among the best few keeps them from all going to one. */
function shuffleBest(sorted: Scored[], shape: Shape, o: RankOptions): Scored[] {
  const first = sorted[0];
  if (first === undefined || first.fit === "never" || shape.scheduling?.kind === "node") return sorted;
  const same = sorted.filter((s) => s.fit === first.fit && s.bytes === first.bytes);
  // Spread means the emptiest: only equals are exchanged.
  const size =
    shape.scheduling?.kind === "spread"
      ? same.filter((s) => s.score === first.score && s.tie === first.tie).length
      : Math.max(1, Math.ceil(same.length * (o.topShare ?? 0.2)));
  const best = sorted.slice(0, size);
  for (let i = best.length - 1; i > 0; i--) {
    const j = Math.floor(o.random() * (i + 1));
    const [a, b] = [best[i], best[j]];
    if (a !== undefined && b !== undefined) [best[i], best[j]] = [b, a];
  }
  return [...best, ...sorted.slice(size)];
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;
