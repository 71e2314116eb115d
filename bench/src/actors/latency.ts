/** Rows of one call at a time: the median of each round, and beside it the 99th percentile. */
import { sampledSubject, type Measured, type Subject } from "../measure.js";
import { OURS, buildRow, type Row } from "../report.js";
import { median } from "../stats.js";

/** The value that so large a share of the others is not above; 0 of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** Times single calls of several subjects, in microseconds. */
export class Latencies {
  readonly #tails = new Map<string, number[]>();

  /** `prepare` gives a call and how to undo what it prepared. */
  subject(
    name: string,
    prepare: () => Promise<{ call: () => Promise<unknown>; end: () => Promise<void> }>,
  ): Subject {
    const tails: number[] = [];
    let prepared: Subject | undefined;
    return {
      name,
      warmUp: async (seconds) => {
        const { call, end } = await prepare();
        const sample = async (): Promise<number> => {
          const start = performance.now();
          await call();
          return performance.now() - start;
        };
        prepared = sampledSubject(name, { sample, end }, (samples) => {
          tails.push(percentile(samples, 0.99) * 1000);
          return median(samples) * 1000;
        });
        await prepared.warmUp(seconds);
        this.#tails.set(name, tails);
      },
      round: async (seconds) => prepared?.round(seconds) ?? 0,
      end: async () => prepared?.end(),
    };
  }

  /** The row of the 99th percentiles. */
  tail(name: string, measured: Measured, notes: readonly string[] = []): Row {
    const rounds = new Map([...measured.rounds.keys()].map((key) => [key, this.#tails.get(key) ?? []]));
    const failures = new Map([...measured.failures].filter(([key]) => key === OURS));
    return buildRow({ name, unit: "µs", better: "lower", reach: {}, notes }, { rounds, failures });
  }
}
