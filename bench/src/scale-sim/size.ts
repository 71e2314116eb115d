/** One size of the cluster: started, left alone, asked for leases, ended. */
import { availableParallelism } from "node:os";
import { performance } from "node:perf_hooks";
import type { Progress } from "../run.js";
import { startMonitoredBroker } from "./broker.js";
import type { BrokerFigures, MonitoredBroker } from "./broker.js";
import { Fleet } from "./fleet.js";
import type { EndResult, RunResult } from "./ipc.js";
import type { InstanceFigures } from "./instance.js";
import { residentBytes, totalCpuMs } from "./load.js";
import { KINDS } from "./plan.js";
import { mean } from "../stats.js";

export interface SizeOptions {
  nodes: number;
  requests: number;
  /** Per second. */
  rate: number;
  seed: number;
  /** How long the cluster is watched with nothing to do, in seconds. */
  idleSeconds: number;
}

/** Per second. */
export interface Load {
  seconds: number;
  inMessages: number;
  inBytes: number;
  outMessages: number;
  outBytes: number;
  /** Share of one core that all processes with schedulers use together, from 0; and the broker. */
  hostsCpu: number;
  brokerCpu: number;
}

export interface SizeResult {
  nodes: number;
  idle: Load;
  busy: Load;
  /** Milliseconds, sorted, by kind. */
  latencies: number[][];
  placed: number;
  remote: number;
  forgotten: number;
  reasons: string[];
  end: EndResult;
  /** Of the use of CPUs over plain nodes without programs, in the second half of the run: means over moments, each from 0. */
  evenness: { mean: number; variation: number; maxToMean: number };
  broker: BrokerFigures;
  /** Resident, in bytes, of all processes with schedulers together. */
  hostsMemory: number;
}

/** Hundreds of schedulers in one heap stop each other while it is collected, which those of real nodes do not. */
const PROCESSES_PER_CPU = 2;
const FEWEST_PER_PROCESS = 10;
const SETTLE_MS = 3_000;
/** Until the last request has a lease, and until all is given back. */
const PLACE_MS = 30_000;
const GIVE_BACK_MS = 20_000;
/** Between the order to run and its start, so that all processes start together. */
const LEAD_MS = 500;

/** Runs one size. Ends all that it started, also when it fails or `signal` stops it. */
export async function measureSize(
  o: SizeOptions,
  progress: Progress,
  signal?: AbortSignal,
): Promise<SizeResult> {
  const name = `${o.nodes} nodes`;
  progress.status(`${name}: starting`);
  await using broker = await startMonitoredBroker();
  await using fleet = await Fleet.start({
    broker: broker.options,
    nodes: o.nodes,
    processes: Math.min(PROCESSES_PER_CPU * availableParallelism(), Math.ceil(o.nodes / FEWEST_PER_PROCESS)),
  });
  signal?.throwIfAborted();
  progress.status(`${name}: idle`);
  await pause(Math.min(SETTLE_MS, o.idleSeconds * 1000), signal);
  const idle = await measureLoad(broker, fleet, () => pause(o.idleSeconds * 1000, signal));
  signal?.throwIfAborted();

  const samples: number[][] = [];
  const halfMs = (500 * o.requests) / o.rate;
  const begin = performance.now();
  fleet.onPulse = (pulses) => {
    const placed = pulses.reduce((sum, pulse) => sum + pulse.placed, 0);
    const open = pulses.reduce((sum, pulse) => sum + pulse.open, 0);
    progress.status(`${name}: ${placed} of ${o.requests} requests placed, ${open} open`);
    const elapsed = performance.now() - begin - LEAD_MS;
    if (elapsed > halfMs && elapsed < 2 * halfMs) samples.push(pulses.flatMap(({ plainUse }) => plainUse));
  };
  let results: RunResult[] = [];
  const startAt = monotonicMs() + LEAD_MS;
  const spec = { requests: o.requests, rate: o.rate, seed: o.seed, startAt, deadlineMs: PLACE_MS };
  const deadlineMs = 2 * halfMs + PLACE_MS + GIVE_BACK_MS;
  const busy = await measureLoad(broker, fleet, async () => {
    results = await untilAborted(
      fleet.all("run", () => spec, deadlineMs),
      signal,
    );
  });
  const [brokerFigures, memory] = await Promise.all([
    broker.figures(),
    Promise.all(fleet.pids.map(residentBytes)),
  ]);
  progress.status(`${name}: giving all back`);
  const ends = await fleet.all("end", () => ({ deadlineMs: GIVE_BACK_MS }), 2 * GIVE_BACK_MS);
  const latencies = KINDS.map((_, kind) =>
    results.flatMap((result) => result.latencies[kind] ?? []).sort((a, b) => a - b),
  );
  const sum = (of: (result: RunResult) => number): number => results.reduce((all, one) => all + of(one), 0);
  return {
    nodes: o.nodes,
    idle,
    busy,
    latencies,
    placed: latencies.reduce((all, one) => all + one.length, 0),
    remote: sum((result) => result.remote),
    forgotten: sum((result) => result.forgotten),
    reasons: results.flatMap((result) => result.reasons),
    end: { figures: addUp(ends.map(({ figures }) => figures)), leaks: ends.flatMap(({ leaks }) => leaks) },
    evenness: evennessOf(samples),
    broker: brokerFigures,
    hostsMemory: memory.reduce((all, one) => all + one, 0),
  };
}

