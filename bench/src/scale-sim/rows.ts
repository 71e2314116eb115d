/** The rows of a size, and what they are held against: what was asked for, and smaller clusters of the same run. */
import { round4, summarise } from "../stats.js";
import type { Row } from "../report.js";
import { KINDS } from "./plan.js";
import type { SizeResult } from "./size.js";

/** A cluster that is so much worse than the smallest one of the run has not grown for nothing. */
const GROWTH = 1.25;
const MS_TARGET = 50;
const MIB = 1024 * 1024;

interface Figure {
  name: string;
  unit: string;
  better?: "higher" | "lower";
  of(size: SizeResult): number;
  /** Must not be above this. */
  target?: number;
  /** Must not grow with the number of nodes. */
  level?: boolean;
  note?(size: SizeResult): string;
}

/** The value that this share of the sorted ones does not exceed; 0 of none. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

const all = ({ latencies }: SizeResult): number[] => latencies.flat().sort((a, b) => a - b);
const perPlacement =
  (of: (load: SizeResult["busy"]) => number) =>
  (size: SizeResult): number =>
    size.placed === 0 ? 0 : ((of(size.busy) - of(size.idle)) * size.busy.seconds) / size.placed;
const ms = (value: number): string => `${round4(value)} ms`;

const FIGURES: readonly Figure[] = [
  { name: "time to place, median", unit: "ms", of: (size) => quantile(all(size), 0.5) },
  {
    name: "time to place, p99",
    unit: "ms",
    of: (size) => quantile(all(size), 0.99),
    target: MS_TARGET,
    note: (size) =>
      `max ${ms(quantile(all(size), 1))}; ${size.placed} placements, ${Math.round((100 * size.remote) / Math.max(1, size.placed))} % of them on another node`,
  },
  ...KINDS.map(({ name }, kind): Figure => ({
    name: `time to place ${name}, p99`,
    unit: "ms",
    of: (size) => quantile(size.latencies[kind] ?? [], 0.99),
    note: ({ latencies }) => {
      const of = latencies[kind] ?? [];
      return `median ${ms(quantile(of, 0.5))}, max ${ms(quantile(of, 1))}, ${of.length} placements`;
    },
  })),
  {
    name: "messages published per placement",
    unit: "messages",
    of: perPlacement((load) => load.inMessages),
    level: true,
    note: ({ end: { figures }, placed }) => {
      const each = (count: number): number => round4(count / Math.max(1, placed));
      return `among them ${each(figures.calls)} calls and ${each(figures.offers)} offers, of which ${each(figures.rejections)} came to nothing, and ${each(figures.news)} news of room`;
    },
  },
  {
    name: "messages delivered per placement",
    unit: "messages",
    of: perPlacement((load) => load.outMessages),
    level: true,
  },
  {
    name: "bytes through the broker per placement",
    unit: "bytes",
    of: perPlacement((load) => load.inBytes + load.outBytes),
    level: true,
  },
  {
    name: "idle: messages published per node",
    unit: "messages/s",
    of: ({ idle, nodes }) => idle.inMessages / nodes,
    level: true,
  },
  {
    name: "idle: messages delivered per node",
    unit: "messages/s",
    of: ({ idle, nodes }) => idle.outMessages / nodes,
    level: true,
    note: ({ idle }) =>
      `${Math.round(idle.outMessages)} messages and ${Math.round((idle.inBytes + idle.outBytes) / 1024)} KiB a second in all`,
  },
  {
    name: "evenness: variation of the use of equal nodes",
    unit: "of the mean",
    of: ({ evenness }) => evenness.variation,
    note: ({ evenness }) =>
      `the fullest has ${round4(evenness.maxToMean)} times the mean, which is ${Math.round(100 * evenness.mean)} % of the CPUs`,
  },
  {
    name: "memory of the broker",
    unit: "MiB",
    of: ({ broker }) => broker.memory / MIB,
    note: ({ broker }) => `${broker.connections} connections, ${broker.subscriptions} subscriptions`,
  },
  {
    name: "processor of the broker",
    unit: "% of a core",
    of: ({ busy }) => 100 * busy.brokerCpu,
    note: ({ idle }) => `idle: ${round4(100 * idle.brokerCpu)} %`,
  },
  { name: "memory per scheduler", unit: "MiB", of: ({ hostsMemory, nodes }) => hostsMemory / nodes / MIB },
  {
    name: "processor per scheduler",
    unit: "% of a core",
    of: ({ busy, nodes }) => (100 * busy.hostsCpu) / nodes,
    note: ({ idle, nodes }) => `idle: ${round4((100 * idle.hostsCpu) / nodes)} %`,
  },
  {
    name: "requests forgotten",
    unit: "requests",
    of: ({ forgotten }) => forgotten,
    target: 0,
    note: reasonsOf,
  },
  {
    name: "grants beyond what there is",
    unit: "grants",
    of: ({ end: { figures } }) => figures.overcommits + figures.misplaced,
    target: 0,
  },
  {
    name: "nodes that do not get all back",
    unit: "nodes",
    of: ({ end }) => end.leaks.length,
    target: 0,
    note: ({ end }) => end.leaks.slice(0, 3).join("; "),
  },
  {
    name: "leases that nobody had use for",
    unit: "leases",
    of: ({ end }) => end.figures.surplus,
    note: ({ end: { figures }, broker }) =>
      [
        figures.failed > 0 ? `${figures.failed} demands were refused for good` : "",
        figures.malformed > 0 ? `${figures.malformed} messages could not be read` : "",
        broker.slowConsumers > 0
          ? `the broker cut ${broker.slowConsumers} connections that did not read`
          : "",
      ]
        .filter(Boolean)
        .join("; "),
  },
];

function reasonsOf({ reasons }: SizeResult): string {
  return reasons.slice(0, 3).join("; ");
}

export const caseName = (nodes: number, figure: string): string => `${nodes} nodes: ${figure}`;

/** Names of the rows of a size. */
export function sizeCaseNames(nodes: number): string[] {
  return FIGURES.map(({ name }) => caseName(nodes, name));
}

