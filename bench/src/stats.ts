/** Figures of one subject in one case: the value of every round, their mean and their sample standard deviation. */
export interface Summary {
  mean: number;
  sd: number;
  rounds: number[];
}

/** Summarises the rounds of one subject; no rounds give zeros, one round a deviation of 0. */
export function summarise(rounds: readonly number[]): Summary {
  const n = rounds.length;
  if (n === 0) return { mean: 0, sd: 0, rounds: [] };
  const average = mean(rounds);
  const squares = rounds.reduce((sum, value) => sum + (value - average) ** 2, 0);
  return { mean: average, sd: n > 1 ? Math.sqrt(squares / (n - 1)) : 0, rounds: [...rounds] };
}

/** The middle of the values, the mean of the two middle ones where their number is even; 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? 0) + upper) / 2;
}

/** The mean of the values; 0 of none. */
export function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Shortens a figure to four significant digits, which is more than a run on a busy machine can promise. */
export function round4(value: number): number {
  return value === 0 || !Number.isFinite(value) ? 0 : Number(value.toPrecision(4));
}
