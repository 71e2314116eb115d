import { round4, summarise } from "./stats.js";
import type { Summary } from "./stats.js";
import type { Measured } from "./measure.js";

/** One case of a benchmark file. */
export interface Row {
  case: string;
  unit: string;
  better: "higher" | "lower";
  ours: Summary;
  /** Peers and floors of the same run, by name. What could not be run is absent and `note` says why. */
  others: Record<string, Summary>;
  /** Ours against each, so that more than 1 is better than it, whatever the unit. */
  ratio: Record<string, number>;
  /** The ratios that were asked for. */
  reach: Record<string, number>;
  /** Every ratio that was asked for is there and reaches it. */
  ok: boolean;
  note?: string;
}

/** What `--json` writes. */
export interface BenchFile {
  suite: string;
  machine: {
    cpus: number;
    memoryGiB: number;
    node: string;
    natsServer: string;
    peers: Record<string, string>;
  };
  startedAt: string;
  /** Duration of the whole run. */
  seconds: number;
  rows: Row[];
}

/** What of a case its row repeats. */
export interface RowHead {
  name: string;
  unit: string;
  better: "higher" | "lower";
  reach: Record<string, number>;
  /** An absolute goal in the unit of the case; it appears among the others under the name `target`. */
  target?: number | undefined;
  notes: readonly string[];
}

/** Name of our own side among the subjects of a case. */
export const OURS = "ours";

/** Builds the row of a case from what was measured. */
export function buildRow(head: RowHead, measured: Measured): Row {
  const notes = [...head.notes];
  const ours = shorten(summarise(measured.rounds.get(OURS) ?? []));
  const others: Record<string, Summary> = {};
  for (const [name, rounds] of measured.rounds) {
    if (name !== OURS && rounds.length > 0) others[name] = shorten(summarise(rounds));
  }
  if (head.target !== undefined) others.target = { mean: head.target, sd: 0, rounds: [] };
  for (const [name, error] of measured.failures) notes.push(`${name}: ${error.message}`);

  const ratio: Record<string, number> = {};
  for (const [name, { mean }] of Object.entries(others)) {
    if (ours.mean > 0 && mean > 0)
      ratio[name] = round4(head.better === "higher" ? ours.mean / mean : mean / ours.mean);
  }
  const reach = { ...head.reach, ...(head.target === undefined ? {} : { target: 1 }) };
  const reached = Object.entries(reach).every(([name, wanted]) => (ratio[name] ?? 0) >= wanted);
  const ok = reached && ours.rounds.length > 0 && !measured.failures.has(OURS);
  const row: Row = { case: head.name, unit: head.unit, better: head.better, ours, others, ratio, reach, ok };
  if (notes.length > 0) row.note = notes.join("; ");
  return row;
}

function shorten({ mean, sd, rounds }: Summary): Summary {
  return { mean: round4(mean), sd: round4(sd), rounds: rounds.map(round4) };
}
