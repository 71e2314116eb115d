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
  const mean = rounds.reduce((sum, value) => sum + value, 0) / n;
  const squares = rounds.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, sd: n > 1 ? Math.sqrt(squares / (n - 1)) : 0, rounds: [...rounds] };
}

/** Shortens a figure to four significant digits, which is more than a run on a busy machine can promise. */
export function round4(value: number): number {
  return value === 0 || !Number.isFinite(value) ? 0 : Number(value.toPrecision(4));
}