/**
 * The rows of a size from its rounds. `smallest` has those of the smallest cluster of the run, where that is another
 * one; without `asked` only what must never be is held against ours.
 */
export function rowsOfSize(
  rounds: readonly SizeResult[],
  smallest: readonly SizeResult[] | undefined,
  asked: boolean,
  wanted: (name: string) => boolean,
): Row[] {
  const nodes = rounds[0]?.nodes ?? 0;
  return FIGURES.filter(({ name }) => wanted(caseName(nodes, name))).map((figure) => {
    const ours = shortened(rounds.map((round) => figure.of(round)));
    const row: Row = {
      case: caseName(nodes, figure.name),
      unit: figure.unit,
      better: figure.better ?? "lower",
      ours,
      others: {},
      ratio: {},
      reach: {},
      ok: rounds.length > 0,
    };
    const against = (name: string, mean: number, rounds: number[], reach: number): void => {
      row.others[name] = { mean: round4(mean), sd: 0, rounds };
      // Nothing at all is as good as it gets. Less than nothing is no figure: the machine had no time for the idle load.
      row.ratio[name] = ours.mean > 0 ? round4(mean / ours.mean) : ours.mean === 0 ? 1 : 0;
      row.reach[name] = reach;
    };
    if (figure.target !== undefined && (asked || figure.target === 0))
      against("target", figure.target, [], 1);
    if (asked && figure.level && smallest?.[0] !== undefined) {
      const theirs = shortened(smallest.map((round) => figure.of(round)));
      against(`${smallest[0].nodes} nodes`, theirs.mean, theirs.rounds, round4(1 / GROWTH));
    }
    row.ok &&= Object.entries(row.reach).every(([name, reach]) => (row.ratio[name] ?? 0) >= reach);
    const last = rounds.at(-1);
    const note = last === undefined ? "" : (figure.note?.(last) ?? "");
    if (note !== "") row.note = note;
    return row;
  });
}

function shortened(values: readonly number[]): Row["ours"] {
  const { mean, sd, rounds } = summarise(values);
  return { mean: round4(mean), sd: round4(sd), rounds: rounds.map(round4) };
}