async function measureLoad(broker: MonitoredBroker, fleet: Fleet, work: () => Promise<void>): Promise<Load> {
  const look = async () => ({
    at: performance.now(),
    figures: await broker.figures(),
    hosts: await totalCpuMs(fleet.pids),
    broker: await totalCpuMs([broker.pid]),
  });
  const before = await look();
  await work();
  const after = await look();
  const seconds = (after.at - before.at) / 1000;
  const rate = (of: (figures: BrokerFigures) => number): number =>
    (of(after.figures) - of(before.figures)) / seconds;
  return {
    seconds,
    inMessages: rate((f) => f.inMessages),
    inBytes: rate((f) => f.inBytes),
    outMessages: rate((f) => f.outMessages),
    outBytes: rate((f) => f.outBytes),
    hostsCpu: (after.hosts - before.hosts) / 1000 / seconds,
    brokerCpu: (after.broker - before.broker) / 1000 / seconds,
  };
}

function addUp(figures: readonly InstanceFigures[]): InstanceFigures {
  const sum: Record<string, number> = {};
  for (const one of figures)
    for (const [name, value] of Object.entries(one)) sum[name] = (sum[name] ?? 0) + value;
  return sum as unknown as InstanceFigures;
}

/** Means over the moments of what each of them shows. */
export function evennessOf(samples: readonly (readonly number[])[]): SizeResult["evenness"] {
  const moments = samples
    .filter((uses) => uses.length > 1 && mean(uses) > 0)
    .map((uses) => {
      const average = mean(uses);
      const variance = mean(uses.map((use) => (use - average) ** 2));
      return { average, variation: Math.sqrt(variance) / average, maxToMean: Math.max(...uses) / average };
    });
  return {
    mean: mean(moments.map(({ average }) => average)),
    variation: mean(moments.map(({ variation }) => variation)),
    maxToMean: mean(moments.map(({ maxToMean }) => maxToMean)),
  };
}

function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await untilAborted(new Promise<void>((resolve) => setTimeout(resolve, ms)), signal);
}

/** Rejects when the signal comes first. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  signal.throwIfAborted();
  let abort: (() => void) | undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal.reason instanceof Error ? signal.reason : new Error("stopped"));
    signal.addEventListener("abort", abort);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    if (abort) signal.removeEventListener("abort", abort);
  }
}
