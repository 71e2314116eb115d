/** `npm run bench -- scale`: how scheduling behaves when the cluster grows. */
import { findNatsServer } from "@stingray/broker/server";
import { STANDING_LIMITS } from "@stingray/node/bidding";
import { buildRow, OURS } from "../report.js";
import type { BenchFile, Row } from "../report.js";
import type { BenchOptions } from "../options.js";
import { describeMachine, reasonOf, wantedBy } from "../run.js";
import type { Progress } from "../run.js";
import { round4 } from "../stats.js";
import { formatRow } from "../table.js";
import { IDLE_AGENT, measureIdleAgent } from "./idle-agent.js";
import { rowsOfSize, sizeCaseNames } from "./rows.js";
import { measureSize } from "./size.js";
import type { SizeOptions, SizeResult } from "./size.js";

type ScaleOptions = Pick<BenchOptions, "only" | "rounds" | "small" | "nodes" | "requests" | "rate">;

const IDLE_AGENT_TARGET = 1;
const IDLE_SECONDS = 10;
const IDLE_AGENT_SECONDS = 20;

/** Names of all rows of the suite. */
export function scaleCaseNames({ nodes }: Pick<BenchOptions, "nodes">): string[] {
  return [...nodes.flatMap(sizeCaseNames), IDLE_AGENT];
}

/** Runs the suite. Ends everything that it started, also when it fails or `signal` stops it. */
export async function runScale(
  o: ScaleOptions,
  progress: Progress,
  signal?: AbortSignal,
): Promise<BenchFile> {
  const startedAt = new Date();
  const start = performance.now();
  const server = await findNatsServer({ install: true, log: (line) => progress.status(line) });
  const wanted = wantedBy(o);
  const rows: Row[] = [];
  const add = (more: readonly Row[]): void => {
    for (const row of more) {
      rows.push(row);
      progress.line(formatRow(row));
    }
  };
  let smallest: SizeResult[] | undefined;
  for (const nodes of o.nodes) {
    if (!sizeCaseNames(nodes).some(wanted)) continue;
    const rounds = await measureRounds(nodes, o, progress, signal);
    add(rowsOfSize(rounds, smallest, !o.small, wanted));
    // Below, everybody hears everybody: that grows, and ends there.
    if (nodes > STANDING_LIMITS.hearAllUpTo && rounds.length > 0) smallest ??= rounds;
  }
  if (!o.small && wanted(IDLE_AGENT)) add([await idleAgentRow(o.rounds, progress, signal)]);
  signal?.throwIfAborted();
  return {
    suite: "scale",
    machine: describeMachine(server.version, {}),
    startedAt: startedAt.toISOString(),
    seconds: Math.round((performance.now() - start) / 1000),
    rows,
  };
}

/** A size that fails is told of and leaves rows without rounds; the others go on. */
async function measureRounds(
  nodes: number,
  o: ScaleOptions,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<SizeResult[]> {
  const rounds: SizeResult[] = [];
  for (let round = 0; round < o.rounds; round++) {
    signal?.throwIfAborted();
    const size: SizeOptions = {
      nodes,
      requests: o.requests,
      rate: o.rate,
      seed: round + 1,
      idleSeconds: Math.min(IDLE_SECONDS, Math.max(1, o.requests / o.rate / 3)),
    };
    try {
      rounds.push(await measureSize(size, progress, signal));
    } catch (error) {
      signal?.throwIfAborted();
      progress.line(`${nodes} nodes: ${reasonOf(error)}`);
    }
  }
  return rounds;
}

async function idleAgentRow(
  rounds: number,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<Row> {
  const percent: number[] = [];
  const notes: string[] = [];
  const failures = new Map<string, Error>();
  for (let round = 0; round < rounds; round++) {
    progress.status(`${IDLE_AGENT}: round ${round + 1} of ${rounds}`);
    try {
      const idle = await measureIdleAgent(IDLE_AGENT_SECONDS, signal);
      percent.push(100 * idle.cpu);
      notes.splice(
        0,
        1,
        `the process that watches over it: ${round4(100 * idle.launcherCpu)} %; ${Math.round(idle.memory / 2 ** 20)} MiB`,
      );
    } catch (error) {
      signal?.throwIfAborted();
      failures.set(OURS, error instanceof Error ? error : new Error(String(error)));
    }
  }
  const head = { name: IDLE_AGENT, unit: "% of a core", better: "lower" as const, reach: {}, notes };
  return buildRow({ ...head, target: IDLE_AGENT_TARGET }, { rounds: new Map([[OURS, percent]]), failures });
}
