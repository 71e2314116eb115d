/** What the simulated cluster is made of and what is asked of it: the same for the same numbers and seed. */
import type { JobId, NodeId, ProcessId, Shape } from "@stingray/protocol";

/** What a node has beside its CPUs. Nodes of one kind are equal but for their zone. */
export type NodeKind = "plain" | "gpu" | "special";

export interface NodePlan {
  readonly index: number;
  readonly kind: NodeKind;
  readonly node: NodeId;
  readonly agent: ProcessId;
  /** Of the program whose requests begin at this node, if one does. */
  readonly driver: ProcessId | undefined;
  readonly total: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** A kind of request: which share of all are of it, and what pays for it. */
export interface RequestKind {
  readonly name: string;
  readonly share: number;
  readonly shape: Shape;
  /** The resource whose amount in the cluster decides how long such requests last. */
  readonly pool: "CPU" | "GPU" | "special";
}

export interface Arrival {
  /** Milliseconds after the start of the run. */
  readonly at: number;
  /** Which of the drivers, counted from 0. */
  readonly driver: number;
  /** Index into {@link KINDS}. */
  readonly kind: number;
  /** How long the lease is held, in milliseconds. */
  readonly holdMs: number;
}

export const JOB = "j000000scale0" as JobId;
const CPUS = 16;
const GPUS = 8;
const SPECIAL = 8;
const ACCELERATOR = "accelerator-type";
const ACCELERATORS = ["H200", "L40S"] as const;
const ZONES = ["a", "b", "c"] as const;
/** Programs run at few nodes, so that most of what they ask for has to be placed elsewhere. */
const DRIVER_SHARE = 0.03;

export const KINDS: readonly RequestKind[] = [
  { name: "{CPU: 1}", share: 0.7, shape: { resources: { CPU: 1 } }, pool: "CPU" },
  { name: "{CPU: 4}", share: 0.1, shape: { resources: { CPU: 4 } }, pool: "CPU" },
  { name: "{GPU: 1}", share: 0.08, shape: { resources: { GPU: 1 } }, pool: "GPU" },
  {
    name: "{GPU: 1} of a type",
    share: 0.02,
    shape: { resources: { GPU: 1 }, labels: { [ACCELERATOR]: ACCELERATORS[0] } },
    pool: "GPU",
  },
  { name: "{special: 1}", share: 0.05, shape: { resources: { special: 1 } }, pool: "special" },
  {
    name: "{CPU: 1} in a zone",
    share: 0.05,
    shape: { resources: { CPU: 1 }, labels: { zone: ZONES[1] } },
    pool: "CPU",
  },
];

/**
 * How much of each resource is in use on average. What few nodes have is used less, so that waiting for it to become
 * free, which no scheduler can shorten, stays out of the figures.
 */
export const UTILIZATION: Readonly<Record<RequestKind["pool"], number>> = {
  CPU: 0.6,
  GPU: 0.45,
  special: 0.45,
};

/** The nodes of a cluster of this size: 80 % plain ones, 10 % with GPUs of two types, 10 % with a custom resource. */
export function planNodes(count: number): NodePlan[] {
  const drivers = driverIndices(count);
  return Array.from({ length: count }, (_, index) => {
    const kind: NodeKind = index % 10 === 3 ? "gpu" : index % 10 === 7 ? "special" : "plain";
    const suffix = index.toString(36).padStart(12, "0");
    return {
      index,
      kind,
      node: `n${suffix}` as NodeId,
      agent: `g${suffix}` as ProcessId,
      driver: drivers.has(index) ? (`d${suffix}` as ProcessId) : undefined,
      total: {
        CPU: CPUS,
        ...(kind === "gpu" ? { GPU: GPUS } : {}),
        ...(kind === "special" ? { special: SPECIAL } : {}),
      },
      labels: {
        zone: ZONES[index % ZONES.length] ?? ZONES[0],
        ...(kind === "gpu" ? { [ACCELERATOR]: ACCELERATORS[Math.floor(index / 10) % 2] ?? "" } : {}),
      },
    };
  });
}

/** The mean time for which a lease of each kind is held, in milliseconds, so that {@link UTILIZATION} comes out. */
export function meanHolds(nodes: readonly NodePlan[], rate: number, durationMs: number): number[] {
  return KINDS.map(({ pool }) => {
    const amount = nodes.reduce((sum, { total }) => sum + (total[pool] ?? 0), 0);
    const perRequest = KINDS.filter((kind) => kind.pool === pool).reduce(
      (sum, { share, shape }) => sum + share * (shape.resources[pool] ?? 0),
      0,
    );
    const ideal = (1000 * UTILIZATION[pool] * amount) / (rate * perRequest);
    // A short run never fills a large cluster; leases should come and go in it all the same.
    return Math.min(ideal, durationMs / 5);
  });
}

/** All requests of a run in the order of their times: a Poisson process of `rate` per second. */
export function* arrivals(o: {
  nodes: readonly NodePlan[];
  requests: number;
  rate: number;
  seed: number;
}): Generator<Arrival> {
  const random = randomOf(o.seed);
  const exponential = (mean: number): number => -Math.log(1 - random()) * mean;
  const drivers = o.nodes.filter(({ driver }) => driver !== undefined).length;
  const holds = meanHolds(o.nodes, o.rate, (1000 * o.requests) / o.rate);
  let at = 0;
  for (let i = 0; i < o.requests; i++) {
    at += exponential(1000 / o.rate);
    const kind = kindAt(random());
    const mean = holds[kind] ?? 0;
    yield {
      at,
      driver: Math.floor(random() * drivers),
      kind,
      holdMs: Math.min(exponential(mean), 5 * mean),
    };
  }
}

/** Numbers from 0 (inclusive) to 1 (exclusive), the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Spread over the plain nodes, at least two. */
function driverIndices(count: number): Set<number> {
  const wanted = Math.max(2, Math.round(count * DRIVER_SHARE));
  const chosen = new Set<number>();
  for (let i = 0; i < wanted; i++) {
    let index = Math.floor((i * count) / wanted);
    while (index % 10 === 3 || index % 10 === 7 || chosen.has(index)) index++;
    if (index < count) chosen.add(index);
  }
  return chosen;
}

function kindAt(point: number): number {
  let sum = 0;
  for (let i = 0; i < KINDS.length; i++) {
    sum += KINDS[i]?.share ?? 0;
    if (point < sum) return i;
  }
  return 0;
}
